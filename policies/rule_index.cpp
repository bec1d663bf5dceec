#include "policies/rule_index.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace airr::policies {
namespace {

// One of which holds whenever the condition is not false.
struct Key {
  enum class Kind : uint8_t { kTree, kPath, kName, kHost, kHostName };
  Kind kind;
  std::string text;
  IpAddress host{};
};
using Keys = std::optional<std::vector<Key>>;  // none: no such keys are known

constexpr size_t kMaxKeysOfRule = 4'096;

Keys keysOf(const std::vector<std::string>& values, Key::Kind kind) {
  std::vector<Key> keys;
  for (const std::string& value : values) keys.push_back({kind, value});
  return keys;
}

Keys keysOfGlobs(const std::vector<std::string>& globs) {
  std::vector<Key> keys;
  for (std::string_view glob : globs) {
    const size_t wild = std::min(glob.find_first_of("*?["), glob.size());
    const std::string_view name = baseName(glob);
    if (glob.find('/') != std::string_view::npos &&
        name.find_first_of("*?[") == std::string_view::npos && !name.empty()) {
      keys.push_back({Key::Kind::kName, std::string(name)});
    } else if (const auto tree = directoryOf(glob.substr(0, wild)); tree.size() > 1) {
      keys.push_back({Key::Kind::kTree, std::string(tree)});
    } else {
      return std::nullopt;
    }
  }
  return keys;
}

Keys keysOf(const Test& test) {
  if (test.negated) return std::nullopt;
  const auto& values = test.strings.values();
  switch (test.fact) {
    case Fact::kPath:
      switch (test.op) {
        case Operator::kEqual:
          return keysOf(values, Key::Kind::kPath);
        case Operator::kUnder: {
          if (std::ranges::find(values, "/") != values.end()) return std::nullopt;
          return keysOf(values, Key::Kind::kTree);
        }
        case Operator::kStartsWith: {
          std::vector<Key> keys;
          for (const std::string& value : values) {
            const std::string_view tree = directoryOf(value);
            if (tree.size() <= 1) return std::nullopt;
            keys.push_back({Key::Kind::kTree, std::string(tree)});
          }
          return keys;
        }
        case Operator::kGlob:
          return keysOfGlobs(values);
        default:
          return std::nullopt;
      }
    case Fact::kPathName:
      return test.op == Operator::kEqual ? keysOf(values, Key::Kind::kName) : std::nullopt;
    case Fact::kHostNames:
      return test.op == Operator::kContains ? keysOf(values, Key::Kind::kHostName) : std::nullopt;
    case Fact::kHost: {
      if (test.op != Operator::kEqual) return std::nullopt;
      std::vector<Key> keys;
      for (const IpRange& range : test.hosts) {
        if (range.prefix != 128) return std::nullopt;
        keys.push_back({Key::Kind::kHost, {}, range.address});
      }
      return keys;
    }
    default:
      return std::nullopt;
  }
}

// How little a set of keys lets through: the least of its keys decides.
size_t selectivity(const std::vector<Key>& keys) {
  size_t least = SIZE_MAX;
  for (const Key& key : keys)
    least = std::min(least, key.kind == Key::Kind::kTree
                                ? static_cast<size_t>(std::ranges::count(key.text, '/'))
                                : size_t{100});
  return least;
}

Keys keysOf(const Expression& condition) {
  switch (condition.kind) {
    case Expression::Kind::kTest:
      return keysOf(condition.test);
    case Expression::Kind::kAnd: {
      Keys best;
      for (const auto& part : condition.parts)
        if (Keys keys = keysOf(*part); keys && (!best || selectivity(*keys) > selectivity(*best)))
          best = std::move(keys);
      return best;
    }
    case Expression::Kind::kOr: {
      std::vector<Key> keys;
      for (const auto& part : condition.parts) {
        Keys more = keysOf(*part);
        if (!more || keys.size() + more->size() > kMaxKeysOfRule) return std::nullopt;
        keys.insert(keys.end(), std::make_move_iterator(more->begin()),
                    std::make_move_iterator(more->end()));
      }
      return keys;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string_view directoryOf(std::string_view prefix) {
  const size_t slash = prefix.rfind('/');
  if (slash == std::string_view::npos) return {};
  return slash == 0 ? "/" : prefix.substr(0, slash);
}

ActionSet kindsOf(const Expression& condition) {
  switch (condition.kind) {
    case Expression::Kind::kAlways:
      return kEveryAction;
    case Expression::Kind::kAnd: {
      ActionSet kinds = kEveryAction;
      for (const auto& part : condition.parts) kinds &= kindsOf(*part);
      return kinds;
    }
    case Expression::Kind::kOr: {
      ActionSet kinds = 0;
      for (const auto& part : condition.parts) kinds |= kindsOf(*part);
      return kinds;
    }
    case Expression::Kind::kNot: {
      const Expression& part = *condition.parts[0];
      const bool exact = part.kind == Expression::Kind::kTest && part.test.fact == Fact::kAction;
      return exact ? kEveryAction & ~kindsOf(part) : kEveryAction;
    }
    case Expression::Kind::kTest: {
      const Test& test = condition.test;
      if (test.fact != Fact::kAction) return info(test.fact).kinds;
      const auto kinds =
          static_cast<ActionSet>(test.op == Operator::kExists ? kEveryAction : test.mask);
      return test.negated ? kEveryAction & ~kinds : kinds;
    }
  }
  return kEveryAction;
}

namespace {

// In some unit.
unsigned costOf(const Expression& condition) {
  constexpr unsigned kNested = 10;
  if (condition.kind != Expression::Kind::kTest) return kNested * condition.size;
  const Test& test = condition.test;
  switch (info(test.fact).type) {
    case FactType::kEnum:
    case FactType::kClassSet:
    case FactType::kNames:
    case FactType::kFlag:
    case FactType::kNumber:
      return 0;
    case FactType::kHost:
      return 1;
    default:
      return test.op == Operator::kRegex ? 8 : test.op == Operator::kGlob ? 6 : test.op == Operator::kUnder ? 4 : 3;
  }
}

void addPart(const ExpressionPtr& part, Expression::Kind kind, std::vector<ExpressionPtr>& parts) {
  if (part->kind == kind) {
    parts.insert(parts.end(), part->parts.begin(), part->parts.end());
  } else {
    parts.push_back(part);
  }
}

}  // namespace

ExpressionPtr remainderFor(const ExpressionPtr& condition, ActionSet kinds) {
  static const auto always = std::make_shared<const Expression>();
  const auto whole = [&](std::vector<ExpressionPtr> parts) -> ExpressionPtr {
    if (parts.size() == 1) return parts[0];
    std::ranges::stable_sort(parts, {}, [](const ExpressionPtr& part) { return costOf(*part); });
    auto result = std::make_shared<Expression>(*condition);
    result->parts = std::move(parts);
    return result;
  };
  std::vector<ExpressionPtr> parts;
  switch (condition->kind) {
    case Expression::Kind::kTest:
      return condition->test.fact == Fact::kAction && (kinds & ~kindsOf(*condition)) == 0 ? always : condition;
    case Expression::Kind::kAnd:
      for (const auto& part : condition->parts) {
        const ExpressionPtr left = remainderFor(part, kinds);
        if (left->kind != Expression::Kind::kAlways) addPart(left, Expression::Kind::kAnd, parts);
      }
      return parts.empty() ? always : whole(std::move(parts));
    case Expression::Kind::kOr:
      for (const auto& part : condition->parts) {
        if ((kindsOf(*part) & kinds) == 0) continue;  // false
        const ExpressionPtr left = remainderFor(part, kinds);
        if (left->kind == Expression::Kind::kAlways) return always;
        addPart(left, Expression::Kind::kOr, parts);
      }
      return parts.empty() ? condition : whole(std::move(parts));
    case Expression::Kind::kAlways:
    case Expression::Kind::kNot:
      return condition;
  }
  return condition;
}

size_t PathTrie::hash(uint32_t parent, std::string_view name) {
  uint64_t h = parent * 0x9e3779b97f4a7c15 + name.size();
  while (name.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, name.data(), 8);
    h = (h ^ word) * 0xff51afd7ed558ccd;
    h ^= h >> 32;
    name.remove_prefix(8);
  }
  uint64_t word = 0;
  std::memcpy(&word, name.data(), name.size());
  h = (h ^ word) * 0xff51afd7ed558ccd;
  return h ^ h >> 29;
}

uint32_t PathTrie::child(uint32_t parent, std::string_view name) const {
  if (slots_.empty()) return 0;
  for (size_t at = hash(parent, name);; ++at) {
    const Slot& slot = slots_[at & (slots_.size() - 1)];
    if (slot.node == 0) return 0;
    if (slot.parent == parent && slot.name == name) return slot.node;
  }
}

void PathTrie::grow() {
  std::vector<Slot> old = std::move(slots_);
  slots_ = std::vector<Slot>(std::max<size_t>(64, old.size() * 2));
  for (Slot& slot : old) {
    if (slot.node == 0) continue;
    size_t at = hash(slot.parent, slot.name);
    while (slots_[at & (slots_.size() - 1)].node != 0) ++at;
    slots_[at & (slots_.size() - 1)] = std::move(slot);
  }
}

void PathTrie::add(std::string_view path, bool subtree, uint32_t value) {
  uint32_t node = 0;
  for (size_t at = 1; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at);
    uint32_t next = child(node, name);
    if (next == 0) {
      if (nodes_.size() * 2 >= slots_.size()) grow();
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      size_t slot = hash(node, name);
      while (slots_[slot & (slots_.size() - 1)].node != 0) ++slot;
      slots_[slot & (slots_.size() - 1)] = {node, next, std::string(name)};
    }
    node = next;
    at = end + 1;
  }
  auto& values = subtree ? nodes_[node].subtree : nodes_[node].exact;
  if (values.empty() || values.back() != value) values.push_back(value);
}

void RuleIndex::add(uint32_t rule, const Expression& condition, ActionSet kinds) {
  all_.push_back(rule);
  Keys keys = keysOf(condition);
  if (keys && keys_ + keys->size() > kMaxKeys) keys.reset();
  if (!keys) {
    for (unsigned kind = 0; kind < kActionKinds; ++kind)
      if (kinds >> kind & 1) unkeyed_[kind].push_back(rule);
    return;
  }
  keys_ += keys->size();
  for (const Key& key : *keys) {
    switch (key.kind) {
      case Key::Kind::kTree:
      case Key::Kind::kPath:
        if (key.text.starts_with('/')) {
          trie_.add(key.text, key.kind == Key::Kind::kTree, rule);
        } else {
          exactNames_[key.text].push_back(rule);
        }
        break;
      case Key::Kind::kName:
        names_[key.text].push_back(rule);
        break;
      case Key::Kind::kHost:
        hosts_[key.host].push_back(rule);
        break;
      case Key::Kind::kHostName:
        hostNames_[key.text].push_back(rule);
        break;
    }
  }
}

std::optional<StaticSubtrees> staticSubtrees(const Expression& condition) {
  switch (condition.kind) {
    case Expression::Kind::kAlways:
      return StaticSubtrees{kEveryAction, {"/"}};
    case Expression::Kind::kTest: {
      const Test& test = condition.test;
      if (test.negated) return std::nullopt;
      if (test.fact == Fact::kAction) return StaticSubtrees{kindsOf(condition), {"/"}};
      if (test.fact == Fact::kPath && test.op == Operator::kUnder)
        return StaticSubtrees{kEveryAction, test.strings.values()};
      return std::nullopt;
    }
    case Expression::Kind::kAnd: {
      StaticSubtrees all{kEveryAction, {"/"}};
      for (const auto& part : condition.parts) {
        auto one = staticSubtrees(*part);
        if (!one) return std::nullopt;
        all.kinds &= one->kinds;
        if (one->trees == std::vector<std::string>{"/"}) continue;
        if (all.trees != std::vector<std::string>{"/"}) return std::nullopt;
        all.trees = std::move(one->trees);
      }
      return all;
    }
    case Expression::Kind::kOr: {
      std::optional<StaticSubtrees> all;
      for (const auto& part : condition.parts) {
        auto one = staticSubtrees(*part);
        if (!one) return std::nullopt;
        if (!all) {
          all = std::move(one);
        } else if (all->kinds == one->kinds) {
          all->trees.insert(all->trees.end(), one->trees.begin(), one->trees.end());
        } else if (all->trees == one->trees) {
          all->kinds |= one->kinds;
        } else {
          return std::nullopt;
        }
      }
      return all;
    }
    case Expression::Kind::kNot:
      return std::nullopt;
  }
  return std::nullopt;
}

// Whether it is sure to be true for every path in `tree`; false: not sure.
static bool alwaysMatchesIn(const Expression& condition, std::string_view tree) {
  const Test& test = condition.test;
  return condition.kind == Expression::Kind::kTest && test.fact == Fact::kPath && test.op == Operator::kUnder &&
         !test.negated &&
         std::ranges::any_of(test.strings.values(), [&](const std::string& larger) { return isUnder(tree, larger); });
}

bool canMatchIn(const Expression& condition, std::string_view tree) {
  const auto canMatch = [&](const ExpressionPtr& part) { return canMatchIn(*part, tree); };
  if (condition.kind == Expression::Kind::kAnd) return std::ranges::all_of(condition.parts, canMatch);
  if (condition.kind == Expression::Kind::kOr) return std::ranges::any_of(condition.parts, canMatch);
  if (condition.kind == Expression::Kind::kNot) return !alwaysMatchesIn(*condition.parts[0], tree);
  const Keys keys = keysOf(condition);
  if (!keys) return true;
  return std::ranges::any_of(*keys, [&](const Key& key) {
    switch (key.kind) {
      case Key::Kind::kTree:
        return isUnder(key.text, tree) || isUnder(tree, key.text);
      case Key::Kind::kPath:
        return isUnder(key.text, tree);
      case Key::Kind::kName:
        return true;
      case Key::Kind::kHost:
      case Key::Kind::kHostName:
        return false;
    }
    return true;
  });
}

}  // namespace airr::policies
