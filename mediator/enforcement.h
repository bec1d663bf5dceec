// The policy at work in a session: the floor, the policy's decisions, and what they did to the
// session so far.
//
// The floor holds under every policy: the key store, the trace that is being written and the
// mediator itself are out of a session's reach. What it guards is known by path and, where other
// names could lead there, by device and inode.
//
// Owns the policy and its state. The controlling thread only. Nothing here throws but the
// constructor (Error: the policy asks for what this mediator cannot give).
#pragma once

#include <sys/stat.h>

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policies/policy.h"
#include "policies/session_state.h"

namespace airr {

class Floor {
 public:
  static constexpr const char* kSecret = "the key store is out of a session's reach";
  // `secret` and all below it may be neither opened nor changed; `kept` may be read.
  Floor(std::vector<std::string> secret, std::vector<std::string> kept);
  // Why the floor forbids the action; null if it does not. `object`: what the path leads to, if
  // anything.
  const char* forbids(const policies::Action& action, const struct stat* object) const;
  // The same for an object that is to be read.
  bool isSecret(const struct stat& object) const;

 private:
  std::vector<std::string> secret_, kept_;
  std::set<std::pair<uint64_t, uint64_t>> secretObjects_, keptObjects_;  // device, inode
  std::string ownProc_;  // "/proc/PID"
};

class Enforcement {
 public:
  // `overlay`: the session runs over one, so that rules may send writes there.
  Enforcement(policies::Policy policy, Floor floor, bool overlay);

  const policies::Policy& policy() const { return policy_; }
  policies::SessionState& state() { return state_; }
  const Floor& floor() const { return floor_; }
  // Whether the policy can decide anything but "allow, and nothing else follows"; with an overlay, always:
  // what goes there is a decision too.
  bool decides() const { return decides_; }
  // Whether all actions of this kind are allowed, whatever their facts are.
  bool isFree(policies::ActionKind kind) const { return free_[static_cast<unsigned>(kind)]; }
  // Whether a file may be read whoever asks and whatever else is true, with nothing to follow from it.
  bool mayAlwaysRead(const std::string& path, const struct stat&) const;
  bool uses(policies::Fact fact) const { return (policy_.factsUsed() & policies::only(fact)) != 0; }

  // Says on the terminal what did not run, once for each text, and at most kMostReports times.
  void report(const std::string& text);

 private:
  static constexpr size_t kMostReports = 200;

  policies::Policy policy_;
  policies::SessionState state_;
  Floor floor_;
  std::array<bool, policies::kActionKinds> free_{};
  bool decides_ = false;
  std::set<std::string> reported_;
};

}  // namespace airr
