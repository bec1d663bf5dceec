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

constexpr long kFchmodat2 = 452;  // of Linux 6.6: newer than the C library's headers

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
  kInt,       // signed decimal; the kernel looks at the low 32 bits only
  kLong,      // signed decimal
  kUnsigned,  // unsigned decimal
  kHex,       // flags and bit sets
  kOctal,     // modes
  kFd,        // descriptor
  kDirFd,     // descriptor or AT_FDCWD
  kPid,
  kSignal,
  kAddress,  // a pointer that is not followed, or whose very address matters to the call (a futex):
             // never redirected; direction and size, if given, hold
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
  kPollFds,      // array of pollfd, argument `by` is the count; out: revents
  kPages,        // one byte for each page of argument `by` bytes
  kNodeMask,     // bits below argument `by` (less one, as mbind has it), rounded up to 8 bytes
  kMessage,      // msgbuf: 8 bytes and argument `by`; out: 8 and `result`
  kSized,        // struct that begins with its size (u32); out: at most argument `by`
  kFileHandle,   // struct file_handle
  kSigSetPair,   // pselect6: a pointer to a signal set, and the set's size
  kXattr,        // struct xattr_args; out: the first `result` bytes of the value it points to
  kIfConf,       // struct ifconf and the array that it points to
  kFiemap,       // struct fiemap and its extents
};

// After which results output memory has been written.
enum class Outcome : uint8_t { kSuccess, kFailure, kAlways };

struct Names;       // symbolic values of an argument (names.h)
struct Operations;  // what ioctl, fcntl, … do, by operation (operations.h)

struct Argument {
  const char* name = nullptr;
  Type type = Type::kInt;
  Direction direction = Direction::kNone;
  Size size = Size::kNone;
  uint8_t by = 255;
  uint32_t unit = 1;
  Outcome outcome = Outcome::kSuccess;
  uint8_t onlyIf = 255;  // meaningful only if argument `onlyIf` has one of `onlyIfBits`
  uint32_t onlyIfBits = 0;
  const Names* names = nullptr;
};

// The power that a call uses or acquires: what a policy decides about.
enum class Authority : uint8_t {
  kNone,      // reads or writes what was granted before, or the caller's own state
  kOpen,      // names a file to read or write it
  kMetadata,  // asks about a named file
  kModify,    // creates, removes, renames or changes a named file or its attributes
  kExecute,
  kConnect,    // connects, binds, listens, or sends to an address
  kSocket,     // makes a socket
  kSpawn,      // makes a process or thread
  kSignal,     // signals or inspects another process
  kCode,       // makes memory executable
  kDevice,     // ioctl and the like
  kSystem,     // changes the machine: mounts, clocks, modules, namespaces
  kPrivilege,  // changes identity or capabilities
  kIpc,        // named System V and POSIX objects
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
  const Operations* operations = nullptr;
  uint8_t dontWait = 255;  // kMaybe, but not if argument `dontWait` has one of `dontWaitBits`
  uint32_t dontWaitBits = 0;
};

// Nothing for a number that is not in the table: the caller refuses it with ENOSYS.
const Syscall* find(uint64_t number);
// By number, ascending.
std::span<const Syscall* const> all();
const Syscall* findByName(const char* name);

const char* toString(Authority);
const char* toString(Treatment);
const char* toString(Blocking);

// Syscall::blocking, made precise by the call's operation and flags (FUTEX_WAKE, MSG_DONTWAIT, …).
bool mayBlock(const Syscall&, const Call&);
// The errno with which this call is refused by name although its syscall is not: an operation that
// would defeat the mediator, or one that the model does not know. 0 = not refused.
int refusedOperation(const Syscall&, const Call&, const char** why);
// The request is in the model's table, or says its own direction and size (_IOR, _IOW, _IOWR).
bool ioctlKnown(uint64_t request);

// Bounds on what one call may name, so that a hostile call cannot make the mediator allocate.
constexpr uint64_t kMaxRegionBytes = 1ull << 31;  // the kernel's MAX_RW_COUNT
constexpr uint64_t kMaxVectors = 1024;            // UIO_MAXIOV
constexpr uint64_t kMaxString = 1ull << 20;
// The kernel refuses an argv and envp of more than 6 MiB together (fs/exec.c, bprm_stack_limits).
constexpr uint64_t kMaxStringArrayBytes = 8ull << 20;
constexpr uint64_t kMaxRegions = 1ull << 17;

// Appends the memory that the call reads, in argument order; nested structures included (iovec
// arrays, msghdr and what it points to, argv). For ioctl, fcntl, prctl, futex, … by their
// operation.
void inputRegions(const Syscall&, const Call&, MemoryReader&, std::vector<Region>& to);

// What must be remembered from before the call, since the kernel overwrites it.
struct Lengths {
  uint32_t value[6] = {};  // *arguments[by] for kValueResult; msg_namelen for kMsgHdr
};
Lengths noteLengths(const Syscall&, const Call&, MemoryReader&);
// Appends the memory that the call has written, given its result (rax). To be called after the
// call; `lengths` holds what noteLengths() saw before it. A region may also hold bytes that the
// kernel left as they were, never fewer than it wrote.
void outputRegions(const Syscall&, const Call&, int64_t result, const Lengths&, MemoryReader&,
                   std::vector<Region>& to);

// For a call that gives up the baton: the kernel must not write to user memory while a sibling
// runs, so output memory is moved to scratch memory for the duration. Only for calls that
// mayBlock(); the others keep the baton. Futexes stay where they are: their address is their name.
struct Redirect {
  Call call;            // what to run instead
  bool active = false;  // false: the call has no outputs (or they did not fit); run it as it is
};
// Bytes of scratch that redirect() will want, 16-aligned; 0 = no outputs. With less, redirect()
// shortens a read, a receive or an epoll_wait, as the kernel may; a datagram could then be cut, so
// give at least kMinScratch where the call wants that much.
constexpr uint64_t kMinScratch = 256 << 10;
uint64_t scratchSize(const Syscall&, const Call&, MemoryReader&);
// Prepares scratch (copying in kInOut content and rewritten iovec/msghdr) at [scratch,
// scratch+size).
Redirect redirect(const Syscall&, const Call&, MemoryAccess&, Address scratch, uint64_t size);
// After the redirected call returned: copies its outputs to where the task wanted them. False if
// some of them could not be written there: the call's result is then -EFAULT.
bool copyBack(const Syscall&, const Call& original, const Redirect&, int64_t result, const Lengths&,
              MemoryAccess&);

}  // namespace airr::syscalls
