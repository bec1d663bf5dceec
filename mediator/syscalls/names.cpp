#include "mediator/syscalls/names.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <charconv>

namespace airr::syscalls {
namespace {

#define AIRR_NAME(symbol) \
  { static_cast<uint64_t>(symbol), #symbol }

constexpr uint64_t kAllBits = ~uint64_t{0};
// The kernel's O_LARGEFILE; libc's is 0 on x86-64.
constexpr uint64_t kLargeFile = 0100000;

constexpr Name kOpenEntries[] = {
    AIRR_NAME(O_RDONLY),   AIRR_NAME(O_WRONLY),         AIRR_NAME(O_RDWR),
    AIRR_NAME(O_CREAT),    AIRR_NAME(O_EXCL),           AIRR_NAME(O_NOCTTY),
    AIRR_NAME(O_TRUNC),    AIRR_NAME(O_APPEND),         AIRR_NAME(O_NONBLOCK),
    AIRR_NAME(O_TMPFILE),  AIRR_NAME(O_DIRECTORY),      AIRR_NAME(O_SYNC),
    AIRR_NAME(O_DSYNC),    AIRR_NAME(O_ASYNC),          AIRR_NAME(O_DIRECT),
    AIRR_NAME(O_NOFOLLOW), AIRR_NAME(O_NOATIME),        AIRR_NAME(O_CLOEXEC),
    AIRR_NAME(O_PATH),     {kLargeFile, "O_LARGEFILE"},
};
constexpr Name kAccessEntries[] = {AIRR_NAME(F_OK), AIRR_NAME(R_OK), AIRR_NAME(W_OK),
                                   AIRR_NAME(X_OK)};
constexpr Name kAtEntries[] = {
    AIRR_NAME(AT_SYMLINK_NOFOLLOW), AIRR_NAME(AT_REMOVEDIR),  AIRR_NAME(AT_SYMLINK_FOLLOW),
    AIRR_NAME(AT_NO_AUTOMOUNT),     AIRR_NAME(AT_EMPTY_PATH), AIRR_NAME(AT_STATX_FORCE_SYNC),
    AIRR_NAME(AT_STATX_DONT_SYNC),  AIRR_NAME(AT_RECURSIVE),
};
constexpr Name kAdviceEntries[] = {
    AIRR_NAME(MADV_NORMAL),     AIRR_NAME(MADV_RANDOM),        AIRR_NAME(MADV_SEQUENTIAL),
    AIRR_NAME(MADV_WILLNEED),   AIRR_NAME(MADV_DONTNEED),      AIRR_NAME(MADV_FREE),
    AIRR_NAME(MADV_REMOVE),     AIRR_NAME(MADV_DONTFORK),      AIRR_NAME(MADV_DOFORK),
    AIRR_NAME(MADV_MERGEABLE),  AIRR_NAME(MADV_UNMERGEABLE),   AIRR_NAME(MADV_HUGEPAGE),
    AIRR_NAME(MADV_NOHUGEPAGE), AIRR_NAME(MADV_DONTDUMP),      AIRR_NAME(MADV_DODUMP),
    AIRR_NAME(MADV_WIPEONFORK), AIRR_NAME(MADV_KEEPONFORK),    AIRR_NAME(MADV_COLD),
    AIRR_NAME(MADV_PAGEOUT),    AIRR_NAME(MADV_POPULATE_READ), AIRR_NAME(MADV_POPULATE_WRITE),
};
constexpr Name kClockEntries[] = {
    AIRR_NAME(CLOCK_REALTIME),
    AIRR_NAME(CLOCK_MONOTONIC),
    AIRR_NAME(CLOCK_PROCESS_CPUTIME_ID),
    AIRR_NAME(CLOCK_THREAD_CPUTIME_ID),
    AIRR_NAME(CLOCK_MONOTONIC_RAW),
    AIRR_NAME(CLOCK_REALTIME_COARSE),
    AIRR_NAME(CLOCK_MONOTONIC_COARSE),
    AIRR_NAME(CLOCK_BOOTTIME),
    AIRR_NAME(CLOCK_REALTIME_ALARM),
    AIRR_NAME(CLOCK_BOOTTIME_ALARM),
    AIRR_NAME(CLOCK_TAI),
};
constexpr Name kCloneEntries[] = {
    AIRR_NAME(CLONE_VM),
    AIRR_NAME(CLONE_FS),
    AIRR_NAME(CLONE_FILES),
    AIRR_NAME(CLONE_SIGHAND),
    AIRR_NAME(CLONE_PIDFD),
    AIRR_NAME(CLONE_PTRACE),
    AIRR_NAME(CLONE_VFORK),
    AIRR_NAME(CLONE_PARENT),
    AIRR_NAME(CLONE_THREAD),
    AIRR_NAME(CLONE_NEWNS),
    AIRR_NAME(CLONE_SYSVSEM),
    AIRR_NAME(CLONE_SETTLS),
    AIRR_NAME(CLONE_PARENT_SETTID),
    AIRR_NAME(CLONE_CHILD_CLEARTID),
    AIRR_NAME(CLONE_DETACHED),
    AIRR_NAME(CLONE_UNTRACED),
    AIRR_NAME(CLONE_CHILD_SETTID),
    AIRR_NAME(CLONE_NEWCGROUP),
    AIRR_NAME(CLONE_NEWUTS),
    AIRR_NAME(CLONE_NEWIPC),
    AIRR_NAME(CLONE_NEWUSER),
    AIRR_NAME(CLONE_NEWPID),
    AIRR_NAME(CLONE_NEWNET),
    AIRR_NAME(CLONE_IO),
    AIRR_NAME(SIGCHLD),
};
constexpr Name kCloseRangeEntries[] = {AIRR_NAME(CLOSE_RANGE_UNSHARE),
                                       AIRR_NAME(CLOSE_RANGE_CLOEXEC)};
constexpr Name kEpollEntries[] = {AIRR_NAME(EPOLL_CTL_ADD), AIRR_NAME(EPOLL_CTL_DEL),
                                  AIRR_NAME(EPOLL_CTL_MOD)};
constexpr Name kFlockEntries[] = {AIRR_NAME(LOCK_SH), AIRR_NAME(LOCK_EX), AIRR_NAME(LOCK_NB),
                                  AIRR_NAME(LOCK_UN)};
constexpr Name kGetRandomEntries[] = {AIRR_NAME(GRND_NONBLOCK), AIRR_NAME(GRND_RANDOM),
                                      AIRR_NAME(GRND_INSECURE)};
constexpr Name kIntervalTimerEntries[] = {AIRR_NAME(ITIMER_REAL), AIRR_NAME(ITIMER_VIRTUAL),
                                          AIRR_NAME(ITIMER_PROF)};
constexpr Name kMapEntries[] = {
    AIRR_NAME(MAP_SHARED),          AIRR_NAME(MAP_PRIVATE),    AIRR_NAME(MAP_SHARED_VALIDATE),
    AIRR_NAME(MAP_FIXED),           AIRR_NAME(MAP_ANONYMOUS),  AIRR_NAME(MAP_GROWSDOWN),
    AIRR_NAME(MAP_DENYWRITE),       AIRR_NAME(MAP_EXECUTABLE), AIRR_NAME(MAP_LOCKED),
    AIRR_NAME(MAP_NORESERVE),       AIRR_NAME(MAP_POPULATE),   AIRR_NAME(MAP_NONBLOCK),
    AIRR_NAME(MAP_STACK),           AIRR_NAME(MAP_HUGETLB),    AIRR_NAME(MAP_SYNC),
    AIRR_NAME(MAP_FIXED_NOREPLACE), {0x40, "MAP_32BIT"},
};
constexpr Name kMemfdEntries[] = {
    AIRR_NAME(MFD_CLOEXEC), AIRR_NAME(MFD_ALLOW_SEALING),
    AIRR_NAME(MFD_HUGETLB), {8, "MFD_NOEXEC_SEAL"},
    {16, "MFD_EXEC"},
};
constexpr Name kMessageEntries[] = {
    AIRR_NAME(MSG_OOB),          AIRR_NAME(MSG_PEEK),     AIRR_NAME(MSG_DONTROUTE),
    AIRR_NAME(MSG_CTRUNC),       AIRR_NAME(MSG_TRUNC),    AIRR_NAME(MSG_DONTWAIT),
    AIRR_NAME(MSG_EOR),          AIRR_NAME(MSG_WAITALL),  AIRR_NAME(MSG_CONFIRM),
    AIRR_NAME(MSG_ERRQUEUE),     AIRR_NAME(MSG_NOSIGNAL), AIRR_NAME(MSG_MORE),
    AIRR_NAME(MSG_WAITFORONE),   AIRR_NAME(MSG_ZEROCOPY), AIRR_NAME(MSG_FASTOPEN),
    AIRR_NAME(MSG_CMSG_CLOEXEC),
};
// sys/mount.h has these as an enumeration.
constexpr Name kMountEntries[] = {
    {1, "MS_RDONLY"},         {2, "MS_NOSUID"},       {4, "MS_NODEV"},
    {8, "MS_NOEXEC"},         {16, "MS_SYNCHRONOUS"}, {32, "MS_REMOUNT"},
    {1024, "MS_NOATIME"},     {4096, "MS_BIND"},      {8192, "MS_MOVE"},
    {16384, "MS_REC"},        {1 << 15, "MS_SILENT"}, {1 << 17, "MS_UNBINDABLE"},
    {1 << 18, "MS_PRIVATE"},  {1 << 19, "MS_SLAVE"},  {1 << 20, "MS_SHARED"},
    {1 << 21, "MS_RELATIME"},
};
constexpr Name kMremapEntries[] = {
    AIRR_NAME(MREMAP_MAYMOVE), AIRR_NAME(MREMAP_FIXED), {4, "MREMAP_DONTUNMAP"}};
constexpr Name kProtectionEntries[] = {
    AIRR_NAME(PROT_NONE), AIRR_NAME(PROT_READ),      AIRR_NAME(PROT_WRITE),
    AIRR_NAME(PROT_EXEC), AIRR_NAME(PROT_GROWSDOWN), AIRR_NAME(PROT_GROWSUP),
};
constexpr Name kRenameEntries[] = {
    {1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"}, {4, "RENAME_WHITEOUT"}};
constexpr Name kResourceEntries[] = {
    AIRR_NAME(RLIMIT_CPU),      AIRR_NAME(RLIMIT_FSIZE),  AIRR_NAME(RLIMIT_DATA),
    AIRR_NAME(RLIMIT_STACK),    AIRR_NAME(RLIMIT_CORE),   AIRR_NAME(RLIMIT_RSS),
    AIRR_NAME(RLIMIT_NPROC),    AIRR_NAME(RLIMIT_NOFILE), AIRR_NAME(RLIMIT_MEMLOCK),
    AIRR_NAME(RLIMIT_AS),       AIRR_NAME(RLIMIT_LOCKS),  AIRR_NAME(RLIMIT_SIGPENDING),
    AIRR_NAME(RLIMIT_MSGQUEUE), AIRR_NAME(RLIMIT_NICE),   AIRR_NAME(RLIMIT_RTPRIO),
    AIRR_NAME(RLIMIT_RTTIME),
};
constexpr Name kShutdownEntries[] = {AIRR_NAME(SHUT_RD), AIRR_NAME(SHUT_WR), AIRR_NAME(SHUT_RDWR)};
constexpr Name kSignalMaskEntries[] = {AIRR_NAME(SIG_BLOCK), AIRR_NAME(SIG_UNBLOCK),
                                       AIRR_NAME(SIG_SETMASK)};
constexpr Name kDomainEntries[] = {
    AIRR_NAME(AF_UNSPEC),  AIRR_NAME(AF_UNIX),   AIRR_NAME(AF_INET), AIRR_NAME(AF_INET6),
    AIRR_NAME(AF_NETLINK), AIRR_NAME(AF_PACKET), AIRR_NAME(AF_ALG),  AIRR_NAME(AF_VSOCK),
};
constexpr Name kLevelEntries[] = {
    {0, "SOL_IP"},    {1, "SOL_SOCKET"},   {6, "SOL_TCP"},       {17, "SOL_UDP"},
    {41, "SOL_IPV6"}, {263, "SOL_PACKET"}, {270, "SOL_NETLINK"},
};
constexpr Name kTypeEntries[] = {
    AIRR_NAME(SOCK_STREAM),  AIRR_NAME(SOCK_DGRAM),     AIRR_NAME(SOCK_RAW),
    AIRR_NAME(SOCK_RDM),     AIRR_NAME(SOCK_SEQPACKET), AIRR_NAME(SOCK_NONBLOCK),
    AIRR_NAME(SOCK_CLOEXEC),
};
constexpr Name kTimerEntries[] = {AIRR_NAME(TIMER_ABSTIME)};
constexpr Name kUsageEntries[] = {AIRR_NAME(RUSAGE_SELF), AIRR_NAME(RUSAGE_CHILDREN),
                                  AIRR_NAME(RUSAGE_THREAD)};
constexpr Name kWaitEntries[] = {
    AIRR_NAME(WNOHANG),     AIRR_NAME(WUNTRACED), AIRR_NAME(WCONTINUED),
    AIRR_NAME(__WNOTHREAD), AIRR_NAME(__WALL),    AIRR_NAME(__WCLONE),
};
constexpr Name kWaitIdEntries[] = {
    AIRR_NAME(WNOHANG), AIRR_NAME(WSTOPPED),    AIRR_NAME(WEXITED), AIRR_NAME(WCONTINUED),
    AIRR_NAME(WNOWAIT), AIRR_NAME(__WNOTHREAD), AIRR_NAME(__WALL),  AIRR_NAME(__WCLONE),
};
constexpr Name kWhenceEntries[] = {
    AIRR_NAME(SEEK_SET),  AIRR_NAME(SEEK_CUR),  AIRR_NAME(SEEK_END),
    AIRR_NAME(SEEK_DATA), AIRR_NAME(SEEK_HOLE),
};

#undef AIRR_NAME

void append(std::string& text, std::string_view piece) {
  if (!text.empty()) text += '|';
  text += piece;
}

std::string hex(uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  return "0x" + std::string(digits, end);
}

}  // namespace

namespace names {
constexpr Names kAccessMode{0, kAccessEntries};
constexpr Names kAdvice{kAllBits, kAdviceEntries};
constexpr Names kAtFlags{0, kAtEntries};
constexpr Names kClock{kAllBits, kClockEntries};
constexpr Names kClone{CSIGNAL, kCloneEntries};
constexpr Names kCloseRange{0, kCloseRangeEntries};
constexpr Names kEpollControl{kAllBits, kEpollEntries};
constexpr Names kFlock{0, kFlockEntries};
constexpr Names kGetRandom{0, kGetRandomEntries};
constexpr Names kIntervalTimer{kAllBits, kIntervalTimerEntries};
constexpr Names kMapFlags{MAP_TYPE, kMapEntries};
constexpr Names kMemfd{0, kMemfdEntries};
constexpr Names kMessageFlags{0, kMessageEntries};
constexpr Names kMount{0, kMountEntries};
constexpr Names kMremap{0, kMremapEntries};
constexpr Names kOpen{O_ACCMODE, kOpenEntries};
constexpr Names kProtection{0, kProtectionEntries};
constexpr Names kRename{0, kRenameEntries};
constexpr Names kResource{kAllBits, kResourceEntries};
constexpr Names kShutdown{kAllBits, kShutdownEntries};
constexpr Names kSignalMask{kAllBits, kSignalMaskEntries};
constexpr Names kSocketDomain{kAllBits, kDomainEntries};
constexpr Names kSocketLevel{kAllBits, kLevelEntries};
constexpr Names kSocketType{0xf, kTypeEntries};
constexpr Names kTimerFlags{0, kTimerEntries};
constexpr Names kUsage{kAllBits, kUsageEntries};
constexpr Names kWait{0, kWaitEntries};
constexpr Names kWaitId{0, kWaitIdEntries};
constexpr Names kWhence{kAllBits, kWhenceEntries};
}  // namespace names

std::string symbols(const Names& names, uint64_t value) {
  std::string text;
  if (names.enumeration) {
    const uint64_t number = value & names.enumeration;
    bool named = false;
    for (const Name& name : names.entries) {
      if (name.value == number && !(name.value & ~names.enumeration)) {
        append(text, name.text);
        named = true;
        break;
      }
    }
    if (named) value &= ~names.enumeration;
  }
  for (const Name& name : names.entries) {
    const bool isBits = name.value && !(name.value & names.enumeration);
    if (isBits && (value & name.value) == name.value) {
      append(text, name.text);
      value &= ~name.value;
    }
  }
  if (value) append(text, hex(value));
  if (!text.empty()) return text;
  for (const Name& name : names.entries) {
    if (name.value == 0) return name.text;
  }
  return "0";
}

std::string signalName(int64_t number) {
  constexpr int64_t kFirstRealTime = 32;
  constexpr int64_t kLast = 64;
  if (number >= kFirstRealTime && number <= kLast) {
    return "SIGRT_" + std::to_string(number - kFirstRealTime);
  }
  const char* name =
      number > 0 && number < kFirstRealTime ? sigabbrev_np(static_cast<int>(number)) : nullptr;
  return name ? std::string("SIG") + name : std::to_string(number);
}

std::string errorName(int64_t error) {
  switch (error) {  // include/linux/errno.h: never seen by programs, but by their tracers
    case 512:
      return "ERESTARTSYS";
    case 513:
      return "ERESTARTNOINTR";
    case 514:
      return "ERESTARTNOHAND";
    case 516:
      return "ERESTART_RESTARTBLOCK";
    default:
      break;
  }
  const char* name = error > 0 && error < 4096 ? strerrorname_np(static_cast<int>(error)) : nullptr;
  return name ? name : "";
}

}  // namespace airr::syscalls
