// A policy: its rules, and what they decide about an action.
//
// A Policy is immutable: any number of threads may evaluate it at once. load() and parse() throw
// Error (kPolicy) that names file, line and column. evaluate() never fails: what cannot be answered
// is blocked.
//
// The mediator's use: fill an Action, SessionState::prepare() it (session_state.h), evaluate() it,
// enforce, and SessionState::apply() what was decided. For a call with several actions, the
// strictest decision counts (Decision::isStricterThan).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policies/condition.h"
#include "policies/facts.h"
#include "policies/rule_index.h"
#include "policies/yaml_tree.h"

namespace airr::policies {

constexpr size_t kMaxRules = 10'000;
constexpr size_t kMaxNames = 64;         // labels; as many degradations; `restricted` rules
constexpr size_t kMaxTests = 1'000'000;  // of all rules, macros expanded

enum class ReadOnlyMode : uint8_t {
  kRefuse,
  kOverlay
};  // writes fail with EROFS, or go to an overlay

// What an approval is bound to, besides the arguments.
struct Approval {
  std::chrono::seconds timeout{120};  // without an answer it is a denial
  std::chrono::seconds expires{0};    // how long it also serves for the same arguments; 0: once
};

struct Rule {
  std::string name, description, reason;
  Place place;
  ExpressionPtr condition;
  std::optional<Verdict> verdict;  // none: the rule only has effects
  int error = 1;                   // errno of what it does not let run (EPERM)
  ReadOnlyMode readOnly = ReadOnlyMode::kRefuse;
  Approval approval;
  std::vector<std::string>
      tools;  // kRestricted: paths, and trees as "/usr/bin/**", of what may still start
  NameSet restriction = 0;  // kRestricted: the rule's bit
  NameSet labels = 0;       // put on the object, and on who touches it
  NameSet degrade = 0;      // of the session, as soon as the rule matches
  bool killSession = false;
  // It reads what has come over the session (`degraded`), and so may only tighten: without another
  // rule that matches, the action is blocked as it would be without this one.
  bool onlyTightens = false;
  // Its condition as the index has it: which actions it can match.
  ActionSet kinds = kEveryAction;
  ExpressionPtr remainder;  // what is left of the condition for these

  bool hasEffects() const { return labels != 0 || degrade != 0 || killSession; }
};

struct Decision {
  enum class Ground : uint8_t {
    kRule,             // `rules` decided
    kNoRule,           // no rule matched
    kUnanswered,       // `rules` could not be evaluated, as facts are unknown
    kRestriction,      // `rules` keep this process from starting this program
    kReadOnlyProcess,  // the process is bound to read-only
  };
  Verdict verdict = Verdict::kBlocked;
  Ground ground = Ground::kNoRule;
  int error = 1;  // errno if it does not run (EPERM)
  ReadOnlyMode readOnly = ReadOnlyMode::kRefuse;
  Approval approval;
  bool killSession = false;
  FactSet missing = 0;          // kUnanswered: the facts that were unknown
  std::vector<uint32_t> rules;  // that gave the verdict, in the order of the file
  // Effects, of all rules that match.
  NameSet labels = 0;  // to be put on the object if the action happens
  NameSet degrade = 0;
  NameSet restrictions = 0;  // that bind the process if the action happens

  bool runs() const { return verdict != Verdict::kBlocked; }
  bool isStricterThan(const Decision& other) const { return verdict > other.verdict; }
  void clear();
};

// `- test:` items: whole actions and their verdicts.
struct PolicyTest {
  std::string name;
  Place place;
  YamlNode action;
  Verdict verdict;
  std::string rule;  // that must be among those that decide, or empty
};
struct Example {
  uint32_t rule;
  bool matches;
  YamlNode action;
};

class Policy {
 public:
  // `nameOrPath`: a stock policy's name, or a file (anything with a '/' or a '.').
  static Policy load(const std::string& nameOrPath, const Bindings& bindings);
  // Checks all examples, under exampleBindings().
  static Policy parse(const Source& source, const Bindings& bindings);

  void evaluate(const Action& action, Decision& decision) const;
  Decision evaluate(const Action& action) const;

  const std::string& name() const { return name_; }  // as the policy calls itself
  const std::string& description() const { return description_; }
  const std::string& sha256() const { return sha256_; }  // of its text, lower-case hex
  const Source& source() const { return *source_; }
  const std::vector<Rule>& rules() const { return rules_; }
  const std::vector<std::string>& labels() const { return labels_; }
  const std::vector<std::string>& degradations() const { return degradations_; }
  // Guarantees of the host without which nothing is to run, as `airr doctor` calls them.
  const std::vector<std::string>& requirements() const { return requirements_; }
  // Facts that conditions look at: the others need not be found out.
  FactSet factsUsed() const { return factsUsed_; }
  const std::vector<PolicyTest>& tests() const { return tests_; }
  const std::vector<Example>& examples() const { return examples_; }

  std::string namesOf(NameSet set, const std::vector<std::string>& names) const;
  // One sentence on why, for terminals and traces: "rule 'secrets' (file:12) blocks it: …".
  std::string reason(const Decision& decision) const;

  // Subtrees in which actions of this kind are always allowed, whatever else is true: no rule that
  // decides otherwise or has an effect can match there. For enforcement by the kernel (Landlock).
  std::vector<std::string> allowedSubtrees(ActionKind kind) const;
  // The same for one tree, which may be part of a larger one that has exceptions elsewhere.
  bool allowsIn(ActionKind kind, std::string_view tree) const;
  // The same for one action: whatever else is true than the facts that it has. Labels that its object carries are not
  // looked at.
  bool alwaysAllows(Action action) const;

 private:
  friend class PolicyParser;
  Policy() = default;
  void compile();
  std::vector<std::string> treesOfAllowing(ActionKind kind) const;
  bool canDifferIn(ActionKind kind, std::string_view tree) const;
  bool mayStart(NameSet restrictions, const Action& action, std::vector<uint32_t>& by) const;

  std::shared_ptr<const Source> source_;
  std::string name_, description_, sha256_;
  std::vector<std::string> labels_, degradations_, requirements_;
  std::vector<Rule> rules_;
  std::vector<uint32_t> restrictedRules_;  // by bit of a restriction
  std::vector<PolicyTest> tests_;
  std::vector<Example> examples_;
  FactSet factsUsed_ = 0;
  int error_ = 1;
  RuleIndex index_;
};

// Whether any program may read this file and map it as code, whatever else is true.
bool letsLoad(const Policy& policy, const std::string& path);
// Whether all actions of this kind are allowed and nothing follows, whatever their facts are, but for what a
// rule has bound a process to (read-only, restricted).
bool allowsEverywhere(const Policy& policy, ActionKind kind);
// Whether it can decide anything but that all is allowed.
bool decidesAnything(const Policy& policy);

// An error of what `airr policy test` runs, or empty.
std::string failureOf(const Policy& policy, const PolicyTest& test);

}  // namespace airr::policies
