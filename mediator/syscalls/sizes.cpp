#include "mediator/syscalls/sizes.h"

#include <asm/msgbuf.h>
#include <asm/sembuf.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/serial.h>
#include <linux/sysinfo.h>
#include <linux/time_types.h>
#include <linux/utsname.h>
#include <mqueue.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <utime.h>

namespace airr::syscalls::sizes {

static_assert(kStat == sizeof(struct stat));
static_assert(kStatfs == sizeof(struct statfs));
static_assert(kUtimbuf == sizeof(utimbuf));

static_assert(kTimespec == sizeof(__kernel_timespec));
static_assert(kTimeval == sizeof(timeval));
static_assert(kTimezone == sizeof(struct timezone));
static_assert(kItimerspec == sizeof(__kernel_itimerspec));
static_assert(kItimerval == sizeof(itimerval));
static_assert(kTimex == sizeof(timex));
static_assert(kTms == sizeof(tms));

static_assert(kSigInfo == sizeof(siginfo_t));
static_assert(kSigEvent == sizeof(sigevent));
static_assert(kSigStack == sizeof(stack_t));

static_assert(kRusage == sizeof(rusage));
static_assert(kRlimit == sizeof(rlimit));
static_assert(kCapHeader == sizeof(__user_cap_header_struct));
static_assert(kCapData == 2 * sizeof(__user_cap_data_struct));
static_assert(kFutexWaitv == sizeof(futex_waitv));

static_assert(kUtsname == sizeof(new_utsname));
static_assert(kSysinfo == sizeof(struct sysinfo));

static_assert(kPollFd == sizeof(pollfd));
static_assert(kEpollEvent == sizeof(epoll_event));

static_assert(kIoVec == sizeof(iovec));
static_assert(kMsgHdr == sizeof(msghdr));
static_assert(kMMsgHdr == sizeof(mmsghdr));
static_assert(kSockAddr == sizeof(sockaddr_storage));
static_assert(kIfReq == sizeof(ifreq));
static_assert(kIfConf == sizeof(ifconf));
static_assert(kArpReq == sizeof(arpreq));
static_assert(kRtEntry == sizeof(rtentry));

static_assert(kMqAttr == sizeof(mq_attr));
static_assert(kMsqidDs == sizeof(msqid64_ds));
static_assert(kMsgInfo == sizeof(msginfo));
static_assert(kSemidDs == sizeof(semid64_ds));
static_assert(kSemInfo == sizeof(seminfo));
static_assert(kSemBuf == sizeof(sembuf));

static_assert(kTermios == sizeof(termios));
static_assert(kTermios2 == sizeof(termios2));
static_assert(kSerial == sizeof(serial_struct));
static_assert(kSerialCounters == sizeof(serial_icounter_struct));
static_assert(kRs485 == sizeof(serial_rs485));

static_assert(kFiemap == sizeof(fiemap));
static_assert(kFiemapExtent == sizeof(fiemap_extent));

}  // namespace airr::syscalls::sizes
