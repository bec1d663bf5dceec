// What an invocation is for and what its shell script names: facts that follow from its arguments
// alone, the same when it is decided on and when it is judged.
//
// An InvocationFacts owns what the action's views point to, until the next describe(). One thread
// each; they share one classifier with the built-in rules. Never throws but std::bad_alloc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/facts.h"

namespace airr::facts {

constexpr policies::FactSet kInvocationFacts =
    only(policies::Fact::kClass) | only(policies::Fact::kShellCommands) | only(policies::Fact::kShellReads) |
    only(policies::Fact::kShellWrites) | only(policies::Fact::kShellUnparseable);

class InvocationFacts {
 public:
  // Of an exec that has its arguments; without them the facts are unknown.
  void describe(policies::Action& action);

 private:
  std::vector<std::string> arguments_, texts_;
  std::vector<std::string_view> commands_, reads_, writes_;
};

// The script in `sh -c SCRIPT` and its like; nothing if there is none. A pure function.
const std::string* shellScript(std::span<const std::string> arguments);

}  // namespace airr::facts
