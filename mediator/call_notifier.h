// Calls that reach the mediator by seccomp user notification (seccomp_unotify(2)) instead of a ptrace
// stop: the caller sleeps inside its call until it is told the result, or to go on. That costs half
// as much as a stop (3.8 against 7.3 µs), but a caller is not stopped: its registers are out of
// reach, and only its memory can be read and written.
//
// Ownership: owns the listener; when it is closed, waiting calls end with ENOSYS. One thread.
// Failure: a caller that was killed meanwhile makes answer(), pass() and addDescriptor() say false;
// anything else unexpected is Error.
#pragma once

#include <cstdint>
#include <optional>

#include "mediator/syscalls/model.h"
#include "schema/types.h"
#include "schema/unique_fd.h"

namespace airr {

struct NotifiedCall {
  uint64_t id = 0;  // 0: none
  Tid tid{};
  syscalls::Call call;
  uint64_t instruction = 0;  // behind the `syscall` instruction
};

class CallNotifier {
 public:
  // Takes the listener from a stopped child that has just installed a filter with one
  // (mediator/seccomp_filter.h). Nothing: it has none.
  static std::optional<CallNotifier> ofChild(Tid child);

  // Readable (POLLIN) when a call waits.
  int descriptor() const { return listener_.get(); }
  // The next call; waits for one. Nothing: interrupted by a signal, or the caller went away.
  std::optional<NotifiedCall> receive();
  // Ends the call with `result` (negative: -errno).
  bool answer(uint64_t id, int64_t result);
  // Lets the kernel make the call. Its pointer arguments are read again then, so nothing must have
  // been decided on memory that others could change meanwhile.
  bool pass(uint64_t id);
  // Gives the caller a duplicate of one of the mediator's descriptors. Its number in the caller, or
  // -errno as dup(2) would say; nothing: the caller is gone. It is the caller that takes the
  // descriptor, which it wakes up for. `answerWithIt`: and goes on, with the number as its call's
  // result (Linux 5.14); not if there is none.
  std::optional<int> addDescriptor(uint64_t id, int fd, bool closeOnExec, bool answerWithIt);

 private:
  explicit CallNotifier(UniqueFd listener) : listener_(std::move(listener)) {}
  bool send(uint64_t id, int64_t result, uint32_t flags);

  UniqueFd listener_;
};

}  // namespace airr
