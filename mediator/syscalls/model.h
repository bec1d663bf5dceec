// The syscall model: one declarative table of what Linux 6.x x86-64 syscalls take, read, write, and
// are good for. Record, replay, printing (`airr syscalls`) and documentation are all driven by it.
//
// The table is constant data; all functions are pure but for reads through MemoryReader, and may be
// called from any thread. Nothing throws: unreadable tracee memory yields fewer regions, as the
// kernel then answers EFAULT.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schema/types.h"

namespace airr::syscalls {

// One call as a tracee made it. `arguments` as in rdi, rsi, rdx, r10, r8, r9.
struct Call {
  uint64_t number = 0;
  uint64_t arguments[6] = {};
};

// Reads tracee memory; false (and nothing promised about `to`) unless all `size` bytes were read.
class MemoryReader {
 public:
  virtual bool read(Address from, void* to, uint64_t size) = 0;

 protected:
  ~MemoryReader() = default;
};

class MemoryAccess : public MemoryReader {
 public:
  virtual bool write(Address to, const void* from, uint64_t size) = 0;

 protected:
  ~MemoryAccess() = default;
};

// How an argument is shown.
enum class Type : uint8_t {
  kInt,      // signed decimal
  kUnsigned, // unsigned decimal
  kHex,      // flags and bit sets
  kOctal,    // modes
  kFd,       // descriptor
  kDirFd,    // descriptor or AT_FDCWD
  kPid,
  kSignal,
  kAddress,  // a pointer that the call does not follow (or follows only in the kernel's terms)
  kPath,     // NUL-terminated path, in
  kString,   // NUL-terminated string, in
  kPointer,  // to memory described by direction and size
};

enum class Direction : uint8_t { kNone, kIn, kOut, kInOut };

// How many bytes a pointer argument covers.
enum class Size : uint8_t {
  kNone,
  kFixed,        // `unit` bytes
  kArgument,     // value of argument `by` × `unit`
  kResult,       // out: result × `unit`, at most argument `by` × `unit` (by = 255: no cap)
  kValueResult,  // argument `by` points to a u32 length: in before the call, out after it;
                 // out region is min(before, after) bytes
  kCString,      // up to and with the NUL, at most 1 MiB
  kIoVec,        // array of iovec, argument `by` is the count; out: the first `result` bytes
  kMsgHdr,       // one msghdr (name, control, iov within)
  kMMsgHdr,      // array of mmsghdr, argument `by` is the count; out: `result` entries
  kStringArray,  // argv-like, NULL-terminated, at most 1 Mi entries
  kFdSet,        // select: bits up to argument 0, rounded up to 8 bytes
};

struct Argument {
  const char* name = nullptr;
  Type type = Type::kInt;
  Direction direction = Direction::kNone;
  Size size = Size::kNone;
  uint8_t by = 255;
  uint32_t unit = 1;
};

// The power that a call uses or acquires: what a policy decides about.
enum class Authority : uint8_t {
  kNone,        // reads or writes what was granted before, or the caller's own state
  kOpen,        // names a file to read or write it
  kMetadata,    // asks about a named file
  kModify,      // creates, removes, renames or changes a named file or its attributes
  kExecute,
  kConnect,     // connects, binds, listens, or sends to an address
  kSocket,      // makes a socket
  kSpawn,       // makes a process or thread
  kSignal,      // signals or inspects another process
  kCode,        // makes memory executable
  kDevice,      // ioctl and the like
  kSystem,      // changes the machine: mounts, clocks, modules, namespaces
  kPrivilege,   // changes identity or capabilities
  kIpc,         // named System V and POSIX objects
};

enum class Treatment : uint8_t {
  kEmulate,       // replay writes what was recorded and sets the result
  kMemory,        // replay runs it (mmap family), at the recorded address
  kSpawn,         // replay makes a task and gives it the recorded number
  kExec,          // replay loads the recorded image
  kExit,          // replay ends the task
  kSignalReturn,  // replay restores the frame in memory
  kThreadState,   // replay applies it to registers (arch_prctl)
  kRefuse,        // never runs: refused with `refusal`, on the record
};

// How long it can last. kMaybe calls give up the baton of their address space while inside.
enum class Blocking : uint8_t { kNever, kMaybe };

struct Syscall {
  uint16_t number = 0;
  const char* name = nullptr;
  uint8_t argumentCount = 0;
  Argument arguments[6] = {};
  Authority authority = Authority::kNone;
  Treatment treatment = Treatment::kEmulate;
  Blocking blocking = Blocking::kNever;
  int refusal = 0;             // errno for kRefuse
  const char* note = nullptr;  // one clause for the listing: why refused, or what is special
};

// Nothing for a number that is not in the table: the caller refuses it with ENOSYS.
const Syscall* find(uint64_t number);
// By number, ascending.
std::span<const Syscall* const> all();
const Syscall* findByName(const char* name);

const char* toString(Authority);
const char* toString(Treatment);

// Bounds on what one call may name, so that a hostile call cannot make the mediator allocate.
constexpr uint64_t kMaxRegionBytes = 1ull << 31;  // the kernel's MAX_RW_COUNT
constexpr uint64_t kMaxVectors = 1024;            // UIO_MAXIOV

// Appends the memory that the call reads, in argument order; nested structures included (iovec
// arrays, msghdr and what it points to, argv). For ioctl, fcntl, prctl, futex, … by their operation.
void inputRegions(const Syscall&, const Call&, MemoryReader&, std::vector<Region>& to);
// Appends the memory that the call has written, given its result (rax). To be called after the
// call; `lengths` holds what noteLengths() saw before it.
struct Lengths {
  uint32_t value[6] = {};  // *arguments[by] for kValueResult
};
Lengths noteLengths(const Syscall&, const Call&, MemoryReader&);
void outputRegions(const Syscall&, const Call&, int64_t result, const Lengths&, MemoryReader&,
                   std::vector<Region>& to);

// For a call that gives up the baton: the kernel must not write to user memory while a sibling
// runs, so output memory is moved to scratch memory for the duration.
struct Redirect {
  Call call;            // what to run instead
  bool active = false;  // false: the call has no outputs (or they did not fit); run it as it is
};
// Bytes of scratch that redirect() will want; 0 = no outputs.
uint64_t scratchSize(const Syscall&, const Call&, MemoryReader&);
// Prepares scratch (copying in kInOut content and rewritten iovec/msghdr) at [scratch, scratch+size).
Redirect redirect(const Syscall&, const Call&, MemoryAccess&, Address scratch, uint64_t size);
// After the redirected call returned: copies its outputs to where the task wanted them.
void copyBack(const Syscall&, const Call& original, const Redirect&, int64_t result, const Lengths&,
              MemoryAccess&);

}  // namespace airr::syscalls
