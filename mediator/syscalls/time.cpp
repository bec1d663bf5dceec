// Clocks, timers, sleeping.
#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

constexpr Argument kClockId = choice("clockid", names::kClock);
constexpr Argument kTimerSet = flags("flags", names::kTimerFlags);
// Written only by a sleep that was interrupted.
constexpr Argument kRemaining = onFailure(out("rem", bytes(kTimespec)));

constexpr Row kRows[] = {
    row(35, "nanosleep", in("req", bytes(kTimespec)), kRemaining).blocks(),
    row(36, "getitimer", choice("which", names::kIntervalTimer),
        out("curr_value", bytes(kItimerval))),
    row(37, "alarm", integer("seconds")),
    row(38, "setitimer", choice("which", names::kIntervalTimer), in("new_value", bytes(kItimerval)),
        out("old_value", bytes(kItimerval))),
    row(96, "gettimeofday", out("tv", bytes(kTimeval)), out("tz", bytes(kTimezone))),
    row(100, "times", out("buf", bytes(kTms))),
    row(159, "adjtimex", inOut("buf", bytes(kTimex))).needs(kSystem),
    row(164, "settimeofday", in("tv", bytes(kTimeval)), in("tz", bytes(kTimezone))).needs(kSystem),
    row(201, "time", out("tloc", bytes(kLong))),
    row(222, "timer_create", kClockId, in("sevp", bytes(kSigEvent)), out("timerid", bytes(kWord))),
    row(223, "timer_settime", integer("timerid"), kTimerSet, in("new_value", bytes(kItimerspec)),
        out("old_value", bytes(kItimerspec))),
    row(224, "timer_gettime", integer("timerid"), out("curr_value", bytes(kItimerspec))),
    row(225, "timer_getoverrun", integer("timerid")),
    row(226, "timer_delete", integer("timerid")),
    row(227, "clock_settime", kClockId, in("tp", bytes(kTimespec))).needs(kSystem),
    row(228, "clock_gettime", kClockId, out("tp", bytes(kTimespec))),
    row(229, "clock_getres", kClockId, out("res", bytes(kTimespec))),
    row(230, "clock_nanosleep", kClockId, kTimerSet, in("request", bytes(kTimespec)), kRemaining)
        .blocks(),
    row(283, "timerfd_create", kClockId, flags("flags", names::kOpen)),
    row(286, "timerfd_settime", fd(), kTimerSet, in("new_value", bytes(kItimerspec)),
        out("old_value", bytes(kItimerspec))),
    row(287, "timerfd_gettime", fd(), out("curr_value", bytes(kItimerspec))),
    row(305, "clock_adjtime", kClockId, inOut("buf", bytes(kTimex))).needs(kSystem),
};

}  // namespace

std::span<const Row> timeRows() { return kRows; }

}  // namespace airr::syscalls
