#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mediator/own_memory.h"
#include "mediator/record_session.h"
#include "policies/bindings.h"
#include "policies/policy.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/doctor_probes.h"

namespace airr::tools {
namespace {

struct Options {
  std::string output = "trace.cap";
  std::string shim;
  bool noShim = false;
  bool noPin = false;
  std::optional<unsigned> core;
  std::string policy;
  std::string durability = "process";
  std::string witness;
  std::vector<std::string> encryptTo;  // files of public keys
  bool clearMetadata = false;
  std::string approveCommand;
  bool awaitApproval = false;
  std::vector<std::string> overlays;
};

std::string shimFor(const Options& options) {
  if (options.noShim) return {};
  if (!options.shim.empty()) {
    if (access(options.shim.c_str(), R_OK) != 0) {
      throw systemError("cannot read the shim " + options.shim, errno,
                        "Give the path of libairr.so, or --no-shim to record without it");
    }
    // The program may change its directory before it execs again.
    return std::filesystem::absolute(options.shim);
  }
  std::string found = findShim();
  if (found.empty()) {
    throw Error(ExitCode::kFailure, "libairr.so is not beside the airr executable",
                "Give its path with --shim, or --no-shim to record without it");
  }
  return found;
}

// The policy of --policy, else the user's, else the system's, else one that only records.
std::string policyFor(const Options& options) {
  if (!options.policy.empty()) return options.policy;
  std::vector<std::string> places;
  if (const char* config = getenv("XDG_CONFIG_HOME"); config != nullptr && *config == '/') {
    places.push_back(std::string(config) + "/airr/policy.yaml");
  } else if (const char* home = getenv("HOME"); home != nullptr && *home == '/') {
    places.push_back(std::string(home) + "/.config/airr/policy.yaml");
  }
  places.push_back("/etc/airr/policy.yaml");
  for (const std::string& place : places) {
    // One that is there and cannot be read is an error, not a reason to go on to the next.
    if (faccessat(AT_FDCWD, place.c_str(), F_OK, AT_EACCESS) == 0 || errno == EACCES) return place;
  }
  fprintf(stderr, "airr: no policy is given: 'observe' allows and records everything (--policy NAME)\n");
  return "observe";
}

// A policy may name guarantees without which nothing is to run.
void requireGuarantees(const policies::Policy& policy) {
  if (policy.requirements().empty()) return;
  const std::vector<Probe> probes = probeHost();
  for (const std::string& wanted : policy.requirements()) {
    const auto found = std::find_if(probes.begin(), probes.end(),
                                    [&](const Probe& probe) { return probe.name == wanted; });
    if (found != probes.end() && found->answer == Answer::kYes) continue;
    throw Error(ExitCode::kFailure,
                "policy '" + policy.name() + "' requires '" + wanted + "', which this host does not give" +
                    (found == probes.end() ? "" : ": " + found->detail),
                "`airr doctor` shows what it gives");
  }
}

class UsageWithProgram : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: airr record [OPTIONS] -- PROGRAM [ARGUMENTS...]\n\n";
  }
};

// Ends as the program did, so that whoever started airr sees what it would have seen: a shell tells
// death by a signal from an exit with 128 + its number.
int passThrough(int waitStatus) {
  if (!WIFSIGNALED(waitStatus)) return WEXITSTATUS(waitStatus);
  int number = WTERMSIG(waitStatus);
  rlimit noCore{0, 0};
  setrlimit(RLIMIT_CORE, &noCore);  // the program's core was dumped, if any; airr's would mislead
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  signal(number, SIG_DFL);
  raise(number);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  return 128 + number;
}

}  // namespace

std::string findShim() {
  std::error_code ignored;
  auto executable = std::filesystem::read_symlink("/proc/self/exe", ignored);
  auto directory = executable.parent_path();
  for (const char* place : {"../lib/airr/libairr.so", "../recorder/shim/libairr.so"}) {
    auto path = (directory / place).lexically_normal();
    if (access(path.c_str(), R_OK) == 0) return path;
  }
  return {};
}

Command addRecord(CLI::App& app, const std::vector<std::string>& program) {
  auto options = std::make_shared<Options>();
  app.formatter(std::make_shared<UsageWithProgram>());
  app.add_option("-o,--output", options->output, "Trace to write; a file of that name is replaced")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--policy", options->policy,
                 "Policy that decides: a stock one (airr policy list), or a file")
      ->type_name("NAME|FILE");
  app.add_option("--approve-command", options->approveCommand,
                 "Shell command that is asked for approvals: JSON on its input; status 0 is yes")
      ->type_name("COMMAND");
  app.add_flag("--await-approval", options->awaitApproval,
               "Without a terminal, wait for 'airr approve' (else there is nobody to ask)");
  app.add_option("--overlay", options->overlays,
                 "Leave this tree as it is: what is changed in it goes to an overlay, which\n"
                 "'airr overlay' shows, merges or drops")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  auto* noPin = app.add_flag("--no-pin", options->noPin,
                             "Let the session use all CPUs (it stops faster when kept on one)");
  app.add_option("--cpu", options->core, "Keep the session on this CPU, not on the one that it starts on")
      ->type_name("N")
      ->excludes(noPin);
  app.add_option(
         "--durability", options->durability,
         "What the trace survives: airr's death (process), or a loss of power, but for the\n"
         "last 20 ms (power)")
      ->check(CLI::IsMember({"process", "power"}))
      ->capture_default_str();
  app.add_option("--witness", options->witness,
                 "Publish the trace's head there at every checkpoint (verify --witness)")
      ->type_name("FILE|URL");
  auto* encryptTo =
      app.add_option("--encrypt-to", options->encryptTo,
                     "Encrypt the trace to this public key (PEM); may be given for several readers")
          ->type_name("FILE")
          ->allow_extra_args(false);
  app.add_flag("--clear-metadata", options->clearMetadata,
               "With --encrypt-to: encrypt what the program read and ran, but not which calls it "
               "made,\nand what was decided on them")
      ->needs(encryptTo);
  auto* shim = app.add_option("--shim", options->shim, "Path of libairr.so")->type_name("FILE");
  app.add_flag("--no-shim", options->noShim,
               "Record without the shim: as exact, with fewer names for what happened")
      ->excludes(shim);
  app.footer(
      "Everything after -- is the program's own. Its exit status is passed through; airr's own\n"
      "failures are 125, 126 (cannot be executed) and 127 (not found).");
  return [options, program] {
    saveFaults();
    if (program.empty()) {
      throw Error(ExitCode::kFailure, "record: no program was given",
                  "Put it after --, as in: airr record -o trace.cap -- ls -l");
    }
    const std::string shimPath = shimFor(*options);
    const std::string policyName = policyFor(*options);
    const policies::Bindings bindings = policies::bindingsHere();
    policies::Policy policy = policies::Policy::load(policyName, bindings);
    requireGuarantees(policy);
    std::vector<Recipient> recipients;
    for (const std::string& file : options->encryptTo) recipients.push_back(loadRecipient(file));
    return passThrough(record({.tracePath = options->output,
                               .command = program,
                               .shimPath = shimPath,
                               .powerSafe = options->durability == "power",
                               .witness = options->witness,
                               .encryptTo = recipients,
                               .clearMetadata = options->clearMetadata,
                               .pin = !options->noPin,
                               .core = options->core,
                               .policyName = policyName,
                               .policy = std::move(policy),
                               .bindings = bindings,
                               .approveCommand = options->approveCommand,
                               .awaitApproval = options->awaitApproval,
                               .overlays = options->overlays}));
  };
}

}  // namespace airr::tools
