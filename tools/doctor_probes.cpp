#include "tools/doctor_probes.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstddef>
#include <fstream>
#include <functional>

#include "mediator/overlay/session_overlay.h"
#include "schema/unique_fd.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

// Ends of a child that probed: 0 for yes, an errno for no; signals are for the probe to judge.
struct Outcome {
  bool ran = false;
  int status = 0;
  bool yes() const { return ran && WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  std::string text() const {
    if (!ran) return "the probe could not be started";
    if (!WIFEXITED(status)) return waitStatus(status);
    return yes() ? "works" : strerror(WEXITSTATUS(status));
  }
};

// `probe` returns 0 or an errno. It runs in a child that dumps no core.
Outcome inChild(const std::function<int()>& probe) {
  Outcome outcome;
  pid_t child = fork();
  if (child < 0) return outcome;
  if (child == 0) {
    rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    alarm(5);
    _exit(probe());
  }
  while (waitpid(child, &outcome.status, 0) < 0) {
    if (errno != EINTR) return outcome;
  }
  outcome.ran = true;
  return outcome;
}

Answer answer(bool yes) { return yes ? Answer::kYes : Answer::kNo; }

std::string firstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Probe probeKernel() {
  utsname name{};
  uname(&name);
  bool x86 = strcmp(name.machine, "x86_64") == 0;
  return {"kernel", answer(x86), true, std::string(name.release) + " on " + name.machine,
          "airr is for Linux on x86-64"};
}

Probe probePtrace() {
  Outcome outcome = inChild([] {
    pid_t tracee = fork();
    if (tracee < 0) return errno;
    if (tracee == 0) {
      pause();
      _exit(0);
    }
    int error = 0;
    if (ptrace(PTRACE_SEIZE, tracee, 0,
               PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE) != 0) {
      error = errno;
    }
    kill(tracee, SIGKILL);
    return error;
  });
  std::string yama = firstLine("/proc/sys/kernel/yama/ptrace_scope");
  return {"ptrace", answer(outcome.yes()), true,
          outcome.text() + (yama.empty() ? ", no Yama" : ", Yama ptrace_scope " + yama),
          "controls the tracees, which die with their mediator"};
}

Probe probeMemoryAccess() {
  Outcome outcome = inChild([] {
    static char mark = 'm';
    pid_t other = fork();
    if (other < 0) return errno;
    if (other == 0) {
      pause();
      _exit(0);
    }
    char seen = 0;
    iovec local{&seen, 1}, remote{&mark, 1};
    int error = process_vm_readv(other, &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
    kill(other, SIGKILL);
    return error;
  });
  return {"process_vm_readv", answer(outcome.yes()), true, outcome.text(),
          "reads and writes the tracees' memory"};
}

Probe probeSeccomp() {
  // The filter lets everything pass but getppid, which is to be answered as the mediator would.
  Outcome outcome = inChild([] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{std::size(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return errno;
    // Without a tracer SECCOMP_RET_TRACE answers ENOSYS (seccomp(2)).
    if (syscall(SYS_getppid) != -1 || errno != ENOSYS) return EPROTO;
    return 0;
  });
  return {"seccomp", answer(outcome.yes()), true, "filters: " + outcome.text(),
          "stops a tracee at every call, and refuses what is not x86-64"};
}

Probe probeUserNotification() {
  uint32_t action = SECCOMP_RET_USER_NOTIF;
  bool yes = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
  return {"seccomp-user-notification", answer(yes), false, yes ? "available" : strerror(errno),
          "takes calls at half the cost of a stop; a policy that decides needs it"};
}

Probe probeTsc() {
  Outcome outcome = inChild([] {
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV) != 0) return errno;
    __rdtsc();
    return 0;
  });
  bool trapped = outcome.ran && WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV;
  return {
      "rdtsc-trap", answer(trapped), false,
      trapped         ? "PR_SET_TSC works"
      : outcome.yes() ? "PR_SET_TSC has no effect here"
                      : outcome.text(),
      "readings of the time stamp counter are found in code; a trap catches what was not found"};
}

Probe probeCpuid() {
  Outcome outcome = inChild([] {
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) return errno;
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    return EPROTO;
  });
  bool trapped = outcome.ran && WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV;
  return {"cpuid-trap", answer(trapped), false, trapped ? "ARCH_SET_CPUID works" : outcome.text(),
          "without it, replay needs a CPU with the features that the recorded program used"};
}

Probe probeRandomInstructions() {
  unsigned a, b, c, d;
  bool random = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
  bool seed = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_RDSEED);
  std::string detail = std::string("RDRAND ") + (random ? "present" : "absent") + ", RDSEED " +
                       (seed ? "present" : "absent");
  return {"random-instructions", answer(random || seed), false, detail,
          "where present, they are found in code when it is mapped, and their results recorded"};
}

Probe probeCpu() {
  std::ifstream file("/proc/cpuinfo");
  std::string line, model = "unknown model";
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      model = line.substr(line.find(": ") + 2);
      break;
    }
  }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return {"cpus", Answer::kUnknown, false, model + ", " + strerror(errno), ""};
  }
  return {"cpus", Answer::kYes, false,
          model + ", " + std::to_string(CPU_COUNT(&allowed)) + " usable",
          "a session is kept on one, unless --no-pin is given"};
}

Probe probeHardwareCounters() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_BRANCH_INSTRUCTIONS;
  attributes.exclude_kernel = 1;
  UniqueFd counter(
      static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  int error = errno;
  bool denied = !counter && (error == EACCES || error == EPERM);
  return {"hardware-counters",
          counter  ? Answer::kYes
          : denied ? Answer::kUnknown
                   : Answer::kNo,
          false, counter ? "branch counter present" : strerror(error), "not needed"};
}

Probe probeLandlock() {
  long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return {"landlock", answer(abi > 0), false,
          abi > 0 ? "ABI " + std::to_string(abi) : strerror(errno),
          "a second line: binds a session to the trees outside of which its policy permits nothing"};
}

Probe probeUserNamespace() {
  Outcome outcome = inChild([] { return unshare(CLONE_NEWUSER) == 0 ? 0 : errno; });
  return {"user-namespaces", answer(outcome.yes()), false, outcome.text(),
          "for overlays where the user may not mount"};
}

Probe probeOverlays() {
  const std::string fault = overlay::overlayFault();
  return {"overlays", answer(fault.empty()), false, fault.empty() ? "can be mounted" : fault,
          "for record --overlay, which leaves trees as they are until a human merges"};
}

Probe probeVdso() {
  bool present = getauxval(AT_SYSINFO_EHDR) != 0;
  return {"vdso", answer(present), false, present ? "present" : "absent",
          "hidden from recorded programs, whose clock readings become visible calls"};
}

}  // namespace

std::vector<Probe> probeHost() {
  return {probeKernel(),
          probeCpu(),
          probePtrace(),
          probeMemoryAccess(),
          probeSeccomp(),
          probeTsc(),
          probeCpuid(),
          probeRandomInstructions(),
          probeVdso(),
          probeHardwareCounters(),
          probeUserNotification(),
          probeLandlock(),
          probeUserNamespace(),
          probeOverlays()};
}

}  // namespace airr::tools
