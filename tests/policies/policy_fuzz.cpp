// libFuzzer: text to a policy. Only Error (kPolicy) may come out; what is taken can be evaluated.
#include <cstdlib>

#include "policies/action_text.h"
#include "policies/explain.h"
#include "policies/format.h"
#include "policies/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace airr::policies;
  const Source source{"fuzz", std::string(reinterpret_cast<const char*>(data), size)};
  try {
    const Policy policy = Policy::parse(source, exampleBindings());
    const Source text{"action", "{action: open-read, path: /home/user/project/a/b.c}"};
    const OwnedAction owned = OwnedAction::parse(parseYaml(text), text, exampleBindings(), policy);
    explain(policy, owned.action());
    format(source);
  } catch (const airr::Error& error) {
    if (error.code() != airr::ExitCode::kPolicy) std::abort();
  }
  return 0;
}
