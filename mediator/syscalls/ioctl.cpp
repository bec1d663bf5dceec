// ioctl requests. Those listed here either do not say their direction and size in their number, or
// say something else than what the kernel does; all others must be self-describing (_IOR, _IOW,
// _IOWR), else they are refused.
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/blkpg.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/if_tun.h>
#include <linux/kd.h>
#include <linux/nsfs.h>
#include <linux/random.h>
#include <linux/sockios.h>
#include <linux/vt.h>

#include <cerrno>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

constexpr uint64_t k32Bits = 0xffffffff;

constexpr Operation plain(uint64_t value, const char* name) { return {value, name}; }
constexpr Operation memory(uint64_t value, const char* name, Direction direction, Extent extent) {
  return {value, name, {{2, pointer("argp", direction, extent)}}};
}
constexpr Operation takes(uint64_t value, const char* name, uint32_t size) {
  return memory(value, name, Direction::kIn, bytes(size));
}
constexpr Operation gives(uint64_t value, const char* name, uint32_t size) {
  return memory(value, name, Direction::kOut, bytes(size));
}
constexpr Operation both(uint64_t value, const char* name, uint32_t size) {
  return memory(value, name, Direction::kInOut, bytes(size));
}
// Writes back even when it fails.
constexpr Operation report(uint64_t value, const char* name, Size size) {
  return {value, name, {{2, always(inOut("argp", size))}}};
}
constexpr Operation drains(Operation operation) {
  operation.blocks = true;
  return operation;
}
constexpr Operation refused(uint64_t value, const char* name,
                            const char* why = "its argument points to memory that is not modelled") {
  return {.value = value, .name = name, .refusal = EOPNOTSUPP, .why = why};
}

// A program whose clone fails copies the data with calls that are on record.
constexpr Operation unseen(uint64_t value, const char* name) {
  return {.value = value,
          .name = name,
          .refusal = EOPNOTSUPP,
          .why = "would give a file content that is not on record"};
}

constexpr Operation kIoctl[] = {
    // Terminals (asm-generic/ioctls.h, tty_ioctl(4)). The drain of TCSETSW waits for the reader.
    gives(TCGETS, "TCGETS", kTermios),
    takes(TCSETS, "TCSETS", kTermios),
    drains(takes(TCSETSW, "TCSETSW", kTermios)),
    drains(takes(TCSETSF, "TCSETSF", kTermios)),
    gives(TCGETS2, "TCGETS2", kTermios2),
    takes(TCSETS2, "TCSETS2", kTermios2),
    drains(takes(TCSETSW2, "TCSETSW2", kTermios2)),
    drains(takes(TCSETSF2, "TCSETSF2", kTermios2)),
    gives(TCGETA, "TCGETA", kTermio),
    takes(TCSETA, "TCSETA", kTermio),
    drains(takes(TCSETAW, "TCSETAW", kTermio)),
    drains(takes(TCSETAF, "TCSETAF", kTermio)),
    drains(plain(TCSBRK, "TCSBRK")),
    drains(plain(TCSBRKP, "TCSBRKP")),
    plain(TIOCSBRK, "TIOCSBRK"),
    plain(TIOCCBRK, "TIOCCBRK"),
    plain(TCXONC, "TCXONC"),
    plain(TCFLSH, "TCFLSH"),
    plain(TIOCEXCL, "TIOCEXCL"),
    plain(TIOCNXCL, "TIOCNXCL"),
    plain(TIOCSCTTY, "TIOCSCTTY"),
    plain(TIOCNOTTY, "TIOCNOTTY"),
    gives(TIOCGPGRP, "TIOCGPGRP", kWord),
    takes(TIOCSPGRP, "TIOCSPGRP", kWord),
    gives(TIOCGSID, "TIOCGSID", kWord),
    gives(TIOCOUTQ, "TIOCOUTQ", kWord),
    gives(FIONREAD, "FIONREAD", kWord),
    refused(TIOCSTI, "TIOCSTI", "it would type for the human who is asked for approvals"),
    gives(TIOCGWINSZ, "TIOCGWINSZ", kWinsize),
    takes(TIOCSWINSZ, "TIOCSWINSZ", kWinsize),
    gives(TIOCMGET, "TIOCMGET", kWord),
    takes(TIOCMBIS, "TIOCMBIS", kWord),
    takes(TIOCMBIC, "TIOCMBIC", kWord),
    takes(TIOCMSET, "TIOCMSET", kWord),
    drains(plain(TIOCMIWAIT, "TIOCMIWAIT")),
    gives(TIOCGICOUNT, "TIOCGICOUNT", kSerialCounters),
    gives(TIOCGSOFTCAR, "TIOCGSOFTCAR", kWord),
    takes(TIOCSSOFTCAR, "TIOCSSOFTCAR", kWord),
    plain(TIOCCONS, "TIOCCONS"),
    gives(TIOCGSERIAL, "TIOCGSERIAL", kSerial),
    takes(TIOCSSERIAL, "TIOCSSERIAL", kSerial),
    takes(TIOCPKT, "TIOCPKT", kWord),
    gives(TIOCGETD, "TIOCGETD", kWord),
    takes(TIOCSETD, "TIOCSETD", kWord),
    gives(TIOCGRS485, "TIOCGRS485", kRs485),
    both(TIOCSRS485, "TIOCSRS485", kRs485),
    gives(TIOCGPTN, "TIOCGPTN", kWord),
    takes(TIOCSPTLCK, "TIOCSPTLCK", kWord),
    gives(TIOCGPTLCK, "TIOCGPTLCK", kWord),
    gives(TIOCGPKT, "TIOCGPKT", kWord),
    gives(TIOCGEXCL, "TIOCGEXCL", kWord),
    gives(TIOCGDEV, "TIOCGDEV", kWord),
    plain(TIOCGPTPEER, "TIOCGPTPEER"),
    plain(TIOCSIG, "TIOCSIG"),
    plain(TIOCVHANGUP, "TIOCVHANGUP"),
    gives(TIOCGLCKTRMIOS, "TIOCGLCKTRMIOS", kTermios),
    takes(TIOCSLCKTRMIOS, "TIOCSLCKTRMIOS", kTermios),
    gives(KDGKBTYPE, "KDGKBTYPE", 1),
    gives(KDGETMODE, "KDGETMODE", kWord),
    gives(KDGKBMODE, "KDGKBMODE", kWord),
    gives(VT_GETSTATE, "VT_GETSTATE", 6),

    // Any descriptor.
    plain(FIOCLEX, "FIOCLEX"),
    plain(FIONCLEX, "FIONCLEX"),
    takes(FIONBIO, "FIONBIO", kWord),
    takes(FIOASYNC, "FIOASYNC", kWord),
    gives(FIOQSIZE, "FIOQSIZE", kLong),

    // Files (linux/fs.h). The kernel takes and gives an int where the number says long.
    both(FIBMAP, "FIBMAP", kWord),
    gives(FIGETBSZ, "FIGETBSZ", kWord),
    gives(FS_IOC_GETFLAGS, "FS_IOC_GETFLAGS", kWord),
    takes(FS_IOC_SETFLAGS, "FS_IOC_SETFLAGS", kWord),
    gives(FS_IOC_GETVERSION, "FS_IOC_GETVERSION", kWord),
    takes(FS_IOC_SETVERSION, "FS_IOC_SETVERSION", kWord),
    unseen(FICLONE, "FICLONE"),
    unseen(FICLONERANGE, "FICLONERANGE"),
    unseen(FIDEDUPERANGE, "FIDEDUPERANGE"),
    report(FS_IOC_FIEMAP, "FS_IOC_FIEMAP", Size::kFiemap),
    refused(_IOWR('X', 59, char[192]), "FS_IOC_GETFSMAP"),
    refused(FS_IOC_ENABLE_VERITY, "FS_IOC_ENABLE_VERITY"),
    refused(FS_IOC_MEASURE_VERITY, "FS_IOC_MEASURE_VERITY"),
    refused(FS_IOC_READ_VERITY_METADATA, "FS_IOC_READ_VERITY_METADATA"),
    refused(_IOWR('f', 22, char[9]), "FS_IOC_GET_ENCRYPTION_POLICY_EX"),

    // Block devices.
    gives(BLKROGET, "BLKROGET", kWord),
    takes(BLKROSET, "BLKROSET", kWord),
    plain(BLKRRPART, "BLKRRPART"),
    gives(BLKGETSIZE, "BLKGETSIZE", kLong),
    plain(BLKFLSBUF, "BLKFLSBUF"),
    plain(BLKRASET, "BLKRASET"),
    gives(BLKRAGET, "BLKRAGET", kLong),
    gives(BLKSECTGET, "BLKSECTGET", 2),
    gives(BLKSSZGET, "BLKSSZGET", kWord),
    gives(BLKBSZGET, "BLKBSZGET", kWord),
    takes(BLKBSZSET, "BLKBSZSET", kWord),
    gives(BLKGETSIZE64, "BLKGETSIZE64", kLong),
    takes(BLKDISCARD, "BLKDISCARD", 2 * kLong),
    takes(BLKSECDISCARD, "BLKSECDISCARD", 2 * kLong),
    takes(BLKZEROOUT, "BLKZEROOUT", 2 * kLong),
    gives(BLKIOMIN, "BLKIOMIN", kWord),
    gives(BLKIOOPT, "BLKIOOPT", kWord),
    gives(BLKALIGNOFF, "BLKALIGNOFF", kWord),
    gives(BLKPBSZGET, "BLKPBSZGET", kWord),
    gives(BLKDISCARDZEROES, "BLKDISCARDZEROES", kWord),
    gives(BLKROTATIONAL, "BLKROTATIONAL", 2),
    refused(BLKPG, "BLKPG"),

    // Namespaces, processes, randomness, tunnels.
    plain(NS_GET_USERNS, "NS_GET_USERNS"),
    plain(NS_GET_PARENT, "NS_GET_PARENT"),
    plain(NS_GET_NSTYPE, "NS_GET_NSTYPE"),
    gives(NS_GET_OWNER_UID, "NS_GET_OWNER_UID", kWord),
    plain(_IO(0xff, 1), "PIDFD_GET_CGROUP_NAMESPACE"),
    plain(_IO(0xff, 2), "PIDFD_GET_IPC_NAMESPACE"),
    plain(_IO(0xff, 3), "PIDFD_GET_MNT_NAMESPACE"),
    plain(_IO(0xff, 4), "PIDFD_GET_NET_NAMESPACE"),
    plain(_IO(0xff, 5), "PIDFD_GET_PID_NAMESPACE"),
    plain(_IO(0xff, 6), "PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE"),
    plain(_IO(0xff, 7), "PIDFD_GET_TIME_NAMESPACE"),
    plain(_IO(0xff, 8), "PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE"),
    plain(_IO(0xff, 9), "PIDFD_GET_USER_NAMESPACE"),
    plain(_IO(0xff, 10), "PIDFD_GET_UTS_NAMESPACE"),
    gives(RNDGETENTCNT, "RNDGETENTCNT", kWord),
    takes(RNDADDTOENTCNT, "RNDADDTOENTCNT", kWord),
    plain(RNDZAPENTCNT, "RNDZAPENTCNT"),
    plain(RNDCLEARPOOL, "RNDCLEARPOOL"),
    plain(RNDRESEEDCRNG, "RNDRESEEDCRNG"),
    both(TUNSETIFF, "TUNSETIFF", kIfReq),
    plain(TUNSETPERSIST, "TUNSETPERSIST"),
    plain(TUNSETOWNER, "TUNSETOWNER"),
    plain(TUNSETGROUP, "TUNSETGROUP"),
    plain(TUNSETOFFLOAD, "TUNSETOFFLOAD"),
    gives(TUNGETIFF, "TUNGETIFF", kIfReq),
    refused(TUNATTACHFILTER, "TUNATTACHFILTER"),

    // Sockets (linux/sockios.h, netdevice(7)).
    takes(FIOSETOWN, "FIOSETOWN", kWord),
    takes(SIOCSPGRP, "SIOCSPGRP", kWord),
    gives(FIOGETOWN, "FIOGETOWN", kWord),
    gives(SIOCGPGRP, "SIOCGPGRP", kWord),
    gives(SIOCATMARK, "SIOCATMARK", kWord),
    gives(SIOCGSTAMP_OLD, "SIOCGSTAMP", kTimeval),
    gives(SIOCGSTAMPNS_OLD, "SIOCGSTAMPNS", kTimespec),
    gives(SIOCOUTQNSD, "SIOCOUTQNSD", kWord),
    takes(SIOCADDRT, "SIOCADDRT", kRtEntry),
    takes(SIOCDELRT, "SIOCDELRT", kRtEntry),
    both(SIOCGIFNAME, "SIOCGIFNAME", kIfReq),
    memory(SIOCGIFCONF, "SIOCGIFCONF", Direction::kInOut, {Size::kIfConf}),
    both(SIOCGIFFLAGS, "SIOCGIFFLAGS", kIfReq),
    takes(SIOCSIFFLAGS, "SIOCSIFFLAGS", kIfReq),
    both(SIOCGIFADDR, "SIOCGIFADDR", kIfReq),
    takes(SIOCSIFADDR, "SIOCSIFADDR", kIfReq),
    both(SIOCGIFDSTADDR, "SIOCGIFDSTADDR", kIfReq),
    takes(SIOCSIFDSTADDR, "SIOCSIFDSTADDR", kIfReq),
    both(SIOCGIFBRDADDR, "SIOCGIFBRDADDR", kIfReq),
    takes(SIOCSIFBRDADDR, "SIOCSIFBRDADDR", kIfReq),
    both(SIOCGIFNETMASK, "SIOCGIFNETMASK", kIfReq),
    takes(SIOCSIFNETMASK, "SIOCSIFNETMASK", kIfReq),
    both(SIOCGIFMETRIC, "SIOCGIFMETRIC", kIfReq),
    takes(SIOCSIFMETRIC, "SIOCSIFMETRIC", kIfReq),
    both(SIOCGIFMTU, "SIOCGIFMTU", kIfReq),
    takes(SIOCSIFMTU, "SIOCSIFMTU", kIfReq),
    takes(SIOCSIFNAME, "SIOCSIFNAME", kIfReq),
    both(SIOCGIFHWADDR, "SIOCGIFHWADDR", kIfReq),
    takes(SIOCSIFHWADDR, "SIOCSIFHWADDR", kIfReq),
    both(SIOCGIFINDEX, "SIOCGIFINDEX", kIfReq),
    both(SIOCGIFTXQLEN, "SIOCGIFTXQLEN", kIfReq),
    takes(SIOCSIFTXQLEN, "SIOCSIFTXQLEN", kIfReq),
    both(SIOCGIFMAP, "SIOCGIFMAP", kIfReq),
    both(SIOCGIFPFLAGS, "SIOCGIFPFLAGS", kIfReq),
    takes(SIOCADDMULTI, "SIOCADDMULTI", kIfReq),
    takes(SIOCDELMULTI, "SIOCDELMULTI", kIfReq),
    both(SIOCGARP, "SIOCGARP", kArpReq),
    takes(SIOCSARP, "SIOCSARP", kArpReq),
    takes(SIOCDARP, "SIOCDARP", kArpReq),
};

// asm-generic/ioctl.h
bool describeByNumber(uint64_t request, Argument (&arguments)[6]) {
  const uint32_t size = _IOC_SIZE(request);
  const uint32_t direction = _IOC_DIR(request);
  if (size == 0 || direction == _IOC_NONE) return false;
  const Direction shown = direction == _IOC_READ    ? Direction::kOut
                          : direction == _IOC_WRITE ? Direction::kIn
                                                    : Direction::kInOut;
  arguments[2] = pointer("argp", shown, bytes(size));
  return true;
}

}  // namespace

constexpr Operations kIoctlOperations{1, k32Bits, kIoctl, ENOTTY, &describeByNumber};

bool ioctlKnown(uint64_t request) {
  const Call call{.number = 16, .arguments = {0, request}};
  Argument ignored[6];
  return operationOf(kIoctlOperations, call) ||
         describeByNumber(request & kIoctlOperations.mask, ignored);
}

}  // namespace airr::syscalls
