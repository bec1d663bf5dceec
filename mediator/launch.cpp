#include "mediator/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "mediator/landlock.h"
#include "mediator/tracee.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (const std::string& s : strings) list.push_back(const_cast<char*>(s.c_str()));
  list.push_back(nullptr);
  return list;
}

// Runs in the child. Nothing but async-signal-safe calls; nothing at all between the filter and exec.
[[noreturn]] void becomeProgram(const LaunchOptions& options, char** argv, char** envp, int go,
                                int report) {
  char byte;
  if (read(go, &byte, 1) != 1) _exit(127);
  if (options.newSession) setsid();
  if (options.stackLimit != 0) {
    rlimit limit{};
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = std::min<rlim_t>(options.stackLimit, limit.rlim_max);
    setrlimit(RLIMIT_STACK, &limit);
  }
  int error = 0;
  if (options.landlock >= 0) {
    error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? restrictSelf(options.landlock) : errno;
  }
  if (error == 0) error = -options.filter.install();
  if (error == 0) {
    if (options.programFd >= 0) {
      syscall(SYS_execveat, options.programFd, "", argv, envp, AT_EMPTY_PATH);
    } else {
      syscall(SYS_execve, options.program.c_str(), argv, envp);
    }
    error = errno;
  }
  (void)!write(report, &error, sizeof error);
  _exit(127);
}

}  // namespace

Launcher::Launcher(const LaunchOptions& options) {
  std::vector<char*> argv = pointers(options.arguments);
  std::vector<char*> envp = pointers(options.environment);
  int go[2], report[2];
  if (pipe2(go, O_CLOEXEC) != 0) throw systemError("pipe2");
  UniqueFd goRead(go[0]);
  go_.reset(go[1]);
  if (pipe2(report, O_CLOEXEC) != 0) throw systemError("pipe2");
  report_.reset(report[0]);
  UniqueFd reportWrite(report[1]);
  const pid_t child = fork();
  if (child < 0) throw systemError("fork");
  if (child == 0) {
    close(go[1]);  // to see the mediator's end
    becomeProgram(options, argv.data(), envp.data(), go[0], report[1]);
  }
  child_ = Tid{child};
}

Launched Launcher::start() {
  if (ptrace(PTRACE_SEIZE, raw(child_), 0, kPtraceOptions) != 0) {
    int error = errno;
    kill(raw(child_), SIGKILL);
    throw systemError("cannot trace a child process (PTRACE_SEIZE)", error,
                      "check /proc/sys/kernel/yama/ptrace_scope and the container's seccomp "
                      "profile; `airr doctor` shows what this host allows");
  }
  if (write(go_.get(), "g", 1) != 1) throw systemError("starting the child");
  Launched launched;
  launched.tid = child_;
  launched.errorPipe = fcntl(report_.get(), F_DUPFD_CLOEXEC, 3);
  return launched;
}

std::string findProgram(const std::string& name) {
  auto runnable = [](const std::string& path) {
    struct stat s {};
    return stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode) && access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    if (runnable(name)) return name;
    struct stat s {};
    if (stat(name.c_str(), &s) != 0)
      throw Error(ExitCode::kNotFound, "cannot run '" + name + "': " + strerror(errno));
    throw Error(ExitCode::kCannotExecute,
                "cannot run '" + name + "': not an executable file");
  }
  const char* path = getenv("PATH");
  bool seen = false;
  std::string_view rest = path ? path : "/usr/local/bin:/usr/bin:/bin";
  while (true) {
    size_t colon = rest.find(':');
    std::string directory(rest.substr(0, colon));
    std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (runnable(candidate)) return candidate;
    struct stat s {};
    seen = seen || stat(candidate.c_str(), &s) == 0;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (seen)
    throw Error(ExitCode::kCannotExecute, "cannot run '" + name + "': no executable file of that name in PATH");
  throw Error(ExitCode::kNotFound, "cannot run '" + name + "': not found in PATH");
}

std::vector<std::string> recordedEnvironment(const std::string& shimPath) {
  std::vector<std::string> result;
  bool preloaded = shimPath.empty();
  // OpenMP's waiting threads spin for seconds while the one that they wait for has no baton.
  constexpr std::string_view kReplaced[] = {"OMP_WAIT_POLICY=", "GOMP_SPINCOUNT="};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text = *entry;
    bool replaced = false;
    for (std::string_view prefix : kReplaced) replaced = replaced || text.starts_with(prefix);
    if (replaced) continue;
    if (!preloaded && text.starts_with("LD_PRELOAD=")) {
      preloaded = true;
      text.remove_prefix(strlen("LD_PRELOAD="));
      result.push_back("LD_PRELOAD=" + shimPath + (text.empty() ? "" : ":") + std::string(text));
      continue;
    }
    result.emplace_back(text);
  }
  if (!preloaded) result.push_back("LD_PRELOAD=" + shimPath);
  result.emplace_back("OMP_WAIT_POLICY=passive");
  result.emplace_back("GOMP_SPINCOUNT=0");
  return result;
}

std::array<uint64_t, 65> inheritedSignalActions() {
  std::array<uint64_t, 65> result{};
  for (int signal = 1; signal < 65; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      result[signal] = reinterpret_cast<uint64_t>(SIG_IGN);
  }
  return result;
}

}  // namespace airr
