// What a session's past means to its policy: labels that processes and files carry, degradations,
// and what binds processes. The same actions and decisions give the same state, live and when
// judged.
//
// Owned by whoever evaluates; borrows the policy. Not thread-safe. Nothing fails: what grows beyond
// its bound is taken to carry every label.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "policies/policy.h"

namespace airr::policies {

class SessionState {
 public:
  explicit SessionState(const Policy& policy) : policy_(policy) {}

  // Processes by any number that is unique among the living.
  void spawned(uint32_t parent, uint32_t child);
  void ended(uint32_t process);

  // Adds to the action what the past says: to be called before Policy::evaluate().
  void prepare(uint32_t process, Action& action) const;
  // Learns from the decision. `happens`: the action goes on (after approval, if it needs one).
  void apply(uint32_t process, const Action& action, const Decision& decision, bool happens);

  // What carries labels, by path.
  bool carriesLabels(std::string_view path) const { return labelsOf(path) != 0; }
  // Called with each path that gets labels which it has not carried, before anything reads it with them; with an empty
  // one, everything gets some.
  std::function<void(std::string_view path)> onLabel;

  NameSet degraded() const { return degraded_; }
  NameSet labels() const { return labels_; }  // that any process has carried

 private:
  struct Process {
    NameSet labels = 0, restrictions = 0;
    bool readOnly = false, overlay = false;
  };
  void label(std::string_view path, NameSet labels);
  NameSet labelsOf(std::string_view path) const;

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  static constexpr size_t kMaxObjects = 1'000'000;

  const Policy& policy_;
  std::unordered_map<uint32_t, Process> processes_;
  std::unordered_map<std::string, NameSet, Hash, std::equal_to<>> objects_;
  NameSet everyObject_ = 0;  // what could not be remembered by path
  NameSet labels_ = 0, degraded_ = 0;
};

}  // namespace airr::policies
