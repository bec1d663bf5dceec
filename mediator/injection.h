// Calls that a stopped task makes for the mediator, one behind the other, in the gate's loop at AIRR_GATE_INJECT: a
// stop each, and one more if the task does not stand at a call of its own.
//
// Ownership: borrows the Tracee, whose registers it changes until end(). One thread.
// Failure: TraceeGone; a call's own error is its result. Signals that arrive meanwhile stay pending (queued again).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "mediator/tracee.h"

namespace airr {

class Injection {
 public:
  // `tracee` has the gate, and is stopped, not notified.
  explicit Injection(Tracee& tracee);
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;

  Tracee& tracee() const { return tracee_; }
  int64_t call(uint64_t number, std::initializer_list<uint64_t> arguments);
  // Puts the registers back. The call that the task may have stood at is not made. Once, after the last call.
  void end();

 private:
  Tracee& tracee_;
  const Registers saved_;
  bool atCall_;
  std::vector<int> postponed_;  // signals
};

// Resumes a task until it stops at a call; `postponed` are the signals that came before.
void runToCall(Tracee&, std::vector<int>& postponed);

// One call.
int64_t inject(Tracee& tracee, uint64_t number, std::initializer_list<uint64_t> arguments);

}  // namespace airr
