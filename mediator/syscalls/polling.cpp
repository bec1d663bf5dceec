// Waiting for descriptors: select, poll, epoll, event counters.
#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

// The kernel writes poll's revents and the time that is left even when a signal interrupts.
constexpr Argument kFds = always(inOut("fds", Extent{Size::kPollFds, 1, kPollFd}));
constexpr Argument kReadFds = inOut("readfds", Size::kFdSet);
constexpr Argument kWriteFds = inOut("writefds", Size::kFdSet);
constexpr Argument kExceptFds = inOut("exceptfds", Size::kFdSet);
constexpr Argument kEvents = out("events", result(2, kEpollEvent));

constexpr Row kRows[] = {
    row(7, "poll", kFds, integer("nfds"), integer("timeout")).blocks(),
    row(23, "select", integer("nfds"), kReadFds, kWriteFds, kExceptFds,
        always(inOut("timeout", bytes(kTimeval))))
        .blocks(),
    row(213, "epoll_create", integer("size")),
    row(214, "epoll_ctl_old").refused(ENOSYS, "not implemented by Linux"),
    row(215, "epoll_wait_old").refused(ENOSYS, "not implemented by Linux"),
    row(232, "epoll_wait", fd("epfd"), kEvents, integer("maxevents"), integer("timeout")).blocks(),
    row(233, "epoll_ctl", fd("epfd"), choice("op", names::kEpollControl), fd(),
        in("event", bytes(kEpollEvent))),
    row(270, "pselect6", integer("nfds"), kReadFds, kWriteFds, kExceptFds,
        always(inOut("timeout", bytes(kTimespec))), in("sigmask", Size::kSigSetPair))
        .blocks(),
    row(271, "ppoll", kFds, integer("nfds"), always(inOut("tmo_p", bytes(kTimespec))),
        in("sigmask", bytes(kSigSet)), size("sigsetsize"))
        .blocks(),
    row(281, "epoll_pwait", fd("epfd"), kEvents, integer("maxevents"), integer("timeout"),
        in("sigmask", bytes(kSigSet)), size("sigsetsize"))
        .blocks(),
    row(284, "eventfd", integer("initval")),
    row(290, "eventfd2", integer("initval"), flags("flags", names::kOpen)),
    row(291, "epoll_create1", flags("flags", names::kOpen)),
    row(441, "epoll_pwait2", fd("epfd"), kEvents, integer("maxevents"),
        in("timeout", bytes(kTimespec)), in("sigmask", bytes(kSigSet)), size("sigsetsize"))
        .blocks(),
};

}  // namespace

std::span<const Row> pollingRows() { return kRows; }

}  // namespace airr::syscalls
