// Says what an action is for, before it happens: which classes it has, and why.
//
// A pure function of the action and of the rule files; docs/classification.md explains the rules.
// An invocation's classes are those of all that its text says it runs: nested commands, shell
// scripts, pipelines. What the text does not show is execute-code, what is not known is unknown:
// never nothing.
//
// Ownership: a Classifier owns its rules; results own their text. Immutable after construction, any
// thread may classify. Loading throws Error (kFailure, file:line:column); classifying never throws
// but std::bad_alloc, and its time and result are bounded, whatever the input.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/classify/classes.h"
#include "policies/classify/yaml_tree.h"

namespace airr::classify {

struct RuleSet;

// One reason: a rule, or "unknown-program" and the like for what no rule says.
struct Signal {
  ClassSet classes;
  std::string rule;
  std::string words;  // what of the action it matched; at most 120 bytes
};

struct Classification {
  ClassSet classes;  // never empty
  std::vector<Signal> why;
};

struct Invocation {
  std::span<const std::string> arguments;  // argv
  std::string_view executable;             // path of the file that will run; empty: argv[0] says it
  std::span<const std::string>
      environment;  // NAME=value that it adds or changes, not what it inherits
};

enum class FileUse : uint8_t { kRead, kWrite, kDelete };

struct NetworkAction {
  std::string_view action;  // "connect", "listen", "send"
  std::string_view host;    // name or address
  uint16_t port = 0;
};

struct ProcessAction {
  std::string_view action;  // "signal", "trace", "memory"
  std::string_view target;  // "self", "session" (another process of it), "other"
  unsigned signal = 0;      // "signal": its number
};

class Classifier {
 public:
  // With the built-in rules, and `more` beside them.
  explicit Classifier(const std::vector<Source>& more = {});
  ~Classifier();
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;

  Classification classify(const Invocation& invocation) const;
  Classification classifyScript(std::string_view script) const;
  // `path`: canonical.
  Classification classifyFile(std::string_view path, FileUse use) const;
  Classification classifyNetwork(const NetworkAction& action) const;
  Classification classifyProcess(const ProcessAction& action) const;

 private:
  std::unique_ptr<const RuleSet> rules_;
};

}  // namespace airr::classify
