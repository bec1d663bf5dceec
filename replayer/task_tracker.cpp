#include "replayer/task_tracker.h"

#include <sched.h>
#include <sys/syscall.h>

#include <utility>

#include "mediator/call_hash.h"

namespace airr {

bool makesTask(const syscalls::Call& call, uint64_t* flags) {
  switch (call.number) {
    case SYS_clone:
      *flags = call.arguments[0];
      return true;
    case SYS_fork:
      *flags = 0;
      return true;
    case SYS_vfork:
      *flags = CLONE_VFORK | CLONE_VM;
      return true;
    default:
      return false;
  }
}

std::optional<TaskTracker::Step> TaskTracker::observe(const schema::Event::Reader& event) {
  uint32_t number = event.getTask();
  if (number == raw(TaskId::kSession)) return std::nullopt;
  meet(number);
  Task& task = tasks_[number];
  if (event.isTaskExit()) {
    task.inside.reset();
    spawning_.erase(number);
    return std::nullopt;
  }
  if (!event.isSyscall()) return std::nullopt;

  auto syscall = event.getSyscall();
  Step step;
  step.call = callOf(syscall);
  step.path = syscall.getPath().cStr();
  step.finished = syscall.getPhase() != schema::Syscall::Phase::ENTER;
  bool childAwaited = true;
  if (syscall.getPhase() == schema::Syscall::Phase::LEAVE && task.inside &&
      task.inside->call.number == step.call.number) {
    step.call = task.inside->call;
    if (step.path.empty()) step.path = std::move(task.inside->path);
    childAwaited = spawning_.contains(number);
  }
  task.inside.reset();
  spawning_.erase(number);
  uint32_t child = syscall.getChild();
  if (child != 0 && child != number && childAwaited) adopt(number, child, step.call);
  if (!step.finished) {
    task.inside = step;
    uint64_t flags = 0;
    if (child == 0 && makesTask(step.call, &flags)) spawning_.insert(number);
  }
  return step;
}

uint32_t TaskTracker::processOf(uint32_t task) const {
  auto found = tasks_.find(task);
  return found == tasks_.end() ? 0 : found->second.process;
}

uint32_t TaskTracker::parentOf(uint32_t process) const {
  auto found = parents_.find(process);
  return found == parents_.end() ? 0 : found->second;
}

// A vfork child runs before its parent's call returns: it is then the child of a call that has not
// named one yet.
void TaskTracker::meet(uint32_t number) {
  if (tasks_.contains(number)) return;
  if (spawning_.empty()) {
    tasks_[number].process = number;
    if (onTask_) onTask_(number, 0, 0);
    return;
  }
  uint32_t parent = *spawning_.begin();
  spawning_.erase(spawning_.begin());
  adopt(parent, number, tasks_[parent].inside->call);
}

void TaskTracker::adopt(uint32_t parent, uint32_t child, const syscalls::Call& call) {
  uint64_t flags = 0;
  makesTask(call, &flags);
  bool isNew = !tasks_.contains(child);
  uint32_t process = tasks_[parent].process;
  if (flags & CLONE_THREAD) {
    tasks_[child].process = process;
  } else {
    tasks_[child].process = child;
    parents_[child] = process;
  }
  if (isNew && onTask_) onTask_(child, parent, flags);
}

}  // namespace airr
