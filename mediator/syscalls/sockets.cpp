// Sockets: making, connecting, sending, receiving, options.
#include <sys/socket.h>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using enum Authority;
using namespace sizes;

constexpr Argument kDomain = choice("domain", names::kSocketDomain);
constexpr Argument kType = flags("type", names::kSocketType);
constexpr Argument kMessageFlags = flags("flags", names::kMessageFlags);
constexpr Argument kLevel = choice("level", names::kSocketLevel);
constexpr Argument kGivenAddress = out("addr", valueResult(2));
constexpr Argument kGivenLength = always(inOut("addrlen", bytes(kWord)));

constexpr Row kRows[] = {
    row(41, "socket", kDomain, kType, integer("protocol")).needs(kSocket),
    row(42, "connect", fd("sockfd"), in("addr", counted(2)), integer("addrlen"))
        .needs(kConnect)
        .blocks(),
    row(43, "accept", fd("sockfd"), kGivenAddress, kGivenLength).blocks(),
    row(44, "sendto", fd("sockfd"), in("buf", counted(2)), size("len"), kMessageFlags,
        in("dest_addr", counted(5)), integer("addrlen"))
        .needs(kConnect)
        .blocksUnless(3, MSG_DONTWAIT),
    row(45, "recvfrom", fd("sockfd"), out("buf", result(2)), size("len"), kMessageFlags,
        out("src_addr", valueResult(5)), always(inOut("addrlen", bytes(kWord))))
        .blocksUnless(3, MSG_DONTWAIT),
    row(46, "sendmsg", fd("sockfd"), in("msg", Size::kMsgHdr), kMessageFlags)
        .needs(kConnect)
        .blocksUnless(2, MSG_DONTWAIT),
    row(47, "recvmsg", fd("sockfd"), out("msg", Size::kMsgHdr), kMessageFlags)
        .blocksUnless(2, MSG_DONTWAIT),
    row(48, "shutdown", fd("sockfd"), choice("how", names::kShutdown)),
    row(49, "bind", fd("sockfd"), in("addr", counted(2)), integer("addrlen")).needs(kConnect),
    row(50, "listen", fd("sockfd"), integer("backlog")).needs(kConnect),
    row(51, "getsockname", fd("sockfd"), kGivenAddress, kGivenLength),
    row(52, "getpeername", fd("sockfd"), kGivenAddress, kGivenLength),
    row(53, "socketpair", kDomain, kType, integer("protocol"), out("sv", bytes(kFdPair)))
        .needs(kSocket),
    row(54, "setsockopt", fd("sockfd"), kLevel, integer("optname"), in("optval", counted(4)),
        integer("optlen"))
        .by(kSetsockoptOperations),
    row(55, "getsockopt", fd("sockfd"), kLevel, integer("optname"), out("optval", valueResult(4)),
        always(inOut("optlen", bytes(kWord))))
        .by(kGetsockoptOperations),
    row(288, "accept4", fd("sockfd"), kGivenAddress, kGivenLength,
        flags("flags", names::kSocketType))
        .blocks(),
    row(299, "recvmmsg", fd("sockfd"), out("msgvec", messages(2)), integer("vlen"), kMessageFlags,
        inOut("timeout", bytes(kTimespec)))
        .blocksUnless(3, MSG_DONTWAIT),
    row(307, "sendmmsg", fd("sockfd"), inOut("msgvec", messages(2)), integer("vlen"), kMessageFlags)
        .needs(kConnect)
        .blocksUnless(3, MSG_DONTWAIT)
        .noted("writes only each msg_len"),
};

}  // namespace

std::span<const Row> socketRows() { return kRows; }

}  // namespace airr::syscalls
