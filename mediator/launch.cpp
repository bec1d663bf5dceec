#include "mediator/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "mediator/landlock.h"
#include "mediator/raw_call.h"
#include "mediator/tracee.h"
#include "recorder/gate/gate.h"
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

}  // namespace

// What the child uses until exec.
struct Launcher::Child {
  LaunchOptions options;
  std::vector<char*> arguments, environment;
  int go, goOn, report;  // its ends of the pipes, and the other end of the first
  Tid tid{};
  alignas(16) std::array<char, 32 << 10> stack;

  static int run(void* self);
  int becomeProgram() const;
};

// Runs in the child: only calls to the kernel, and those without libc's errno, which is the parent's.
int Launcher::Child::run(void* self) {
  const Child& child = *static_cast<Child*>(self);
  rawCall(SYS_close, child.goOn);  // to see the mediator's end
  char byte;
  if (rawCall(SYS_read, child.go, asArgument(&byte), 1) == 1) {
    const int error = child.becomeProgram();
    rawCall(SYS_write, child.report, asArgument(&error), sizeof error);
  }
  return static_cast<int>(rawCall(SYS_exit_group, 127));
}

// Nothing at all between the filter and exec.
int Launcher::Child::becomeProgram() const {
  if (options.newSession) rawCall(SYS_setsid);
  if (options.stackLimit != 0) {
    rlimit limit{};
    rawCall(SYS_prlimit64, 0, RLIMIT_STACK, 0, asArgument(&limit));
    limit.rlim_cur = std::min<rlim_t>(options.stackLimit, limit.rlim_max);
    rawCall(SYS_prlimit64, 0, RLIMIT_STACK, asArgument(&limit));
  }
  if (!options.gateFiles.empty()) {
    // Their numbers are above the limit that is usual, so that no program expects them to be free.
    rlimit limit{};
    rawCall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, asArgument(&limit));
    const rlimit more{std::max(limit.rlim_cur, std::min<rlim_t>(AIRR_GATE_OWN_FDS_END, limit.rlim_max)), limit.rlim_max};
    rawCall(SYS_prlimit64, 0, RLIMIT_NOFILE, asArgument(&more));
    for (size_t i = 0; i < options.gateFiles.size(); ++i)
      rawCall(SYS_dup2, options.gateFiles[i], static_cast<long>(AIRR_GATE_OWN_FDS + i));
    rawCall(SYS_prlimit64, 0, RLIMIT_NOFILE, asArgument(&limit));
  }
  long result = 0;
  if (options.landlock >= 0) {
    result = rawCall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
    if (result == 0) result = restrictSelf(options.landlock);
  }
  if (result == 0) result = options.filter.install();
  if (result != 0) return static_cast<int>(-result);
  const long argv = asArgument(arguments.data()), envp = asArgument(environment.data());
  result = options.programFd >= 0 ? rawCall(SYS_execveat, options.programFd, asArgument(""), argv, envp, AT_EMPTY_PATH)
                                  : rawCall(SYS_execve, asArgument(options.program.c_str()), argv, envp);
  return static_cast<int>(-result);
}

Launcher::Launcher(LaunchOptions options) : child_(new Child) {
  child_->options = std::move(options);
  child_->arguments = pointers(child_->options.arguments);
  child_->environment = pointers(child_->options.environment);
  int go[2], report[2];
  if (pipe2(go, O_CLOEXEC) != 0) throw systemError("pipe2");
  UniqueFd goRead(go[0]);
  go_.reset(go[1]);
  if (pipe2(report, O_CLOEXEC) != 0) throw systemError("pipe2");
  report_.reset(report[0]);
  UniqueFd reportWrite(report[1]);
  child_->go = go[0], child_->goOn = go[1], child_->report = report[1];
  const pid_t tid =
      clone(Child::run, child_->stack.data() + child_->stack.size(), CLONE_VM | SIGCHLD, child_.get());
  if (tid < 0) throw systemError("clone");
  child_->tid = Tid{tid};
}

Launcher::~Launcher() {
  if (!child_ || child_->tid == Tid{}) return;
  const pid_t tid = raw(child_->tid);
  kill(tid, SIGKILL);
  int status;
  while (waitpid(tid, &status, __WALL) == tid && !WIFEXITED(status) && !WIFSIGNALED(status))
    ptrace(PTRACE_CONT, tid, 0, 0);  // its exit stop
}

void Launcher::released() { child_.reset(); }

Launched Launcher::start() {
  if (ptrace(PTRACE_SEIZE, raw(child_->tid), 0, kPtraceOptions) != 0) {
    throw systemError("cannot trace a child process (PTRACE_SEIZE)", errno,
                      "check /proc/sys/kernel/yama/ptrace_scope and the container's seccomp "
                      "profile; `airr doctor` shows what this host allows");
  }
  if (write(go_.get(), "g", 1) != 1) throw systemError("starting the child");
  Launched launched;
  launched.tid = child_->tid;
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
