// Starts the first tracee of a session: fork, attach, filter, exec. Record and replay share it.
//
// launch() returns with the task running towards exec, attached to the calling thread; its stops
// up to PTRACE_EVENT_EXEC are the caller's to pass. Throws Error.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "mediator/seccomp_filter.h"
#include "schema/types.h"

namespace airr {

struct LaunchOptions {
  std::string program;                   // path; unused when programFd is set
  int programFd = -1;                    // execute this descriptor instead
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  Filter filter;
  bool newSession = false;               // setsid: away from the terminal's signals
  uint64_t stackLimit = 0;               // RLIMIT_STACK to set, 0: leave
};

struct Launched {
  Tid tid{};
  // Reads as empty when exec succeeded, else holds errno as an int. The caller closes it.
  int errorPipe = -1;
};

Launched launch(const LaunchOptions&);

// As execvp(3) looks a name up. Throws Error with kNotFound or kCannotExecute.
std::string findProgram(const std::string& name);
// This process's environment with the shim preloaded and OpenMP told not to spin.
std::vector<std::string> recordedEnvironment(const std::string& shimPath);
// Dispositions that survive exec, by signal number: SIG_IGN or SIG_DFL.
std::array<uint64_t, 65> inheritedSignalActions();

}  // namespace airr
