#include "policies/bounds.h"

#include <algorithm>
#include <string_view>

#include "policies/rule_index.h"

namespace airr::policies {
namespace {

using Trees = std::optional<std::vector<std::string>>;

// Where all paths are that begin with `prefix`.
std::string treeOf(std::string_view prefix) {
  const std::string_view directory = directoryOf(prefix);
  return directory.empty() ? "/" : std::string(directory);
}

Trees treesOf(const Test& test) {
  if (test.fact != Fact::kPath || test.negated) return std::nullopt;
  std::vector<std::string> trees;
  const auto& values = test.strings.values();
  if (values.empty()) return std::nullopt;  // `regex` and `exists` keep none there
  for (const std::string& value : values) {
    switch (test.op) {
      case Operator::kEqual:
      case Operator::kUnder: trees.push_back(value); break;
      case Operator::kStartsWith: trees.push_back(treeOf(value)); break;
      case Operator::kGlob: trees.push_back(treeOf(value.substr(0, value.find_first_of("*?[")))); break;
      default: return std::nullopt;
    }
    if (!trees.back().starts_with('/')) return std::nullopt;
  }
  return trees;
}

// In which a path is if the condition is anything but false.
Trees treesOf(const Expression& condition) {
  switch (condition.kind) {
    case Expression::Kind::kTest: return treesOf(condition.test);
    case Expression::Kind::kAnd: {
      Trees best;
      for (const auto& part : condition.parts)
        if (Trees trees = treesOf(*part); trees && (!best || trees->size() < best->size())) best = std::move(trees);
      return best;
    }
    case Expression::Kind::kOr: {
      std::vector<std::string> all;
      for (const auto& part : condition.parts) {
        const Trees trees = treesOf(*part);
        if (!trees) return std::nullopt;
        all.insert(all.end(), trees->begin(), trees->end());
      }
      return all;
    }
    default: return std::nullopt;
  }
}

bool permits(const Rule& rule, ActionKind kind) {
  if (!rule.verdict || rule.onlyTightens || (rule.kinds & only(kind)) == 0) return false;
  // A write under a read-only verdict fails, or goes to an overlay.
  if (*rule.verdict == Verdict::kReadOnly && rule.readOnly == ReadOnlyMode::kRefuse) return (only(kind) & kWritingActions) == 0;
  return *rule.verdict != Verdict::kBlocked;
}

}  // namespace

Trees boundsOf(const Policy& policy, ActionKind kind) {
  std::vector<std::string> all;
  for (const Rule& rule : policy.rules()) {
    if (!permits(rule, kind)) continue;
    const Trees trees = treesOf(*rule.condition);
    if (!trees) return std::nullopt;
    all.insert(all.end(), trees->begin(), trees->end());
  }
  std::ranges::sort(all);
  std::vector<std::string> least;
  for (const std::string& tree : all)
    if (std::ranges::none_of(least, [&](const std::string& above) { return isUnder(tree, above); }))
      least.push_back(tree);
  if (!least.empty() && least.front() == "/") return std::nullopt;
  return least;
}

bool canPermit(const Policy& policy, Action action) {
  for (const FactInfo& fact : allFacts())
    if ((fact.kinds & only(action.kind)) != 0 && !action.has(fact.fact)) action.setUnknown(fact.fact);
  const Decision decision = policy.evaluate(action);
  return decision.runs() || decision.ground == Decision::Ground::kUnanswered;
}

}  // namespace airr::policies
