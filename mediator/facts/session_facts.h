// Follows a session through its steps, and says which actions each call was: the processes, their
// executables and descriptors, and the names that hosts were resolved to.
//
// Owns all that it remembers; the actions' views are valid until the next step. Not thread-safe.
// Nothing fails: what the record does not tell becomes an unknown fact.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mediator/facts/call_actions.h"
#include "mediator/facts/step.h"

namespace airr::facts {

struct Process;

// What a step turned out to be.
struct Deed {
  uint64_t event = 0;  // of the call's beginning
  uint32_t task = 0, process = 0;
  uint64_t syscall = 0;
  int64_t result = 0;    // as far as it is known when the deed is told
  bool permitted = true;  // the call was made, as far as policy and human go
  bool derived = true;   // facts follow from names and results, not from what a mediator wrote down
  std::optional<policies::Verdict> recorded;  // by the policy in force when it was recorded
  size_t strictestRecorded = 0;  // of the actions
  bool byFloor = false;   // blocked by what holds under every policy
  std::vector<policies::Action*> actions;  // borrowed, mutable: the session's state goes in
};

class SessionFacts {
 public:
  SessionFacts();
  ~SessionFacts();

  struct Observer {
    std::function<void(Deed&)> deed;
    std::function<void(uint32_t parent, uint32_t child)> spawned;  // processes, by their number
    std::function<void(uint32_t process)> ended;
    std::function<void(const Step&)> policy;
    // SHA-256 of a blob in hex, or empty; called only if wantDigests.
    std::function<std::string(uint32_t blob)> digestOf;
    bool wantDigests = false;
    bool wantClasses = false;  // class and shell facts, where they are not on record
  };
  void observe(const Step& step, const Observer& observer);
  // Calls that the end of the trace left without a result.
  void finish(const Observer& observer);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr::facts
