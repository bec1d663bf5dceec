// libFuzzer: the shell parser, and what classification does with a script. Build with
// -DAIRR_FUZZ=ON and clang.
#include "policies/classify/classifier.h"
#include "tests/policies/shell_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const airr::classify::Classifier classifier;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  airr::shell::check(text);
  if (classifier.classifyScript(text).classes.empty()) std::abort();
  return 0;
}
