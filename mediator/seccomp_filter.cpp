#include "mediator/seccomp_filter.h"

#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/gate_patch.h"
#include "mediator/raw_call.h"
#include "recorder/gate/gate.h"

namespace airr {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr unsigned long kWaitKillable = 1ul << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19

using Program = std::vector<sock_filter>;

constexpr uint32_t stop(FilterData data) {
  return SECCOMP_RET_TRACE | static_cast<uint32_t>(data);
}

void load(Program& program, size_t offset) {
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
}

void loadArgument(Program& program, int argument) {
  load(program, offsetof(seccomp_data, args) + static_cast<size_t>(argument) * sizeof(uint64_t));
}

void loadHighHalf(Program& program, int argument) {
  load(program, offsetof(seccomp_data, args) + static_cast<size_t>(argument) * sizeof(uint64_t) +
                    sizeof(uint32_t));
}

void give(Program& program, uint32_t verdict) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, verdict));
}

void jump(Program& program, uint16_t condition, uint32_t value, size_t ifTrue, size_t ifFalse) {
  program.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | condition | BPF_K), value,
                             static_cast<uint8_t>(ifTrue), static_cast<uint8_t>(ifFalse)));
}

// Leaves the call's number loaded.
void stopForeignTables(Program& program) {
  load(program, offsetof(seccomp_data, arch));
  jump(program, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
  give(program, stop(FilterData::kForeignTable));
  load(program, offsetof(seccomp_data, nr));
  jump(program, BPF_JGE, kX32Bit, 0, 1);
  give(program, stop(FilterData::kX32));
}

// What calls from one place get. Leaves the number loaded.
void decideAt(Program& program, uint64_t behindInstruction, const Program& verdict) {
  const auto skipUnless = [&](uint32_t value, size_t count) {
    jump(program, BPF_JEQ, value, 1, 0);
    program.push_back(BPF_STMT(BPF_JMP | BPF_JA, static_cast<uint32_t>(count)));
  };
  load(program, offsetof(seccomp_data, instruction_pointer));
  skipUnless(static_cast<uint32_t>(behindInstruction), 3 + verdict.size());
  load(program, offsetof(seccomp_data, instruction_pointer) + 4);
  skipUnless(static_cast<uint32_t>(behindInstruction >> 32), verdict.size());
  program.insert(program.end(), verdict.begin(), verdict.end());
  load(program, offsetof(seccomp_data, nr));
}

// Goes on behind if the test holds; else the call stops.
void require(Program& program, const ArgumentTest& test) {
  loadArgument(program, test.argument);
  for (size_t i = 0; i < test.equals.size(); ++i)
    jump(program, BPF_JEQ, test.equals[i], test.equals.size() - i, 0);
  if (!test.equals.empty()) give(program, stop(FilterData::kNative));
  if (test.clear != 0) {
    jump(program, BPF_JSET, test.clear, 0, 1);
    give(program, stop(FilterData::kNative));
  }
  if (test.set != 0) {
    program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, test.set));
    jump(program, BPF_JEQ, test.set, 1, 0);
    give(program, stop(FilterData::kNative));
  }
  if (test.large || test.small) {
    loadHighHalf(program, test.argument);
    jump(program, BPF_JEQ, 0, test.large ? 0 : 1, test.large ? 1 : 0);
    give(program, stop(FilterData::kNative));
  }
}

void decideWhen(Program& program, const CallTest& when, uint32_t verdict) {
  Program body;
  for (const ArgumentTest& test : when.tests) require(body, test);
  give(body, verdict);
  jump(program, BPF_JEQ, when.number, 0, body.size());
  program.insert(program.end(), body.begin(), body.end());
}

// The same, with other tests for each of some values of an argument; with other values the call stops.
void decideBy(Program& program, uint16_t number, int argument,
              const std::vector<std::pair<uint32_t, std::vector<ArgumentTest>>>& values, uint32_t verdict) {
  Program body;
  for (const auto& [value, tests] : values) {
    Program one;
    for (const ArgumentTest& test : tests) require(one, test);
    give(one, verdict);
    loadArgument(body, argument);
    jump(body, BPF_JEQ, value, 0, one.size());
    body.insert(body.end(), one.begin(), one.end());
  }
  give(body, stop(FilterData::kNative));
  jump(program, BPF_JEQ, number, 0, body.size());
  program.insert(program.end(), body.begin(), body.end());
}

// What the gate makes (recorder/gate/call.c): calls that use what was granted before, and neither
// name nor reach anything; and, where no policy decides on them, lookups of names, and opens.
void passGate(Program& program, GatePowers powers) {
  Program calls;
  load(calls, offsetof(seccomp_data, nr));
  for (uint16_t number : {SYS_clock_gettime, SYS_read, SYS_pread64, SYS_getdents64, SYS_lseek,
                          SYS_fstat, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_getpid, SYS_gettid,
                          SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_brk,
                          SYS_set_tid_address, SYS_set_robust_list, SYS_getitimer, SYS_getrusage,
                          SYS_rt_sigpending, SYS_getcwd, SYS_getppid, SYS_getpgrp, SYS_epoll_ctl}) {
    jump(calls, BPF_JEQ, number, 0, 1);
    give(calls, SECCOMP_RET_ALLOW);
  }
  if (powers.looksUp) {
    for (const int number : kGateLookups) {
      jump(calls, BPF_JEQ, static_cast<uint32_t>(number), 0, 1);
      give(calls, SECCOMP_RET_ALLOW);
    }
  }
  decideWhen(calls, {SYS_ioctl, {{1, 0, 0, {TCGETS}}}}, SECCOMP_RET_ALLOW);
  // The gate's own descriptors stay what they are.
  static_assert(AIRR_GATE_OWN_FDS == 1024);
  const ArgumentTest below{0, ~uint32_t{AIRR_GATE_OWN_FDS - 1}, 0, {}};
  const ArgumentTest copyBelow{1, ~uint32_t{AIRR_GATE_OWN_FDS - 1}, 0, {}};
  decideWhen(calls, {SYS_close, {below}}, SECCOMP_RET_ALLOW);
  for (uint16_t number : {SYS_dup2, SYS_dup3}) decideWhen(calls, {number, {below, copyBelow}}, SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_fcntl, {{1, 0, 0, {F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC, F_SETLK}}, below}},
             SECCOMP_RET_ALLOW);
  if (powers.opens) {
    constexpr uint32_t kWays = (AIRR_GATE_HOW_COUNT - 1) * AIRR_GATE_HOW_STRIDE;
    const auto how = [](uint32_t first) {
      return ArgumentTest{2, ~(kWays | first), first, {}, /*large=*/false, /*small=*/true};
    };
    static_assert((AIRR_GATE_HOWS & kWays) == 0 && (AIRR_GATE_GRANTED_HOWS & kWays) == 0);
    const ArgumentTest whole{3, 0, 0, {AIRR_GATE_HOW_SIZE}, /*large=*/false, /*small=*/true};
    // A whole name that is granted, not what stands in the middle of one.
    constexpr uint32_t kNumbers = AIRR_GATE_GRANTED_NAMES_SIZE - AIRR_GATE_NAME_SIZE;
    static_assert((AIRR_GATE_GRANTED_NAMES & (AIRR_GATE_GRANTED_NAMES_SIZE - 1)) == 0);
    const ArgumentTest granted{1, ~(kNumbers | uint32_t{AIRR_GATE_GRANTED_NAMES}), AIRR_GATE_GRANTED_NAMES, {},
                               /*large=*/false, /*small=*/true};
    decideBy(calls, SYS_openat2, 0,
             {{AIRR_GATE_TREE_FD, {how(AIRR_GATE_HOWS), whole}},
              {AIRR_GATE_ROOT_FD, {granted, how(AIRR_GATE_GRANTED_HOWS), whole}}},
             SECCOMP_RET_ALLOW);
  }
  decideWhen(calls, {SYS_futex, {{1, 0, 0, {FUTEX_WAKE, FUTEX_WAKE_PRIVATE}}}}, SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_arch_prctl, {{0, 0, 0, {ARCH_SET_FS}}}}, SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_prctl, {{0, 0, 0, {PR_SET_NAME, PR_GET_NAME}}}}, SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_getrandom, {{2, UINT32_MAX, 0, {}}}}, SECCOMP_RET_ALLOW);
  // A reading of the caller's own limits.
  const ArgumentTest none{2, UINT32_MAX, 0, {}};
  decideWhen(calls, {SYS_prlimit64, {{0, UINT32_MAX, 0, {}}, none, {2, 0, 0, {}, /*large=*/false, /*small=*/true}}},
             SECCOMP_RET_ALLOW);
  // Memory that is not executable; and not the gate's, which is below 4 GiB.
  constexpr uint32_t kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
  const ArgumentTest notExecutable{2, ~uint32_t{PROT_READ | PROT_WRITE}, 0, {}};
  const ArgumentTest aboveGate{0, 0, 0, {}, /*large=*/true};
  decideWhen(calls, {SYS_mmap, {notExecutable, {3, ~(kPrivate | MAP_NORESERVE | MAP_STACK), kPrivate, {}}}},
             SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_mprotect, {notExecutable, aboveGate}}, SECCOMP_RET_ALLOW);
  decideWhen(calls, {SYS_munmap, {aboveGate}}, SECCOMP_RET_ALLOW);
  const ArgumentTest mark{2, 0, 0, {MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP}};
  decideWhen(calls, {SYS_madvise, {mark, aboveGate}}, SECCOMP_RET_ALLOW);
  decideAt(program, AIRR_GATE_SYSCALL + 2, calls);
}

}  // namespace

Filter::Filter() {
  stopForeignTables(stopping_);
  give(stopping_, stop(FilterData::kNative));
}

Filter::Filter(std::span<const CallTest> notified, GatePowers powers) {
  stopForeignTables(stopping_);
  passGate(stopping_, powers);
  notifying_ = stopping_;
  Program injected;
  give(injected, stop(FilterData::kNative));
  decideAt(notifying_, AIRR_GATE_INJECT + 2, injected);
  for (const CallTest& when : notified) decideWhen(notifying_, when, SECCOMP_RET_USER_NOTIF);
  give(stopping_, stop(FilterData::kNative));
  give(notifying_, stop(FilterData::kNative));
}

int Filter::install() const {
  if (const long failed = rawCall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1); failed != 0) return static_cast<int>(failed);
  // Traps RDTSC and RDTSCP for this task and its descendants, across exec (arch/x86/kernel/process.c,
  // TIF_NOTSC). From here on the vDSO's clock would fault, so nothing may read the time before exec.
  if (const long failed = rawCall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV); failed != 0) return static_cast<int>(failed);
  const auto programOf = [](const Program& from) {
    sock_fprog program{};
    program.len = static_cast<unsigned short>(from.size());
    program.filter = const_cast<sock_filter*>(from.data());
    return program;
  };
  if (!notifying_.empty()) {
    const sock_fprog program = programOf(notifying_);
    constexpr long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable;
    const long listener = rawCall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, asArgument(&program));
    if (listener >= 0) return 0;
    if (listener != -EBUSY && listener != -EINVAL) return static_cast<int>(listener);
  }
  const sock_fprog program = programOf(stopping_);
  return static_cast<int>(rawCall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, asArgument(&program)));
}

}  // namespace airr
