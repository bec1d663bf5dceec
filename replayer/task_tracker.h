// Follows the tasks of a trace: which process each belongs to, and which call each is inside, so
// that a `leave` event can be read together with its `enter`.
//
// Feed it every event in the order of the file. Value type, no I/O, not thread-safe, nothing fails:
// a trace that contradicts itself (hostile, or cut) yields processes without a known parent.
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "mediator/syscalls/model.h"

namespace airr {

class TaskTracker {
 public:
  // A syscall event made whole: number and arguments are there for a `leave` too.
  struct Step {
    syscalls::Call call;
    bool finished = false;  // the event holds the result
    std::string path;       // of this event, or of the `enter` that it completes
  };

  // Called for each task when it is first heard of, before observe() returns; parent 0: not known.
  // `flags` are clone's.
  using OnTask = std::function<void(uint32_t task, uint32_t parent, uint64_t flags)>;
  explicit TaskTracker(OnTask onTask = {}) : onTask_(std::move(onTask)) {}

  // Learns from the event. The answer is for syscall events only.
  std::optional<Step> observe(const schema::Event::Reader& event);

  // A process is numbered by its first task; 0 for the session or a task never heard of.
  uint32_t processOf(uint32_t task) const;
  uint32_t parentOf(uint32_t process) const;

 private:
  struct Task {
    uint32_t process = 0;
    std::optional<Step> inside;
  };

  void meet(uint32_t task);
  void adopt(uint32_t parent, uint32_t child, const syscalls::Call& call);

  OnTask onTask_;
  std::map<uint32_t, Task> tasks_;
  std::map<uint32_t, uint32_t> parents_;  // by process
  std::set<uint32_t> spawning_;           // tasks inside a call whose child is not known yet
};

// Whether the call makes a task; `flags` are clone's, as the kernel sets them for fork and vfork.
bool makesTask(const syscalls::Call& call, uint64_t* flags);

}  // namespace airr
