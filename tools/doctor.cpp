#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>

#include "mediator/landlock.h"
#include "mediator/syscalls/model.h"
#include "policies/bindings.h"
#include "recorder/keys.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/doctor_probes.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

Probe probeShim() {
  std::string path = findShim();
  return {"shim", path.empty() ? Answer::kNo : Answer::kYes, false,
          path.empty() ? "libairr.so is not beside the airr executable" : path,
          "gives names to what happens; record wants --no-shim or --shim without it"};
}

Probe probeKey() {
  Probe probe{"key", Answer::kNo, false, "",
              "authenticates traces; record makes one where there is none"};
  std::string path = KeyStore::defaultPath();
  if (access(path.c_str(), F_OK) != 0) {
    probe.detail = "none at " + path;
    return probe;
  }
  try {
    KeyStore::load(path, false);
    probe.answer = Answer::kYes;
    probe.detail = path;
  } catch (const Error& error) {
    probe.needed = true;  // an unusable key is not replaced
    probe.detail = error.what();
  }
  return probe;
}

std::vector<const syscalls::Syscall*> refusedCalls() {
  std::vector<const syscalls::Syscall*> refused;
  for (const syscalls::Syscall* call : syscalls::all()) {
    if (call->treatment == syscalls::Treatment::kRefuse) refused.push_back(call);
  }
  return refused;
}

const char* toString(Answer answer) {
  switch (answer) {
    case Answer::kYes:
      return "yes";
    case Answer::kNo:
      return "no";
    case Answer::kUnknown:
      return "unknown";
  }
  return "";
}

void printText(const std::vector<Probe>& probes, bool able) {
  std::cout << "airr " AIRR_VERSION " on this host\n\n";
  for (const Probe& probe : probes) {
    const char* mark =
        probe.needed && probe.answer != Answer::kYes ? "MISSING" : toString(probe.answer);
    std::cout << "  " << std::left << std::setw(8) << mark << std::setw(26) << probe.name
              << printable(probe.detail) << '\n';
    if (!probe.meaning.empty()) std::cout << std::string(36, ' ') << probe.meaning << '\n';
  }
  std::cout << "\nRefused to recorded programs, by name (any unknown number too, with ENOSYS):\n";
  for (const syscalls::Syscall* call : refusedCalls()) {
    std::cout << "  " << std::left << std::setw(26) << call->name << std::setw(8)
              << strerrorname_np(call->refusal) << (call->note ? call->note : "") << '\n';
  }
  std::cout << '\n'
            << (able ? "This host can record and replay.\n"
                     : "This host cannot record and replay: see what is MISSING above.\n");
}

nlohmann::json toJson(const std::vector<Probe>& probes, bool able) {
  nlohmann::json host = nlohmann::json::object();
  for (const Probe& probe : probes) {
    host[probe.name] = {{"answer", toString(probe.answer)},
                        {"needed", probe.needed},
                        {"detail", jsonText(probe.detail)},
                        {"meaning", probe.meaning}};
  }
  nlohmann::json refused = nlohmann::json::array();
  for (const syscalls::Syscall* call : refusedCalls()) {
    refused.push_back({{"name", call->name},
                       {"number", call->number},
                       {"errno", strerrorname_np(call->refusal)},
                       {"note", call->note ? call->note : ""}});
  }
  return {{"airr", AIRR_VERSION}, {"able", able}, {"host", host}, {"refused", refused}};
}

// What the kernel enforces of a policy by itself.
int showPolicy(const std::string& nameOrPath) {
  const auto policy = policies::Policy::load(nameOrPath, policies::bindingsHere());
  const int abi = landlockAbi();
  const LandlockRules rules = compileLandlock(policy, abi);
  std::cout << "policy '" << printable(policy.name()) << "' on this host\n"
            << "  every call    the mediator decides, by seccomp and ptrace; it carries out itself what names an object\n"
            << "  Landlock      "
            << (abi == 0          ? "this kernel has none"
                : rules.empty()   ? "nothing: there is no tree outside of which the policy permits nothing"
                                  : "ABI " + std::to_string(abi) + "; the kernel forbids all but")
            << "\n";
  std::istringstream lines(describe(rules));
  for (std::string line; std::getline(lines, line);) std::cout << "    " << printable(line) << "\n";
  return 0;
}

int run(bool json) {
  std::vector<Probe> probes = probeHost();
  probes.push_back(probeShim());
  probes.push_back(probeKey());
  bool able = std::all_of(probes.begin(), probes.end(), [](const Probe& probe) {
    return !probe.needed || probe.answer == Answer::kYes;
  });
  if (json) {
    std::cout << dump(toJson(probes, able)) << '\n';
  } else {
    printText(probes, able);
  }
  return static_cast<int>(able ? ExitCode::kSuccess : ExitCode::kFailure);
}

}  // namespace

Command addDoctor(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  auto policy = std::make_shared<std::string>();
  auto* flag = app.add_flag("--json", *json, "Print one JSON object");
  app.add_option("--policy", *policy, "Show instead how this host would enforce it")
      ->type_name("NAME|FILE")
      ->excludes(flag);
  app.footer("Exits with 0 if this host can record and replay, else with 125.");
  return [json, policy] { return policy->empty() ? run(*json) : showPolicy(*policy); };
}

}  // namespace airr::tools
