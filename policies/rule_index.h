// Finds the rules that can match an action, so that a verdict costs what a few rules cost.
//
// Each condition implies that the action is of certain kinds, and often that its path is in one of
// a few subtrees, has one of a few names, or that the host is one of a few. Rules are filed under
// these; what implies nothing is asked for every action of its kinds.
//
// Immutable once built; any thread. Nothing fails.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policies/condition.h"
#include "policies/facts.h"

namespace airr::policies {

// The directory that contains whatever begins with `prefix`; empty if there is no '/' in it.
std::string_view directoryOf(std::string_view prefix);

// The kinds of actions for which the condition can be anything but false.
ActionSet kindsOf(const Expression& condition);

// What is left to ask of an action that is one of `kinds`, the cheapest first: for such actions it comes
// out as the condition does.
ExpressionPtr remainderFor(const ExpressionPtr& condition, ActionSet kinds);

// Subtrees and exact names of paths, walked component by component.
class PathTrie {
 public:
  PathTrie() : nodes_(1) {}
  void add(std::string_view path, bool subtree, uint32_t value);

  // Calls visit(value) for each subtree that has `path` in it and each exact path that it is.
  template <class Visit>
  void forEach(std::string_view path, Visit visit) const {
    uint32_t node = 0;
    size_t at = 1;
    while (true) {
      for (uint32_t value : nodes_[node].subtree) visit(value);
      if (at >= path.size()) break;
      const size_t end = std::min(path.find('/', at), path.size());
      node = child(node, path.substr(at, end - at));
      if (node == 0) return;
      at = end + 1;
    }
    for (uint32_t value : nodes_[node].exact) visit(value);
  }

 private:
  struct Node {
    std::vector<uint32_t> subtree, exact;
  };
  struct Slot {
    uint32_t parent = 0, node = 0;  // node 0: free
    std::string name;
  };
  static size_t hash(uint32_t parent, std::string_view name);
  uint32_t child(uint32_t parent, std::string_view name) const;
  void grow();

  std::vector<Node> nodes_;  // 0 is the root
  std::vector<Slot> slots_;  // open addressing; a power of two, or empty
};

class RuleIndex {
 public:
  // `rule`: its number; `kinds` as kindsOf() gives them.
  void add(uint32_t rule, const Expression& condition, ActionSet kinds);

  // Calls consider(rule) at least once for each rule that could match.
  template <class Consider>
  void forEach(const Action& action, Consider consider) const {
    if ((action.unknown & kKeyFacts) != 0) {
      for (uint32_t rule : all_) consider(rule);
      return;
    }
    for (uint32_t rule : unkeyed_[static_cast<unsigned>(action.kind)]) consider(rule);
    if (action.has(Fact::kPath)) {
      if (action.path.starts_with('/'))
        trie_.forEach(action.path, consider);
      else
        forKey(exactNames_, action.path, consider);
      if (!names_.empty()) forKey(names_, baseName(action.path), consider);
    }
    if (action.has(Fact::kHost) && !hosts_.empty()) {
      const auto found = hosts_.find(action.host);
      if (found != hosts_.end())
        for (uint32_t rule : found->second) consider(rule);
    }
    if (action.has(Fact::kHostNames) && !hostNames_.empty())
      for (std::string_view name : action.hostNames) forKey(hostNames_, name, consider);
  }

 private:
  static constexpr FactSet kKeyFacts =
      only(Fact::kPath) | only(Fact::kPathName) | only(Fact::kHost) | only(Fact::kHostNames);
  static constexpr size_t kMaxKeys = 1'000'000;

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct IpHash {
    size_t operator()(const IpAddress& address) const {
      return (address.high ^ address.low * 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd;
    }
  };
  using ByName = std::unordered_map<std::string, std::vector<uint32_t>, Hash, std::equal_to<>>;

  template <class Consider>
  static void forKey(const ByName& table, std::string_view name, Consider consider) {
    const auto found = table.find(name);
    if (found != table.end())
      for (uint32_t rule : found->second) consider(rule);
  }

  std::vector<uint32_t> all_;
  std::vector<uint32_t> unkeyed_[kActionKinds];
  PathTrie trie_;
  ByName names_;       // by last component of the path
  ByName exactNames_;  // of abstract sockets
  ByName hostNames_;
  std::unordered_map<IpAddress, std::vector<uint32_t>, IpHash> hosts_;
  size_t keys_ = 0;
};

// Whether the condition is no more than one of `kinds` and one of subtrees, which it then gives.
struct StaticSubtrees {
  ActionSet kinds = kEveryAction;
  std::vector<std::string> trees;
};
std::optional<StaticSubtrees> staticSubtrees(const Expression& condition);
// Whether the condition can be anything but false for a path in `tree`.
bool canMatchIn(const Expression& condition, std::string_view tree);

}  // namespace airr::policies
