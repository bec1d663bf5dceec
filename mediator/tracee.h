// Control of one tracee: stops, registers, memory, injected calls. Record and replay share it.
//
// A task that makes a call is either stopped by ptrace, or, in record, waits for the answer to a
// notification (mediator/call_notifier.h). Both look the same here, but that a notified task has no
// registers to look at; stopAtCall() makes a stopped one of it.
//
// Ownership: a Tracee names a kernel task and owns nothing but cached registers; the task ends by
// itself or by EXITKILL when the controlling thread ends. All calls from the thread that attached
// (a rule of ptrace(2)), and, but for readMemory and writeMemory, only while the task is stopped.
// Failure: any request can find the task gone (SIGKILL at any moment): that is TraceeGone. Anything
// else unexpected is Error.
#pragma once

#include <sys/ptrace.h>
#include <signal.h>
#include <sys/user.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mediator/call_notifier.h"
#include "mediator/syscalls/model.h"
#include "schema/error.h"
#include "schema/types.h"

namespace airr {

using Registers = user_regs_struct;

struct Stop {
  enum class Kind {
    kSeccomp,      // about to make a call; see Tracee::callInfo()
    kNotified,     // the same, but not stopped: waits for an answer
    kSyscallExit,
    kSignal,       // signal-delivery-stop; `signal`
    kGroupStop,    // stopped by `signal`
    kInterrupt,    // PTRACE_INTERRUPT, a new child's first stop, or the end of a group stop
    kSpawn,        // clone, fork or vfork; `message` is the new tid
    kExec,         // `message` is the former tid
    kExit,         // about to end; `message` is the wait status
    kEnded,        // gone; `message` is the wait status
    kOther,        // an event that needs nothing but to be resumed
  };
  Kind kind = Kind::kOther;
  int signal = 0;
  uint64_t message = 0;
  bool vfork = false;
};

// The task died under a request. Its exit is still reported by wait; or `last` is the report, taken while waiting
// for something else, which is still to be handled.
struct TraceeGone {
  Tid tid;
  std::optional<Stop> last;
};

enum class Resume {
  kContinue,        // PTRACE_CONT: to the next seccomp stop, signal or event
  kToSyscallExit,   // PTRACE_SYSCALL, from inside a call
  kStep,            // PTRACE_SINGLESTEP
  kListen,          // PTRACE_LISTEN, in a group stop
};

// Where a task stands around a call (PTRACE_GET_SYSCALL_INFO, Linux 5.3).
struct CallInfo {
  syscalls::Call call;      // at a seccomp stop
  uint32_t filterData = 0;  // at a seccomp stop: SECCOMP_RET_DATA
  int64_t result = 0;       // at a syscall exit stop
  uint64_t instruction = 0;
  uint64_t stack = 0;  // 0: not known (a notified call)
};

class Tracee : public syscalls::MemoryAccess {
 public:
  explicit Tracee(Tid tid) : tid_(tid) {}
  virtual ~Tracee() = default;

  Tid tid() const { return tid_; }
  void renumber(Tid tid) { tid_ = tid; }  // exec by a thread that is not the leader

  // Turns a wait status into a Stop; fetches the event message. Invalidates cached registers.
  Stop classify(int status);
  // Waits for this task alone.
  Stop wait();
  // It waits for an answer to this call.
  Stop notified(CallNotifier&, const NotifiedCall&);
  bool isNotified() const { return notification_.id != 0; }
  // It stands at a seccomp stop.
  bool isAtCall() const { return atCall_; }
  // Turns a notified call into one at a seccomp stop: the call is broken off and made again, at
  // `at`, where a `syscall` instruction stops. Costs some five stops.
  void stopAtCall(Address at);
  // A notified task's new descriptor; see CallNotifier. `goOn`: if it gets one, the task runs already
  // with that as its call's result, and the next resume() does nothing.
  int addDescriptor(int fd, bool closeOnExec, bool goOn);

  // Cheaper than registers(), and all that most stops need.
  CallInfo callInfo();
  // At a call: it is not made, and returns `result` when the task is resumed.
  void skipCall(int64_t result);
  const Registers& registers();
  void setRegisters(const Registers&);
  void resume(Resume how, int signal = 0);
  void interrupt();
  // Whether a fatal signal has taken it from the stop that it was left at to its exit stop, which is yet
  // to be reported: resume() would let it go from there. Throws TraceeGone if it is on its way.
  bool leftForExit();
  // Whether its end is announced by a stop (PTRACE_O_TRACEEXIT).
  void announceExit(bool);

  // While the task is stopped, small reads may be answered from an earlier one since it stopped.
  bool read(Address from, void* to, uint64_t size) override;
  // To be called when others may have changed the memory of the task since it stopped.
  void forgetPages();
  // Writes where the task itself may write.
  bool write(Address to, const void* from, uint64_t size) override;
  // Several pieces, in one call: their addresses in the task, and what is to lie there.
  bool writeAll(std::initializer_list<std::pair<Address, std::span<const uint8_t>>> pieces);
  // Writes whatever the protection (private mappings get their own page), by /proc/TID/mem.
  bool forceWrite(Address to, const void* from, uint64_t size);
  template <class T>
  bool readValue(Address from, T& to) {
    return read(from, &to, sizeof to);
  }
  // Up to `limit` bytes up to a NUL; false if unreadable before the NUL.
  bool readString(Address from, std::string& to, uint64_t limit = 4096);

  siginfo_t signalInfo();
  void setSignalInfo(const siginfo_t&);
  uint64_t signalMask();
  void setSignalMask(uint64_t);
  std::vector<uint8_t> extendedState();                  // NT_X86_XSTATE
  void setExtendedState(const void* data, uint64_t size);
  void resetExtendedState();                             // the state after exec

  // Runs one call in the stopped task and returns its result; registers are as before afterwards.
  // `at` is the address of a `syscall` instruction in its memory. Leaves the task stopped outside
  // of any call. Signals that arrive meanwhile stay pending (queued again). Where the gate is, Injection does it better.
  int64_t injectAt(Address at, uint64_t number, std::initializer_list<uint64_t> arguments);

 private:
  [[noreturn]] void fail(const char* what);

  bool readUncached(Address from, void* to, uint64_t size);
  bool readCached(uint64_t page, Address from, void* to, uint64_t size);
  void noteWrite(Address to, const uint8_t* bytes, uint64_t size);
  void leaveDetour();

  Tid tid_;
  CallNotifier* notifier_ = nullptr;
  NotifiedCall notification_;  // that waits for an answer
  int64_t answer_ = 0;
  bool answered_ = false;
  bool wentOn_ = false;
  // The instruction behind which a call ends that is made elsewhere; 0: none.
  uint64_t detourFrom_ = 0;
  Registers registers_{};
  bool cached_ = false;
  bool atCall_ = false;
  // Pages read since the task was last resumed: what a call passes is looked at several times (its
  // digest, its path, its decision), should be the same each time, and costs a syscall to read.
  struct CachedPage {
    uint64_t address = 0;  // 0: none
    uint8_t bytes[kPageSize];
  };
  // What was written last, which the trace often wants back.
  Address writtenAt_;
  std::vector<uint8_t> written_;
  static constexpr size_t kCachedPages = 12;  // as many as an exec looks at
  std::unique_ptr<CachedPage[]> pages_;
  size_t nextPage_ = 0;
  bool pagesInUse_ = false;
};

// Where a call's arguments are; those that are not given are 0.
void setArguments(Registers&, std::span<const uint64_t> arguments);

// The architecture-independent call that a task makes at a seccomp stop.
syscalls::Call callOf(const Registers&);

// ptrace options that airr sets on every task.
constexpr uint64_t kPtraceOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
                                    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                                    PTRACE_O_TRACEEXIT | PTRACE_O_TRACESECCOMP;

}  // namespace airr
