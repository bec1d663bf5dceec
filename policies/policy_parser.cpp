#include "policies/policy_parser.h"

#include <string.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "recorder/digest.h"

namespace airr::policies {
namespace {

struct Key {
  const char* name;
  bool required = false;
};

constexpr Key kPolicyKeys[] = {{"policy", true}, {"desc"}, {"errno"}, {"read-only"}, {"requires"}};
constexpr Key kListKeys[] = {{"list", true}, {"desc"}, {"items", true}};
constexpr Key kMacroKeys[] = {{"macro", true}, {"desc"}, {"condition", true}};
constexpr Key kRuleKeys[] = {
    {"rule", true}, {"desc"},      {"condition", true}, {"verdict"},  {"reason"},
    {"errno"},      {"read-only"}, {"timeout"},         {"expires"},  {"tools"},
    {"label"},      {"degrade"},   {"kill-session"},    {"examples"},
};
constexpr Key kTestKeys[] = {
    {"test", true}, {"desc"}, {"action", true}, {"verdict", true}, {"rule"}};
constexpr Key kExampleKeys[] = {{"match"}, {"no-match"}};

std::string suggestion(std::string_view word, const std::vector<std::string_view>& from) {
  const std::string_view near = nearest(word, from);
  return near.empty() ? "" : "did you mean '" + std::string(near) + "'?";
}

// Which facts of the session's degradations a condition reads, and with which sign.
struct Polarity {
  bool plain = false, negated = false;
};
void findDegraded(const Expression& condition, bool negated, Polarity& found) {
  if (condition.kind == Expression::Kind::kTest && condition.test.fact == Fact::kDegraded)
    (negated != condition.test.negated ? found.negated : found.plain) = true;
  for (const auto& part : condition.parts)
    findDegraded(*part, negated != (condition.kind == Expression::Kind::kNot), found);
}

FactSet factsOf(const Expression& condition) {
  FactSet facts = condition.kind == Expression::Kind::kTest ? only(condition.test.fact) : 0;
  for (const auto& part : condition.parts) facts |= factsOf(*part);
  return facts;
}

class DocumentParser {
 public:
  DocumentParser(const Source& source, const Bindings& bindings)
      : source_(source), scope_{source, bindings, {}, {}, {}, {}, 0, 0, {}, {}} {}

  struct Result {
    std::string name, description;
    std::vector<std::string> labels, degradations, requirements;
    std::vector<Rule> rules;
    std::vector<PolicyTest> tests;
    std::vector<Example> examples;
    FactSet factsUsed = 0;
    int error = EPERM;
  };

  Result parse() {
    const YamlNode root = source_.packed.empty() ? parseYaml(source_) : unpackYaml(source_.packed);
    if (root.kind != YamlNode::Kind::kSequence)
      throw source_.error(root.place, "a policy is a list of items",
                          "begin each with '- policy:', '- list:', '- macro:', '- rule:' or "
                          "'- test:'");
    for (const YamlNode& item : root.items) sort(item);
    if (policyItem_ == nullptr)
      throw source_.error(root.place, "there is no item that says what policy this is",
                          "begin with '- policy: NAME'");
    readPolicy(*policyItem_);
    for (const auto& [name, item] : listItems_) resolveList(name);
    for (const YamlNode* item : ruleItems_) collectNames(*item);
    scope_.resolveMacro = [this](std::string_view name, Place used) {
      return resolveMacro(name, used);
    };
    for (const auto& [name, item] : macroItems_) scope_.macroNames.insert(name);
    for (const auto& [name, item] : macroItems_)
      if (!scope_.macros.contains(name)) resolveMacro(name, item->place);
    for (const YamlNode* item : ruleItems_) readRule(*item);
    for (const YamlNode* item : testItems_) readTest(*item);
    result_.labels = std::move(scope_.labels);
    result_.degradations = std::move(scope_.degradations);
    return std::move(result_);
  }

 private:
  using Items = std::map<std::string, const YamlNode*, std::less<>>;

  template <size_t N>
  void checkKeys(const YamlNode& item, const Key (&keys)[N], const char* what) const {
    for (const auto& [name, value] : item.entries) {
      const auto same = [&, &key = name](const Key& known) { return key.text == known.name; };
      if (std::ranges::any_of(keys, same)) continue;
      std::vector<std::string_view> names;
      for (const Key& key : keys) names.push_back(key.name);
      throw source_.error(name.place, std::string("a ") + what + " has no '" + name.text + "'",
                          suggestion(name.text, names));
    }
    for (const Key& key : keys)
      if (key.required && item.find(key.name) == nullptr)
        throw source_.error(item.place, std::string("this ") + what + " has no '" + key.name + "'");
  }

  std::string scalar(const YamlNode& node, const char* what) const {
    if (node.kind != YamlNode::Kind::kScalar)
      throw source_.error(node.place, std::string(what) + " is a text");
    std::string text = node.text;
    while (text.ends_with('\n')) text.pop_back();
    if (text.empty()) throw source_.error(node.place, std::string(what) + " is empty");
    return text;
  }
  std::string optionalText(const YamlNode& item, const char* key) const {
    const YamlNode* node = item.find(key);
    return node == nullptr ? "" : scalar(*node, key);
  }

  std::string identifier(const YamlNode& node, const char* what) const {
    std::string word = scalar(node, what);
    const bool good = std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.';
    });
    if (!good || word.size() > 100)
      throw source_.error(node.place, "'" + word + "' cannot be a name",
                          "use up to 100 letters, digits, '-', '_' and '.'");
    return word;
  }

  std::vector<const YamlNode*> oneOrMore(const YamlNode& node) const {
    std::vector<const YamlNode*> items;
    if (node.kind == YamlNode::Kind::kSequence) {
      for (const YamlNode& item : node.items) items.push_back(&item);
    } else {
      items.push_back(&node);
    }
    return items;
  }

  void sort(const YamlNode& item) {
    constexpr const char* kKinds[] = {"policy", "list", "macro", "rule", "test"};
    if (item.kind != YamlNode::Kind::kMap || item.entries.empty())
      throw source_.error(item.place,
                          "an item is a map that begins with policy, list, macro, rule "
                          "or test");
    const YamlNode& kind = item.entries[0].first;
    if (kind.text == "policy") {
      if (policyItem_ != nullptr)
        throw source_.error(item.place, "there is a second item 'policy'");
      policyItem_ = &item;
    } else if (kind.text == "list" || kind.text == "macro") {
      Items& items = kind.text == "list" ? listItems_ : macroItems_;
      const YamlNode& name = item.entries[0].second;
      if (!items.emplace(identifier(name, kind.text.c_str()), &item).second)
        throw source_.error(name.place, "there are two of the name '" + name.text + "'");
    } else if (kind.text == "rule") {
      if (ruleItems_.size() == kMaxRules)
        throw source_.error(item.place,
                            "a policy has at most " + std::to_string(kMaxRules) + " rules");
      ruleItems_.push_back(&item);
    } else if (kind.text == "test") {
      testItems_.push_back(&item);
    } else {
      throw source_.error(kind.place, "an item does not begin with '" + kind.text + "'",
                          suggestion(kind.text, {std::begin(kKinds), std::end(kKinds)}));
    }
  }

  void readPolicy(const YamlNode& item) {
    checkKeys(item, kPolicyKeys, "policy");
    result_.name = identifier(*item.find("policy"), "policy");
    result_.description = optionalText(item, "desc");
    if (const YamlNode* node = item.find("errno")) result_.error = errnoNamed(*node);
    if (const YamlNode* node = item.find("read-only")) readOnly_ = readOnlyMode(*node);
    if (const YamlNode* node = item.find("requires"))
      for (const YamlNode* name : oneOrMore(*node))
        result_.requirements.push_back(identifier(*name, "requires"));
  }

  // Lists may name others; macros too. A name that is being resolved already names itself.
  const std::vector<std::string>& resolveList(const std::string& name) {
    if (const auto found = scope_.lists.find(name); found != scope_.lists.end())
      return found->second;
    const YamlNode& item = *listItems_.find(name)->second;
    checkKeys(item, kListKeys, "list");
    if (resolving_.size() >= kMaxExpressionDepth ||
        std::ranges::find(resolving_, name) != resolving_.end())
      throw source_.error(item.place, "the list '" + name + "' refers to itself, or too deep");
    resolving_.push_back(name);
    std::vector<std::string> values;
    const YamlNode& items = *item.find("items");
    if (items.kind != YamlNode::Kind::kSequence)
      throw source_.error(items.place, "items is a list");
    for (const YamlNode& value : items.items) {
      std::string text = scalar(value, "an item of a list");
      if (!value.quoted && text.starts_with('$') && !text.starts_with("${")) {
        const std::string other = text.substr(1);
        if (!listItems_.contains(other)) {
          std::vector<std::string_view> names;
          for (const auto& [key, ignored] : listItems_) names.push_back(key);
          throw source_.error(value.place, "there is no list '" + other + "'",
                              suggestion(other, names));
        }
        const auto& more = resolveList(other);
        values.insert(values.end(), more.begin(), more.end());
      } else {
        values.push_back(std::move(text));
      }
      if (values.size() > kMaxValues)
        throw source_.error(value.place, "this list is too long, the lists in it expanded");
    }
    resolving_.pop_back();
    return scope_.lists[name] = std::move(values);
  }

  ExpressionPtr resolveMacro(std::string_view name, Place used) {
    const auto found = macroItems_.find(name);
    if (found == macroItems_.end()) return nullptr;
    const YamlNode& item = *found->second;
    checkKeys(item, kMacroKeys, "macro");
    if (resolving_.size() >= kMaxExpressionDepth ||
        std::ranges::find(resolving_, name) != resolving_.end())
      throw source_.error(used,
                          "the macro '" + std::string(name) + "' refers to itself, or too deep");
    resolving_.emplace_back(name);
    ExpressionPtr condition = parseCondition(*item.find("condition"), scope_);
    resolving_.pop_back();
    return scope_.macros[found->first] = std::move(condition);
  }

  // Labels and degradations must be known before conditions that test them.
  void collectNames(const YamlNode& item) {
    auto collect = [&](const char* key, std::vector<std::string>& names) {
      const YamlNode* node = item.find(key);
      if (node == nullptr) return;
      for (const YamlNode* one : oneOrMore(*node)) {
        const std::string name = identifier(*one, key);
        if (std::ranges::find(names, name) != names.end()) continue;
        if (names.size() == kMaxNames)
          throw source_.error(one->place, std::string("a policy has at most ") +
                                              std::to_string(kMaxNames) + " names for '" + key +
                                              "'");
        names.push_back(name);
      }
    };
    collect("label", scope_.labels);
    collect("degrade", scope_.degradations);
  }

  NameSet setOf(const YamlNode& item, const char* key,
                const std::vector<std::string>& names) const {
    NameSet set = 0;
    if (const YamlNode* node = item.find(key))
      for (const YamlNode* one : oneOrMore(*node))
        set |= 1ull << (std::ranges::find(names, one->text) - names.begin());
    return set;
  }

  Verdict verdictNamed(const YamlNode& node) const {
    std::vector<std::string_view> names;
    for (unsigned i = 0; i <= static_cast<unsigned>(Verdict::kBlocked); ++i) {
      names.push_back(toString(static_cast<Verdict>(i)));
      if (node.text == names.back()) return static_cast<Verdict>(i);
    }
    throw source_.error(node.place, "there is no verdict '" + node.text + "'",
                        nearest(node.text, names).empty()
                            ? "there are allow, read-only, approve, restricted and blocked"
                            : suggestion(node.text, names));
  }

  int errnoNamed(const YamlNode& node) const {
    constexpr int kLastErrno = 133;
    std::vector<std::string_view> names;
    for (int error = 1; error <= kLastErrno; ++error) {
      const char* name = ::strerrorname_np(error);
      if (name == nullptr) continue;
      if (node.text == name) return error;
      names.push_back(name);
    }
    throw source_.error(node.place, "there is no errno '" + node.text + "'",
                        suggestion(node.text, names));
  }

  ReadOnlyMode readOnlyMode(const YamlNode& node) const {
    if (node.text == "refuse") return ReadOnlyMode::kRefuse;
    if (node.text == "overlay") return ReadOnlyMode::kOverlay;
    throw source_.error(node.place, "read-only is 'refuse' or 'overlay', not '" + node.text + "'");
  }

  std::chrono::seconds duration(const YamlNode& node) const {
    constexpr int64_t kLongest = 366 * 86'400;
    const std::string& text = node.text;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    const int64_t factor = unit == "s"   ? 1
                           : unit == "m" ? 60
                           : unit == "h" ? 3600
                           : unit == "d" ? 86'400
                                         : 0;
    if (error != std::errc{} || factor == 0 || value <= 0 || value > kLongest / factor)
      throw source_.error(node.place, "'" + text + "' is not a duration",
                          "as in 30s, 10m, 8h or 1d");
    return std::chrono::seconds(value * factor);
  }

  void onlyWith(const YamlNode& item, const char* key, const Rule& rule, Verdict verdict) const {
    const YamlNode* node = item.find(key);
    if (node != nullptr && rule.verdict != verdict)
      throw source_.error(node->place, std::string("'") + key + "' goes with the verdict '" +
                                           toString(verdict) + "'");
  }

  void readRule(const YamlNode& item) {
    checkKeys(item, kRuleKeys, "rule");
    Rule rule;
    rule.place = item.place;
    const YamlNode& name = *item.find("rule");
    rule.name = scalar(name, "rule");
    if (rule.name.size() > 200) throw source_.error(name.place, "this name is too long");
    if (!ruleNames_.insert(rule.name).second)
      throw source_.error(name.place, "there are two rules '" + rule.name + "'");
    rule.description = optionalText(item, "desc");
    rule.reason = optionalText(item, "reason");
    rule.condition = parseCondition(*item.find("condition"), scope_);
    if (tests_ += rule.condition->size; tests_ > kMaxTests)
      throw source_.error(item.place, "the rules have more than " + std::to_string(kMaxTests) +
                                          " tests, their macros expanded");
    if (const YamlNode* node = item.find("verdict")) rule.verdict = verdictNamed(*node);
    rule.error = result_.error;
    if (const YamlNode* node = item.find("errno")) rule.error = errnoNamed(*node);
    rule.readOnly = readOnly_;
    onlyWith(item, "read-only", rule, Verdict::kReadOnly);
    onlyWith(item, "timeout", rule, Verdict::kApprove);
    onlyWith(item, "expires", rule, Verdict::kApprove);
    onlyWith(item, "tools", rule, Verdict::kRestricted);
    if (const YamlNode* node = item.find("read-only")) rule.readOnly = readOnlyMode(*node);
    if (const YamlNode* node = item.find("timeout")) rule.approval.timeout = duration(*node);
    if (const YamlNode* node = item.find("expires")) rule.approval.expires = duration(*node);
    if (rule.verdict == Verdict::kRestricted) readTools(item, rule);
    rule.labels = setOf(item, "label", scope_.labels);
    rule.degrade = setOf(item, "degrade", scope_.degradations);
    if (const YamlNode* node = item.find("kill-session")) {
      if (node->text != "true" && node->text != "false")
        throw source_.error(node->place, "kill-session is true or false");
      rule.killSession = node->text == "true";
      if (rule.killSession) onlyWith(item, "kill-session", rule, Verdict::kBlocked);
    }
    if (!rule.verdict && !rule.hasEffects())
      throw source_.error(item.place, "this rule has no effect",
                          "give it a verdict, a label or a degradation");
    checkDegraded(item, rule);
    rule.kinds = kindsOf(*rule.condition);
    rule.remainder = remainderFor(rule.condition, rule.kinds);
    result_.factsUsed |= factsOf(*rule.condition);
    if (const YamlNode* node = item.find("examples")) readExamples(*node);
    result_.rules.push_back(std::move(rule));
  }

  void readTools(const YamlNode& item, Rule& rule) {
    const YamlNode* node = item.find("tools");
    if (node == nullptr)
      throw source_.error(item.place, "a restricted rule says which 'tools' may be started");
    for (const YamlNode* tool : oneOrMore(*node)) {
      std::string text = scalar(*tool, "a tool");
      if (!tool->quoted && text.starts_with('$') && !text.starts_with("${")) {
        const auto found = scope_.lists.find(text.substr(1));
        if (found == scope_.lists.end())
          throw source_.error(tool->place, "there is no list '" + text.substr(1) + "'");
        for (const std::string& one : found->second) addTool(one, *tool, rule);
      } else {
        addTool(text, *tool, rule);
      }
    }
    if (restrictions_ == kMaxNames)
      throw source_.error(
          item.place, "a policy has at most " + std::to_string(kMaxNames) + " restricted rules");
    rule.restriction = 1ull << restrictions_++;
  }

  void addTool(const std::string& text, const YamlNode& node, Rule& rule) const {
    std::string path = expand(text, scope_.bindings, source_, node.place);
    const bool tree = path.ends_with("/**");
    const auto canonical = canonicalPath(tree ? path.substr(0, path.size() - 3) : path);
    if (!canonical)
      throw source_.error(node.place, "'" + text + "' is not an absolute path",
                          "a name alone would let any file of that name be started");
    rule.tools.push_back(*canonical + (tree ? "/**" : ""));
  }

  // So that a degradation only ever tightens: where it is the ground of a rule, the rule permits
  // nothing by itself; where its absence is, what ceases to hold is a permission.
  void checkDegraded(const YamlNode& item, Rule& rule) const {
    Polarity polarity;
    findDegraded(*rule.condition, false, polarity);
    if (polarity.negated &&
        (polarity.plain || rule.verdict != Verdict::kAllow || rule.hasEffects()))
      throw source_.error(item.place,
                          "a rule that holds only while the session is not degraded may only allow",
                          "degradation must never loosen; write the stricter rule with 'degraded'");
    rule.onlyTightens = polarity.plain;
  }

  void readExamples(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kMap)
      throw source_.error(node.place, "examples has 'match' and 'no-match'");
    checkKeys(node, kExampleKeys, "set of examples");
    for (const auto& [key, value] : node.entries) {
      if (value.kind != YamlNode::Kind::kSequence)
        throw source_.error(value.place, "'" + key.text + "' is a list of actions");
      for (const YamlNode& action : value.items)
        result_.examples.push_back(
            {static_cast<uint32_t>(result_.rules.size()), key.text == "match", action});
    }
  }

  void readTest(const YamlNode& item) {
    checkKeys(item, kTestKeys, "test");
    PolicyTest test{scalar(*item.find("test"), "test"), item.place, *item.find("action"),
                    verdictNamed(*item.find("verdict")), optionalText(item, "rule")};
    if (!test.rule.empty() && !ruleNames_.contains(test.rule))
      throw source_.error(item.find("rule")->place, "there is no rule '" + test.rule + "'",
                          suggestion(test.rule, {ruleNames_.begin(), ruleNames_.end()}));
    result_.tests.push_back(std::move(test));
  }

  const Source& source_;
  Scope scope_;
  Result result_;
  const YamlNode* policyItem_ = nullptr;
  Items listItems_, macroItems_;
  std::vector<const YamlNode*> ruleItems_, testItems_;
  std::vector<std::string> resolving_;
  std::set<std::string> ruleNames_;
  ReadOnlyMode readOnly_ = ReadOnlyMode::kRefuse;
  unsigned restrictions_ = 0;
  size_t tests_ = 0;
};

}  // namespace

Policy PolicyParser::parse(std::shared_ptr<const Source> source, const Bindings& bindings) {
  auto parsed = DocumentParser(*source, bindings).parse();
  Policy policy;
  const Digest digest =
      sha256({reinterpret_cast<const uint8_t*>(source->text.data()), source->text.size()});
  policy.sha256_ = hex(digest);
  policy.error_ = parsed.error;
  policy.source_ = std::move(source);
  policy.name_ = std::move(parsed.name);
  policy.description_ = std::move(parsed.description);
  policy.labels_ = std::move(parsed.labels);
  policy.degradations_ = std::move(parsed.degradations);
  policy.requirements_ = std::move(parsed.requirements);
  policy.rules_ = std::move(parsed.rules);
  policy.tests_ = std::move(parsed.tests);
  policy.examples_ = std::move(parsed.examples);
  policy.factsUsed_ = parsed.factsUsed;
  policy.compile();
  return policy;
}

}  // namespace airr::policies
