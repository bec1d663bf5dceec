// Starts the first tracee of a session: a child, attached to, filtered, made to exec. Record and replay share
// it.
//
// The child shares this process's memory up to exec, so that neither has to copy a page that it writes to; it
// is made by the constructor, and waits. start() returns with the task running towards exec, attached to the
// calling thread; its stops up to PTRACE_EVENT_EXEC are the caller's to pass, and released() is to be called
// then, or when the child was seen to end. A Launcher that is destroyed before takes its child with it. One
// thread; owns the child until then, pipes, and what the child uses. Throws Error.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "mediator/seccomp_filter.h"
#include "schema/types.h"
#include "schema/unique_fd.h"

namespace airr {

struct LaunchOptions {
  std::string program;                   // path; unused when programFd is set
  int programFd = -1;                    // execute this descriptor instead
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  Filter filter;
  int landlock = -1;                     // a ruleset that binds the program, if there is one
  std::vector<int> gateFiles;            // to be the program's AIRR_GATE_OWN_FDS and those behind it
  bool newSession = false;               // setsid: away from the terminal's signals
  uint64_t stackLimit = 0;               // RLIMIT_STACK to set, 0: leave
};

struct Launched {
  Tid tid{};
  // Reads as empty when exec succeeded, else holds errno as an int. The caller closes it.
  int errorPipe = -1;
};

class Launcher {
 public:
  explicit Launcher(LaunchOptions);
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  ~Launcher();
  Launched start();  // once
  void released();

 private:
  struct Child;
  std::unique_ptr<Child> child_;
  UniqueFd go_, report_;
};

// As execvp(3) looks a name up. Throws Error with kNotFound or kCannotExecute.
std::string findProgram(const std::string& name);
// This process's environment with the shim preloaded and OpenMP told not to spin.
std::vector<std::string> recordedEnvironment(const std::string& shimPath);
// Dispositions that survive exec, by signal number: SIG_IGN or SIG_DFL.
std::array<uint64_t, 65> inheritedSignalActions();

}  // namespace airr
