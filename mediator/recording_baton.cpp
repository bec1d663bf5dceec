// Domains and the baton: who may run user code.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "mediator/recording.h"

namespace airr {
namespace {

// How long a task may keep the baton while others wait, checked when its position is recorded.
constexpr auto kQuantum = std::chrono::milliseconds(8);
// How often a call is given the processor to end at once before its caller loses the baton.
constexpr int kPatience = 3;
// How often a task is woken in vain before the others make way for it.
constexpr uint32_t kMostInVain = 3;

bool isFutexOperation(const syscalls::Call& call, std::initializer_list<uint64_t> operations) {
  constexpr uint64_t kFlags = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  return call.number == SYS_futex && std::ranges::find(operations, call.arguments[1] & ~kFlags) != operations.end();
}

bool isFutexWait(const syscalls::Call& call) { return isFutexOperation(call, {FUTEX_WAIT, FUTEX_WAIT_BITSET}); }

}  // namespace

void Recording::joinSpace(Task& task, std::shared_ptr<AddressSpace> space) {
  task.space = std::move(space);
  ++task.space->users;
  ++task.space->domain->tasks;
}

void Recording::leaveSpace(Task& task) {
  if (!task.space) return;
  leaveStream(task);
  leaveDomain(task);
  --task.space->domain->tasks;
  --task.space->users;
  if (task.scratch) task.space->scratch.release(task.scratch);
  task.scratch = {};
  task.space.reset();
}

void Recording::leaveDomain(Task& task) {
  Domain& domain = *task.space->domain;
  if (domain.holder == &task) domain.holder = nullptr;
  if (domain.starving == &task) domain.starving = nullptr;
  std::erase(domain.ready, &task);
}

void Recording::makeReady(Task& task, Continuation continuation) {
  Domain& domain = *task.space->domain;
  task.continuation = continuation;
  if (domain.holder == &task) {
    task.state = TaskState::kReady;
    grant(task);
    return;
  }
  task.state = TaskState::kReady;
  domain.ready.push_back(&task);
  if (Task* holder = domain.holder) {
    limitReadings(*holder);
    offerBaton(*holder);
  }
}

bool Recording::contended(const Task& task) const { return !task.space->domain->ready.empty(); }

// Hands the baton over if its holder is inside a call that may last. The call gets a few chances to
// end first: giving it up for a call that is about to return costs a whole turn.
void Recording::offerBaton(Task& holder) {
  if (holder.state != TaskState::kInKernel || !holder.releasable) return;
  for (int i = 0; i < kPatience; ++i) {
    sched_yield();
    int status = 0;
    pid_t got = waitpid(raw(holder.tracee.tid()), &status, __WALL | WNOHANG);
    if (got != 0) {
      if (got > 0) dispatch(holder, holder.tracee.classify(status));
      return;
    }
  }
  if (!holder.entered) writeEnter(holder);
  holder.state = TaskState::kBlocked;
  release(holder);
}

void Recording::release(Task& task) {
  Domain& domain = *task.space->domain;
  if (domain.holder == &task) domain.holder = nullptr;
}

bool Recording::turnEnds(const Task& task) const {
  const Domain& domain = *task.space->domain;
  if (domain.holder != &task) return true;  // merged meanwhile
  return !domain.ready.empty() && now_ - domain.turnStart > kQuantum;
}

// The holder, whose position is on record, goes to the end of the line.
void Recording::giveUpTurn(Task& task) {
  Domain& domain = *task.space->domain;
  task.state = TaskState::kReady;
  task.continuation = Continuation::kResume;
  domain.ready.push_back(&task);
  domain.holder = nullptr;
}

// Called where the task's position is on record and it could go on.
void Recording::endTurn(Task& task) {
  Domain& domain = *task.space->domain;
  if (domain.holder != &task) return makeReady(task, Continuation::kResume);
  if (turnEnds(task)) return giveUpTurn(task);
  resumeUser(task);
}

// Whether the call that the task enters waits where it was woken by its last one.
void Recording::noteWait(Task& task) {
  const bool again = task.position.result == 0 && isFutexWait(task.call) && isFutexWait(task.entry.call) &&
                     task.call.arguments[0] == task.entry.call.arguments[0];
  task.wokenInVain = again ? task.wokenInVain + 1 : 0;
  Task*& starving = task.space->domain->starving;
  if (starving == &task && !again) starving = nullptr;
  if (starving == nullptr && task.wokenInVain >= kMostInVain) starving = &task;
}

// Turns end where others wait and the holder makes a call. If it makes calls only while it has a lock, it always
// has it there, and whoever wants the lock starves. So while a task does, the wake by which it learns that the
// lock is free ends the turn, in its favour. False: this call is no such wake.
bool Recording::endTurnByWake(Task& task, int64_t result) {
  Domain& domain = *task.space->domain;
  if (domain.starving == nullptr || domain.holder != &task || result <= 0 ||
      !isFutexOperation(task.call, {FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP}))
    return false;
  Task* woken = domain.starving;
  const Tid tid = woken->tracee.tid();
  // It is on its way out of the kernel; its stop is needed now.
  for (int i = 0; i < kPatience && woken->state == TaskState::kBlocked; ++i) {
    sched_yield();
    int status = 0;
    if (waitpid(raw(tid), &status, __WALL | WNOHANG) > 0) dispatch(*woken, woken->tracee.classify(status));
  }
  const auto at = std::ranges::find(domain.ready, woken);
  if (at == domain.ready.end()) return false;
  domain.ready.erase(at);
  domain.ready.push_front(woken);
  giveUpTurn(task);
  return true;
}

void Recording::schedule() {
  // Granting can free the same or another domain's baton again, so until nothing changes.
  for (bool changed = true; changed;) {
    changed = false;
    std::erase_if(domains_, [](const auto& domain) { return domain->tasks == 0; });
    for (size_t i = 0; i < domains_.size(); ++i) {
      std::shared_ptr<Domain> domain = domains_[i];
      if (domain->holder != nullptr || domain->ready.empty()) continue;
      Task* next = domain->ready.front();
      domain->ready.pop_front();
      domain->holder = next;
      domain->turnStart = now_;
      changed = true;
      try {
        askForYield(*next, false);
        limitReadings(*next);
        grant(*next);
      } catch (const TraceeGone& gone) {
        // Killed while it waited; its end is reported next and frees the baton.
        noteGone(gone);
      }
    }
  }
}

void Recording::grant(Task& task) {
  task.tracee.forgetPages();
  // Killed while it waited, it would mark its robust futexes unseen. (The race that is left: it is killed
  // after this look, from outside the domain, for nobody of the domain runs now.)
  if (task.continuation != Continuation::kExit && !task.tracee.isNotified() &&
      task.space->domain->tasks > task.space->users && task.tracee.leftForExit())
    throw TraceeGone{task.tracee.tid()};
  switch (task.continuation) {
    case Continuation::kFinishCall:
      task.state = TaskState::kInKernel;
      finishCall(task);
      break;
    case Continuation::kStart:
      setPosition(task);
      if (task.space->gate) task.space->gate->attach(task.tracee);
      [[fallthrough]];
    case Continuation::kResume: resumeUser(task); break;
    case Continuation::kExit: exitWithBaton(task); break;
  }
}

// Two domains came to share memory. A holder in the first keeps the baton; one of the second, which
// is the caller and stands at a call's end, waits for its turn.
void Recording::merge(std::shared_ptr<Domain> into, std::shared_ptr<Domain> from) {
  if (into == from) return;
  Task* waiting = from->holder;
  std::vector<Task*> moved;
  for (auto& [tid, task] : tasks_)
    if (task->space && task->space->domain == from) moved.push_back(task.get());
  for (Task* task : moved) task->space->domain = into;
  for (auto& [tid, task] : tasks_)
    if (task->space && task->space->domain == into) allowInGate(*task, AIRR_GATE_MAY_WAIT, false);
  into->tasks += static_cast<uint32_t>(moved.size());
  from->tasks = 0;
  for (Task* task : from->ready) into->ready.push_back(task);
  from->ready.clear();
  from->holder = from->starving = nullptr;
  if (from->load.elsewhere != into->load.elsewhere)
    for (const Task* task : moved) place(*task);
  if (waiting == nullptr) return;
  if (into->holder == nullptr) {
    into->holder = waiting;
    into->turnStart = now_;
  }
}

}  // namespace airr
