// Actions as text: in the examples and tests of policies, and on the command line of `policy
// explain`.
//
//   {action: connect, host: 10.0.0.1, port: 443, host.name: [example.org]}
//
// An OwnedAction owns what its action's views point to. parse() throws Error (kPolicy).
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policies/condition.h"
#include "policies/facts.h"
#include "policies/yaml_tree.h"

namespace airr::policies {

class Policy;

class OwnedAction {
 public:
  // Keys are the names of facts; `unknown` is a list of facts that could not be found out.
  static OwnedAction parse(const YamlNode& map, const Source& source, const Bindings& bindings,
                           const Policy& policy);
  OwnedAction(OwnedAction&&) = default;
  OwnedAction& operator=(OwnedAction&&) = default;

  const Action& action() const { return action_; }
  Action& action() { return action_; }

 private:
  OwnedAction() = default;
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  std::deque<std::string> texts_;
  std::deque<std::vector<std::string_view>> lists_;
  std::vector<std::pair<std::string_view, std::string_view>> arguments_;
  Action action_;

  friend class ActionParser;
};

// The action on one line, in the same notation; only facts that it has.
std::string describe(const Action& action, const Policy& policy);

}  // namespace airr::policies
