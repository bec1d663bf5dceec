#include "mediator/injection.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/gate_patch.h"
#include "recorder/gate/gate.h"

namespace airr {

Injection::Injection(Tracee& tracee)
    : tracee_(tracee), saved_(tracee.registers()), atCall_(tracee.isAtCall()) {}

// At the stop that the loop's own call gives, the next one is put in its place. The kernel asks the filter again once
// the stop is over (kernel/seccomp.c, recheck_after_trace); for calls of the loop that says the same. The loop's own
// number cannot be any: seccomp is not asked of uretprobe (335, since Linux 6.14), which ends in SIGILL.
int64_t Injection::call(uint64_t number, std::initializer_list<uint64_t> arguments) {
  Registers r = saved_;
  setArguments(r, {arguments.begin(), arguments.size()});
  if (atCall_) {
    r.rip = AIRR_GATE_INJECT + kSiteLength;
    r.orig_rax = number;
    tracee_.setRegisters(r);
  } else {
    r.rip = AIRR_GATE_INJECT;
    r.rax = number;
    r.orig_rax = static_cast<uint64_t>(-1);  // what the task may be in the middle of is not to be restarted
    tracee_.setRegisters(r);
    runToCall(tracee_, postponed_);
    atCall_ = true;
  }
  // A call that the kernel restarts stops once more.
  do {
    runToCall(tracee_, postponed_);
  } while (tracee_.registers().orig_rax != AIRR_SYSCALL);
  return static_cast<int64_t>(tracee_.registers().rbx);
}

void runToCall(Tracee& tracee, std::vector<int>& postponed) {
  for (;;) {
    tracee.resume(Resume::kContinue);
    const Stop stop = tracee.wait();
    if (stop.kind == Stop::Kind::kSeccomp) return;
    if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExit) throw TraceeGone{tracee.tid(), stop};
    if (stop.kind == Stop::Kind::kSignal) postponed.push_back(stop.signal);
  }
}

void Injection::end() {
  Registers restored = saved_;
  restored.orig_rax = static_cast<uint64_t>(-1);
  tracee_.setRegisters(restored);
  for (int signal : postponed_) syscall(SYS_tkill, raw(tracee_.tid()), signal);
}

int64_t inject(Tracee& tracee, uint64_t number, std::initializer_list<uint64_t> arguments) {
  Injection injection(tracee);
  const int64_t result = injection.call(number, arguments);
  injection.end();
  return result;
}

}  // namespace airr
