// Processes and threads: making, ending, waiting; identity, limits, scheduling; futexes.
#include <sys/wait.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using Treatment::kExec;
using Treatment::kExit;
using Treatment::kThreadState;
using namespace sizes;

constexpr uint32_t kClonePidfd = 0x1000;
constexpr uint32_t kCloneParentSetTid = 0x100000;
constexpr uint32_t kCloneChildTid = 0x1200000;  // CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
constexpr uint32_t kCloneSetTls = 0x80000;

constexpr Row kRows[] = {
    row(24, "sched_yield").blocks(),
    row(39, "getpid"),
    row(56, "clone", flags("flags", names::kClone), address("stack"),
        inPlace(when(0, kCloneParentSetTid | kClonePidfd, out("parent_tid", bytes(kWord)))),
        when(0, kCloneChildTid, address("child_tid")), when(0, kCloneSetTls, address("tls")))
        .needs(kSpawn)
        .replayedAs(Treatment::kSpawn)
        .noted("child_tid is written in the child"),
    row(57, "fork").needs(kSpawn).replayedAs(Treatment::kSpawn),
    row(58, "vfork")
        .needs(kSpawn)
        .replayedAs(Treatment::kSpawn)
        .noted("returns when the child has called execve or ended"),
    row(59, "execve", path(), in("argv", Size::kStringArray), in("envp", Size::kStringArray))
        .needs(kExecute)
        .replayedAs(kExec),
    row(60, "exit", integer("status")).replayedAs(kExit),
    row(61, "wait4", pid(), out("wstatus", bytes(kWord)), flags("options", names::kWait),
        out("rusage", bytes(kRusage)))
        .blocksUnless(2, WNOHANG),
    row(98, "getrusage", choice("who", names::kUsage), out("usage", bytes(kRusage))),
    row(97, "getrlimit", choice("resource", names::kResource), out("rlim", bytes(kRlimit))),
    row(101, "ptrace", integer("request"), pid(), address("addr"), address("data"))
        .refused(EPERM, "the mediator is the tracer"),
    row(102, "getuid"),
    row(104, "getgid"),
    row(105, "setuid", integer("uid")).needs(kPrivilege),
    row(106, "setgid", integer("gid")).needs(kPrivilege),
    row(107, "geteuid"),
    row(108, "getegid"),
    row(109, "setpgid", pid(), pid("pgid")),
    row(110, "getppid"),
    row(111, "getpgrp"),
    row(112, "setsid"),
    row(113, "setreuid", integer("ruid"), integer("euid")).needs(kPrivilege),
    row(114, "setregid", integer("rgid"), integer("egid")).needs(kPrivilege),
    row(115, "getgroups", integer("size"), out("list", result(0, kWord))),
    row(116, "setgroups", integer("size"), in("list", counted(0, kWord))).needs(kPrivilege),
    row(117, "setresuid", integer("ruid"), integer("euid"), integer("suid")).needs(kPrivilege),
    row(118, "getresuid", out("ruid", bytes(kWord)), out("euid", bytes(kWord)),
        out("suid", bytes(kWord))),
    row(119, "setresgid", integer("rgid"), integer("egid"), integer("sgid")).needs(kPrivilege),
    row(120, "getresgid", out("rgid", bytes(kWord)), out("egid", bytes(kWord)),
        out("sgid", bytes(kWord))),
    row(121, "getpgid", pid()),
    row(122, "setfsuid", integer("fsuid")).needs(kPrivilege),
    row(123, "setfsgid", integer("fsgid")).needs(kPrivilege),
    row(124, "getsid", pid()),
    row(125, "capget", always(inOut("hdrp", bytes(kCapHeader))), out("datap", bytes(kCapData))),
    row(126, "capset", always(inOut("hdrp", bytes(kCapHeader))), in("datap", bytes(kCapData)))
        .needs(kPrivilege),
    row(135, "personality", flags("persona")).needs(kPrivilege),
    row(140, "getpriority", integer("which"), integer("who")),
    row(141, "setpriority", integer("which"), integer("who"), integer("prio")).needs(kSignal),
    row(142, "sched_setparam", pid(), in("param", bytes(kSchedParam))).needs(kSignal),
    row(143, "sched_getparam", pid(), out("param", bytes(kSchedParam))),
    row(144, "sched_setscheduler", pid(), integer("policy"), in("param", bytes(kSchedParam)))
        .needs(kSignal),
    row(145, "sched_getscheduler", pid()),
    row(146, "sched_get_priority_max", integer("policy")),
    row(147, "sched_get_priority_min", integer("policy")),
    row(148, "sched_rr_get_interval", pid(), out("tp", bytes(kTimespec))),
    row(154, "modify_ldt", integer("func"), address("ptr"), size("bytecount"))
        .refused(ENOSYS, "segments of 32-bit code are not modelled"),
    row(157, "prctl", integer("option"), plain("arg2", Type::kHex), plain("arg3", Type::kHex),
        plain("arg4", Type::kHex), plain("arg5", Type::kHex))
        .by(kPrctlOperations)
        .needs(kPrivilege)
        .noted("memory by option"),
    row(158, "arch_prctl", flags("op"), address("addr"))
        .by(kArchPrctlOperations)
        .replayedAs(kThreadState)
        .noted("memory by op"),
    row(160, "setrlimit", choice("resource", names::kResource), in("rlim", bytes(kRlimit))),
    row(186, "gettid"),
    // The word is where threads wait: the kernel works on this very address.
    row(202, "futex", address("uaddr"), integer("op"), integer("val"), plain("timeout", Type::kHex),
        address("uaddr2"), plain("val3", Type::kHex))
        .by(kFutexOperations)
        .blocks()
        .noted("memory by op"),
    row(203, "sched_setaffinity", pid(), integer("cpusetsize"), in("mask", counted(1)))
        .needs(kSignal),
    row(204, "sched_getaffinity", pid(), integer("cpusetsize"), out("mask", result(1))),
    row(205, "set_thread_area", address("u_info"))
        .refused(ENOSYS, "segments of 32-bit code are not modelled"),
    row(211, "get_thread_area", address("u_info"))
        .refused(ENOSYS, "segments of 32-bit code are not modelled"),
    row(218, "set_tid_address", address("tidptr"))
        .noted("the word is cleared when the thread ends"),
    row(231, "exit_group", integer("status")).replayedAs(kExit),
    row(247, "waitid", integer("idtype"), pid("id"), always(out("infop", bytes(kSigInfo))),
        flags("options", names::kWaitId), out("rusage", bytes(kRusage)))
        .blocksUnless(3, WNOHANG),
    row(251, "ioprio_set", integer("which"), integer("who"), integer("ioprio")).needs(kSignal),
    row(252, "ioprio_get", integer("which"), integer("who")),
    row(272, "unshare", flags("flags", names::kClone)).needs(kSystem),
    row(273, "set_robust_list", address("head"), size("len"))
        .noted("the kernel marks the list's futexes when the thread ends"),
    row(274, "get_robust_list", pid(), out("head_ptr", bytes(kLong)), out("len_ptr", bytes(kLong)))
        .needs(kSignal),
    row(302, "prlimit64", pid(), choice("resource", names::kResource),
        in("new_limit", bytes(kRlimit)), out("old_limit", bytes(kRlimit)))
        .needs(kSignal),
    row(308, "setns", fd(), flags("nstype", names::kClone)).needs(kSystem),
    row(312, "kcmp", pid("pid1"), pid("pid2"), integer("type"), size("idx1"), size("idx2"))
        .needs(kSignal),
    // With E2BIG the kernel writes the size that it knows.
    row(314, "sched_setattr", pid(), always(inOut("attr", Size::kSized)), flags()).needs(kSignal),
    row(315, "sched_getattr", pid(), out("attr", counted(2)), integer("size"), flags()),
    row(317, "seccomp", integer("operation"), flags(), address("args"))
        .refused(ENOSYS, "a tracee's own filter could hide calls from the mediator"),
    row(322, "execveat", dirFd(), path(), in("argv", Size::kStringArray),
        in("envp", Size::kStringArray), flags("flags", names::kAtFlags))
        .needs(kExecute)
        .replayedAs(kExec),
    row(334, "rseq", address("rseq"), integer("rseq_len"), flags(), flags("sig"))
        .refused(ENOSYS, "the kernel would write CPU numbers into user memory at any time"),
    row(335, "uretprobe").refused(ENOSYS, "only for code that the kernel places"),
    row(336, "uprobe").refused(ENOSYS, "only for code that the kernel places"),
    row(434, "pidfd_open", pid(), flags()).needs(kSignal),
    row(435, "clone3", address("cl_args"), size("size"))
        .refused(ENOSYS, "so that programs use clone, whose arguments are in registers"),
    row(438, "pidfd_getfd", fd("pidfd"), fd("targetfd"), flags()).needs(kSignal),
    row(449, "futex_waitv", in("waiters", counted(1, kFutexWaitv)), integer("nr_futexes"), flags(),
        in("timeout", bytes(kTimespec)), choice("clockid", names::kClock))
        .blocks(),
    row(454, "futex_wake", address("uaddr"), flags("mask"), integer("nr"), flags()),
    row(455, "futex_wait", address("uaddr"), size("val"), flags("mask"), flags(),
        in("timeout", bytes(kTimespec)), choice("clockid", names::kClock))
        .blocks(),
    row(456, "futex_requeue", in("waiters", bytes(2 * kFutexWaitv)), flags(), integer("nr_wake"),
        integer("nr_requeue")),
};

}  // namespace

std::span<const Row> processRows() { return kRows; }

}  // namespace airr::syscalls
