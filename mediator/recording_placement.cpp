// On which cores tasks run.
//
// A stop costs five to ten times as much where tracee and mediator are on different cores, so all begin on the
// mediator's. But then processes that compute get in each other's way. So one that computes for long between its
// stops, while others keep the mediator's core busy, goes to the other cores, and comes back when it stops often
// again. What is recorded does not depend on it.
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "mediator/machine.h"
#include "mediator/recording.h"

namespace airr {
namespace {

using namespace std::chrono_literals;
using Nanoseconds = std::chrono::nanoseconds;

// Computing between two stops, on average. A call of two stops costs about 100 µs more across cores.
constexpr Nanoseconds kGoes = 250us, kReturns = 100us;

Nanoseconds timeOf(clockid_t clock) {
  timespec used{};
  if (clock_gettime(clock, &used) != 0) return {};
  return std::chrono::seconds(used.tv_sec) + Nanoseconds(used.tv_nsec);
}

Nanoseconds processorTimeOf(pid_t process) {
  clockid_t clock{};
  return clock_getcpuclockid(process, &clock) == 0 ? timeOf(clock) : Nanoseconds{};
}

}  // namespace

void Recording::pinSession() {
  affinity_ = currentAffinity();
  pinToCore(options_.core);
  home_ = currentAffinity();
  if (options_.core) return;
  elsewhere_ = affinity_;
  for (size_t i = 0; i < elsewhere_.size() && i < home_.size(); ++i) elsewhere_[i] &= ~home_[i];
  if (std::ranges::all_of(elsewhere_, [](uint64_t word) { return word == 0; })) elsewhere_.clear();
}

// At each tick.
void Recording::placeDomains() {
  if (elsewhere_.empty()) return;
  const auto now = steadyNow();
  const Nanoseconds elapsed = now - std::exchange(placedAt_, now);
  const Nanoseconds own = timeOf(CLOCK_THREAD_CPUTIME_ID);
  Nanoseconds busy = own - std::exchange(ownTime_, own);  // the home core, with what is no domain's
  unsigned active = 0;
  Domain* heaviest = nullptr;
  Nanoseconds most{}, heaviestUsed{};
  for (const auto& domain : domains_) {
    DomainLoad& load = domain->load;
    if (load.process == 0 || (load.stops == 0 && (domain->holder == nullptr || domain->holder->state != TaskState::kRunning)))
      continue;
    const Nanoseconds time = processorTimeOf(load.process);
    const bool known = std::exchange(load.sampled, load.process) == load.process;
    const Nanoseconds used = known ? time - load.time : Nanoseconds{};
    const Nanoseconds between = used / std::max(load.stops, 1u);
    load.time = time;
    load.stops = 0;
    if (load.elsewhere) {
      if (between < kReturns && used > elapsed / 10) place(*domain, false);
      continue;
    }
    if (used > elapsed / 50) ++active;
    busy += used;
    if (between < kGoes || between <= most || used < elapsed / 5) continue;
    heaviest = domain.get(), most = between, heaviestUsed = used;
  }
  if (heaviest != nullptr && active > 1 && busy - heaviestUsed > elapsed / 4) place(*heaviest, true);
}

void Recording::place(Domain& domain, bool elsewhere) {
  domain.load.elsewhere = elsewhere;
  for (const auto& [tid, task] : tasks_)
    if (task->space && task->space->domain.get() == &domain) place(*task);
}

// Where its domain is. A new task is where its parent was.
void Recording::place(const Task& task) const {
  const std::vector<uint64_t>& cores = task.space->domain->load.elsewhere ? elsewhere_ : home_;
  if (!cores.empty()) syscall(SYS_sched_setaffinity, raw(task.tracee.tid()), cores.size() * sizeof(uint64_t), cores.data());
}

}  // namespace airr
