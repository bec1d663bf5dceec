// Symbolic names of argument values (O_RDONLY, PROT_READ, SIGKILL, …), for printing.
//
// Constant data; usable from any thread; nothing fails.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace airr::syscalls {

struct Name {
  uint64_t value;
  const char* text;
};

// The bits in `enumeration` form one number, looked up whole; each of the other bits has its own
// name. Entries come in the order in which they are printed.
struct Names {
  uint64_t enumeration = 0;
  std::span<const Name> entries;
};

namespace names {
extern const Names kAccessMode;
extern const Names kAdvice;
extern const Names kAtFlags;
extern const Names kClock;
extern const Names kClone;
extern const Names kCloseRange;
extern const Names kEpollControl;
extern const Names kFlock;
extern const Names kGetRandom;
extern const Names kIntervalTimer;
extern const Names kMapFlags;
extern const Names kMemfd;
extern const Names kMessageFlags;
extern const Names kMount;
extern const Names kMremap;
extern const Names kOpen;
extern const Names kProtection;
extern const Names kRename;
extern const Names kResource;
extern const Names kShutdown;
extern const Names kSignalMask;
extern const Names kSocketDomain;
extern const Names kSocketLevel;
extern const Names kSocketType;
extern const Names kTimerFlags;
extern const Names kUsage;
extern const Names kWait;
extern const Names kWaitId;
extern const Names kWhence;
}  // namespace names

// "O_WRONLY|O_CREAT|0x100000000"; "0" if nothing is set and zero has no name.
std::string symbols(const Names&, uint64_t value);
// "SIGTERM", "SIGRT_3" (the kernel's numbering, from 32), or the number.
std::string signalName(int64_t number);
// "ENOENT"; the kernel's own restart codes too; empty for a number that is no error.
std::string errorName(int64_t error);

}  // namespace airr::syscalls
