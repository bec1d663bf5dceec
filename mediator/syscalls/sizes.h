// Sizes of the structures that cross the x86-64 syscall boundary, as the kernel lays them out
// (libc's structures of the same name may differ). sizes.cpp checks them against the kernel's
// headers.
#pragma once

#include <cstdint>

namespace airr::syscalls::sizes {

constexpr uint32_t kWord = 4;  // int, pid_t, uid_t, a descriptor, a futex
constexpr uint32_t kLong = 8;
constexpr uint32_t kFdPair = 8;

constexpr uint32_t kStat = 144;
constexpr uint32_t kStatx = 256;
constexpr uint32_t kStatfs = 120;
constexpr uint32_t kUstat = 32;
constexpr uint32_t kUtimbuf = 16;
constexpr uint32_t kFlock = 32;
constexpr uint32_t kFileOwner = 8;
constexpr uint32_t kCacheStatRange = 16;
constexpr uint32_t kCacheStat = 40;

constexpr uint32_t kTimespec = 16;
constexpr uint32_t kTimeval = 16;
constexpr uint32_t kTimezone = 8;
constexpr uint32_t kItimerspec = 32;
constexpr uint32_t kItimerval = 32;
constexpr uint32_t kTimex = 208;
constexpr uint32_t kTms = 32;

constexpr uint32_t kSigAction = 32;
constexpr uint32_t kSigSet = 8;
constexpr uint32_t kSigInfo = 128;
constexpr uint32_t kSigEvent = 64;
constexpr uint32_t kSigStack = 24;

constexpr uint32_t kRusage = 144;
constexpr uint32_t kRlimit = 16;
constexpr uint32_t kSchedParam = 4;
constexpr uint32_t kCapHeader = 8;
constexpr uint32_t kCapData = 24;  // versions 2 and 3; version 1 has 12
constexpr uint32_t kFutexWaitv = 24;

constexpr uint32_t kUtsname = 390;
constexpr uint32_t kSysinfo = 112;

constexpr uint32_t kPollFd = 8;
constexpr uint32_t kEpollEvent = 12;

constexpr uint32_t kIoVec = 16;
constexpr uint32_t kMsgHdr = 56;
constexpr uint32_t kMMsgHdr = 64;
constexpr uint32_t kSockAddr = 128;  // sockaddr_storage: the most that the kernel gives back
constexpr uint32_t kIfReq = 40;
constexpr uint32_t kIfConf = 16;
constexpr uint32_t kArpReq = 68;
constexpr uint32_t kRtEntry = 120;

constexpr uint32_t kMqAttr = 64;
constexpr uint32_t kMsqidDs = 120;
constexpr uint32_t kMsgInfo = 32;
constexpr uint32_t kSemidDs = 104;
constexpr uint32_t kSemInfo = 40;
constexpr uint32_t kSemBuf = 6;

constexpr uint32_t kTermios = 36;
constexpr uint32_t kTermios2 = 44;
constexpr uint32_t kTermio = 18;
constexpr uint32_t kWinsize = 8;
constexpr uint32_t kSerial = 72;
constexpr uint32_t kSerialCounters = 80;
constexpr uint32_t kRs485 = 32;

constexpr uint32_t kFileHandle = 8;       // without the handle
constexpr uint32_t kMaxFileHandle = 128;  // MAX_HANDLE_SZ
constexpr uint32_t kFiemap = 32;          // without its extents
constexpr uint32_t kFiemapExtent = 56;
constexpr uint32_t kXattrArgs = 16;  // since 6.13, not in older headers

}  // namespace airr::syscalls::sizes
