// Signals: sending, handling, blocking, waiting for.
#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using Treatment::kSignalReturn;
using namespace sizes;

constexpr Row kRows[] = {
    row(13, "rt_sigaction", signalNumber("signum"), in("act", bytes(kSigAction)),
        out("oldact", bytes(kSigAction)), size("sigsetsize")),
    row(14, "rt_sigprocmask", choice("how", names::kSignalMask), in("set", bytes(kSigSet)),
        out("oldset", bytes(kSigSet)), size("sigsetsize")),
    row(15, "rt_sigreturn").replayedAs(kSignalReturn),
    row(34, "pause").blocks(),
    row(62, "kill", pid(), signalNumber()).needs(kSignal),
    row(127, "rt_sigpending", out("set", counted(1)), size("sigsetsize")),
    row(128, "rt_sigtimedwait", in("set", bytes(kSigSet)), out("info", bytes(kSigInfo)),
        in("timeout", bytes(kTimespec)), size("sigsetsize"))
        .blocks(),
    row(129, "rt_sigqueueinfo", pid("tgid"), signalNumber(), in("info", bytes(kSigInfo)))
        .needs(kSignal),
    row(130, "rt_sigsuspend", in("mask", bytes(kSigSet)), size("sigsetsize")).blocks(),
    row(131, "sigaltstack", in("ss", bytes(kSigStack)), out("old_ss", bytes(kSigStack))),
    row(200, "tkill", pid("tid"), signalNumber()).needs(kSignal),
    row(219, "restart_syscall").blocks().noted("goes on with the call that a signal interrupted"),
    row(234, "tgkill", pid("tgid"), pid("tid"), signalNumber()).needs(kSignal),
    row(282, "signalfd", fd(), in("mask", counted(2)), size("sizemask")),
    row(289, "signalfd4", fd(), in("mask", counted(2)), size("sizemask"),
        flags("flags", names::kOpen)),
    row(297, "rt_tgsigqueueinfo", pid("tgid"), pid("tid"), signalNumber(),
        in("info", bytes(kSigInfo)))
        .needs(kSignal),
    row(424, "pidfd_send_signal", fd("pidfd"), signalNumber(), in("info", bytes(kSigInfo)), flags())
        .needs(kSignal),
};

}  // namespace

std::span<const Row> signalRows() { return kRows; }

}  // namespace airr::syscalls
