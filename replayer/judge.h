// Decides every action of a recorded session again, under another policy, without running anything.
//
// Pure but for reading the trace. judge() may be called for several traces at once; each call uses
// up to `threads` threads of its own. It throws Error as the reader and Policy::load() do.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policies/learn.h"
#include "policies/policy.h"

namespace airr {

class KeyStore;

struct JudgeOptions {
  // A stock policy, a file, or "recorded": the one that the trace says was in force.
  std::string policy;
  // What to compare with; empty: the recorded verdicts, or, where there are none, that all was
  // allowed.
  std::string against;
  unsigned threads = 1;
  // Take the steps from the index beside the trace, which is made if it is not there or not of this
  // trace as it is now.
  bool index = false;
  std::vector<std::string> identities;  // files of private keys, for an encrypted trace
};

// An action that the policies see differently.
struct JudgedChange {
  uint64_t event = 0;  // at which the call began
  uint32_t task = 0, process = 0;
  std::string action;  // in words
  policies::Verdict before = policies::Verdict::kAllow, after = policies::Verdict::kAllow;
  std::string reason;              // of the new verdict
  std::vector<std::string> rules;  // that gave the new verdict
  unsigned line = 0;               // of the first of them
  bool counterfactual = false;     // the session would not have come here
  bool undecidable = false;        // the facts are not on record; not counted as a change
};

struct RuleCount {
  uint64_t decided = 0, changed = 0;
};

struct Judgement {
  std::string trace;
  std::string policyName, policyFile, policySha256, againstName;
  uint64_t events = 0, actions = 0;
  uint64_t derived = 0;  // actions without recorded facts: judged by names and results
  uint64_t byFloor = 0;  // calls that are blocked under every policy
  std::array<uint64_t, 5> before{}, after{};                   // by verdict
  uint64_t newlyBlocked = 0, newlyAllowed = 0, otherwise = 0;  // of the changes
  uint64_t beforeFirst = 0;  // changes that are not counterfactual
  // The facts are not on record, so a live run might decide otherwise than what is counted here.
  uint64_t undecidable = 0;
  std::optional<uint64_t> firstDivergence;  // event
  std::vector<JudgedChange> changes;        // at most kMaxChanges
  std::map<std::string, RuleCount> rules;
  std::string missing;  // facts that were, by name
  bool sealed = false;
  bool fromIndex = false;

  uint64_t listed() const { return changed() + undecidable; }
  uint64_t changed() const { return newlyBlocked + newlyAllowed + otherwise; }
};
constexpr size_t kMaxChanges = 10'000;

Judgement judge(const std::string& trace, const JudgeOptions& options);

// Adds the session's actions, but those that its policy blocked, to what is learned. Gives what the
// session's variables stand for.
policies::Bindings learn(const std::string& trace, policies::Learner& learner,
                         const std::vector<std::string>& identities = {});

}  // namespace airr
