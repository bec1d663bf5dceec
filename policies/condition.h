// Conditions of rules: boolean expressions over the facts of an action. docs/policy.md is the
// reference of the language.
//
// Expressions are immutable once parsed, and shared between the rules that use a macro; any thread
// may evaluate them. Parsing throws Error (kPolicy) with the place in the source; evaluating never
// fails: a fact that could not be found out makes a test kUnknown.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "policies/bindings.h"
#include "policies/facts.h"
#include "policies/glob.h"
#include "policies/yaml_tree.h"

namespace re2 {
class RE2;
}

namespace airr::policies {

// Of Kleene's logic: and is the least, or the greatest.
enum class Truth : uint8_t { kFalse, kUnknown, kTrue };
constexpr Truth truth(bool value) { return value ? Truth::kTrue : Truth::kFalse; }
constexpr Truth operator!(Truth value) {
  return static_cast<Truth>(2 - static_cast<uint8_t>(value));
}

enum class Operator : uint8_t {
  kEqual,  // `in` as well: one of the values
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kBits,      // a number has one of the bits
  kContains,  // text: the substring; a list or set: the member (`intersects`: one of them)
  kStartsWith,
  kEndsWith,
  kUnder,  // a path: the tree or in it; a host name: the domain or in it
  kGlob,
  kRegex,
  kExists,
  kIs,  // a flag is set
};

// Strings of which one must be met. Few are compared one by one, many are hashed.
class StringSet {
 public:
  explicit StringSet(std::vector<std::string> values);
  bool contains(std::string_view text) const;
  // One of the values is `path` or above it.
  bool hasTreeOf(std::string_view path) const;
  // One of the values is `name` or a domain above it.
  bool hasDomainOf(std::string_view name) const;
  const std::vector<std::string>& values() const { return values_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  static uint64_t lengthOf(std::string_view text) { return 1ull << std::min<size_t>(text.size(), 63); }
  bool isMember(std::string_view text) const {
    return (lengths_ & lengthOf(text)) != 0 && many_.find(text) != many_.end();
  }

  std::vector<std::string> values_;
  std::unordered_set<std::string, Hash, std::equal_to<>> many_;  // empty if they are few
  uint64_t lengths_ = 0;  // bit n: one of them has n bytes; 63 and above: at least 63
};

struct NumberRange {
  int64_t first, last;
};
struct IpRange {
  IpAddress address;
  unsigned prefix;  // bits, of 128
  bool contains(const IpAddress&) const;
};

// One comparison of a fact.
struct Test {
  Fact fact = Fact::kAction;
  Operator op = Operator::kExists;
  bool negated = false;           // !=: the fact is there and is another
  std::optional<unsigned> index;  // argv[i]
  std::string pointer;            // tool.argument[/pointer]
  uint64_t mask = 0;              // enums: the values; sets: the members
  StringSet strings{{}};
  std::vector<NumberRange> numbers;
  std::vector<IpRange> hosts;
  std::vector<Glob> globs;
  std::vector<std::shared_ptr<const re2::RE2>> patterns;

  // `commandLine` is scratch for the evaluation of one action, empty at first.
  Truth evaluate(const Action& action, std::string& commandLine) const;
  // The action's value of the fact, for people; empty if it has none.
  static std::string valueOf(Fact fact, const Action& action);
};

struct Expression {
  enum class Kind : uint8_t { kAlways, kAnd, kOr, kNot, kTest };
  Kind kind = Kind::kAlways;
  std::vector<std::shared_ptr<const Expression>> parts;
  Test test;
  std::string text;  // a test, as it was written
  unsigned size = 1, depth = 1;

  Truth evaluate(const Action& action, std::string& commandLine) const;
};
using ExpressionPtr = std::shared_ptr<const Expression>;

constexpr unsigned kMaxExpressionDepth = 48;
constexpr unsigned kMaxExpressionSize = 20'000;  // tests of a rule, macros expanded
constexpr size_t kMaxValues = 1'000'000;         // in the tests of a policy, lists expanded
constexpr unsigned kMaxPatterns = 512;           // of a policy
constexpr unsigned kMaxPatternBytes = 1'000;
constexpr int64_t kPatternMemory = 256 << 10;  // of each, program and cache together

// What a condition can refer to.
struct Scope {
  const Source& source;
  const Bindings& bindings;
  std::map<std::string, std::vector<std::string>, std::less<>> lists;
  std::map<std::string, ExpressionPtr, std::less<>> macros;
  std::vector<std::string> labels, degradations;  // bit i of a NameSet is [i]
  unsigned patterns = 0;                          // compiled so far
  size_t values = 0;                              // so far
  // Called for a macro that is not in `macros` yet; null if there is none of that name.
  std::function<ExpressionPtr(std::string_view name, Place used)> resolveMacro;
  std::set<std::string, std::less<>> macroNames;  // all, for suggestions
};

ExpressionPtr parseCondition(const YamlNode& text, Scope& scope);

// The words of a condition with one blank between, and the offsets in `condition` where each `and`
// and `or` outside of parentheses is; for the formatter.
std::string normalised(std::string_view condition);

// `text` with ${variables} replaced. Throws Error for one that is unknown or has no value.
std::string expand(std::string_view text, const Bindings& bindings, const Source& source,
                   Place place);
}  // namespace airr::policies
