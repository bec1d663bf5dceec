#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "policies/condition.h"
#include "policies/condition_lexer.h"

namespace airr::policies {
namespace {

struct OperatorName {
  const char* name;
  Operator op;
  bool takesList;
  bool negated = false;
};
constexpr OperatorName kOperators[] = {
    {"=", Operator::kEqual, false},
    {"!=", Operator::kEqual, false, true},
    {"<", Operator::kLess, false},
    {"<=", Operator::kLessOrEqual, false},
    {">", Operator::kGreater, false},
    {">=", Operator::kGreaterOrEqual, false},
    {"in", Operator::kEqual, true},
    {"bits", Operator::kBits, false},
    {"contains", Operator::kContains, true},
    {"intersects", Operator::kContains, true},
    {"startswith", Operator::kStartsWith, true},
    {"endswith", Operator::kEndsWith, true},
    {"under", Operator::kUnder, true},
    {"glob", Operator::kGlob, true},
    {"regex", Operator::kRegex, true},
    {"exists", Operator::kExists, false},
};

constexpr unsigned ops(auto... op) { return ((1u << static_cast<unsigned>(op)) | ...); }
constexpr unsigned kTextOps = ops(Operator::kStartsWith, Operator::kEndsWith, Operator::kGlob,
                                  Operator::kRegex, Operator::kContains, Operator::kExists);

unsigned allowedOperators(const FactInfo& fact, bool indexed) {
  switch (fact.type) {
    case FactType::kEnum:
      return ops(Operator::kEqual, Operator::kExists);
    case FactType::kString:
    case FactType::kPointer:
      return kTextOps | ops(Operator::kEqual) | (isHostName(fact.fact) ? ops(Operator::kUnder) : 0);
    case FactType::kPath:
      return kTextOps | ops(Operator::kEqual, Operator::kUnder);
    case FactType::kList:
      if (indexed) return kTextOps | ops(Operator::kEqual);
      return kTextOps | (isHostName(fact.fact) ? ops(Operator::kUnder) : 0);
    case FactType::kPathList:
      return kTextOps | ops(Operator::kUnder) | (indexed ? ops(Operator::kEqual) : 0);
    case FactType::kNumber:
      return ops(Operator::kEqual, Operator::kLess, Operator::kLessOrEqual, Operator::kGreater,
                 Operator::kGreaterOrEqual, Operator::kBits, Operator::kExists);
    case FactType::kFlag:
      return ops(Operator::kEqual, Operator::kExists);
    case FactType::kHost:
      return ops(Operator::kEqual, Operator::kExists);
    case FactType::kNames:
    case FactType::kClassSet:
      return ops(Operator::kContains, Operator::kExists);
  }
  return 0;
}

const FactInfo* findFact(std::string_view name) {
  for (const FactInfo& fact : allFacts())
    if (name == fact.name) return &fact;
  return nullptr;
}

std::optional<int64_t> parseNumber(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) base = 16;
  if (text.starts_with("0o")) base = 8;
  if (base != 10) text.remove_prefix(2);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<NumberRange> parseRange(std::string_view text) {
  const size_t dash = text.find('-', 1);
  const auto first = parseNumber(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parseNumber(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return NumberRange{*first, *last};
}

std::optional<IpRange> parseIpRange(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = parseIp(text.substr(0, slash));
  if (!address) return std::nullopt;
  const bool v4 = text.find(':') == std::string_view::npos;
  if (slash == std::string_view::npos) return IpRange{*address, 128};
  const auto bits = parseNumber(text.substr(slash + 1));
  if (!bits || *bits < 0 || *bits > (v4 ? 32 : 128)) return std::nullopt;
  return IpRange{*address, static_cast<unsigned>(*bits) + (v4 ? 96 : 0)};
}

ActionSet groupOf(std::string_view word) {
  if (word == "writes") return kWritingActions;
  if (word == "network") return kNetworkActions;
  if (word == "files") return kFileActions;
  return 0;
}

// In a value that is a pattern, what a variable stands for is no pattern.
std::string quoteFor(Operator op, const std::string& value) {
  if (op == Operator::kRegex) return re2::RE2::QuoteMeta(value);
  if (op != Operator::kGlob) return value;
  std::string quoted;
  for (char c : value) {
    if (c == '*' || c == '?' || c == '[') {
      quoted.append("[").append(1, c).append("]");
    } else {
      quoted += c;
    }
  }
  return quoted;
}

class Parser {
 public:
  Parser(const YamlNode& node, Scope& scope)
      : node_(node), scope_(scope), tokens_(tokenise(node, scope.source)) {}

  ExpressionPtr parse() {
    ExpressionPtr result = parseOr(0);
    if (peek().kind != Token::Kind::kEnd) {
      if (peek().is(")")) throw error(peek(), "this parenthesis was not opened");
      throw error(peek(), "'" + std::string(peek().text) + "' is not expected here",
                  "join tests with 'and' or 'or'");
    }
    return result;
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (token.kind != Token::Kind::kEnd) ++at_;
    return token;
  }
  bool accept(std::string_view word) {
    if (!peek().is(word) || peek().kind == Token::Kind::kEnd) return false;
    ++at_;
    return true;
  }
  Place placeOf(const Token& token) const { return placeIn(node_, token.offset, scope_.source); }
  Error error(const Token& token, const std::string& why, std::string remedy = {}) const {
    return scope_.source.error(placeOf(token), why, std::move(remedy));
  }
  static std::string suggest(std::string_view word, const std::vector<std::string_view>& from) {
    const std::string_view near = nearest(word, from);
    return near.empty() ? "" : "did you mean '" + std::string(near) + "'?";
  }

  ExpressionPtr combine(Expression::Kind kind, std::vector<ExpressionPtr> parts, const Token& at) {
    if (parts.size() == 1 && kind != Expression::Kind::kNot) return parts[0];
    auto result = std::make_shared<Expression>();
    result->kind = kind;
    result->size = 0;
    for (const auto& part : parts) {
      result->size += part->size;
      result->depth = std::max(result->depth, part->depth + 1);
      if (result->size > kMaxExpressionSize)
        throw error(at, "this condition has more than " + std::to_string(kMaxExpressionSize) +
                            " tests, its macros expanded");
    }
    if (result->depth > kMaxExpressionDepth) throw tooDeep(at);
    result->parts = std::move(parts);
    return result;
  }
  Error tooDeep(const Token& at) const {
    return error(
        at, "this condition is nested more than " + std::to_string(kMaxExpressionDepth) + " deep");
  }

  ExpressionPtr parseOr(unsigned depth) {
    const Token& start = peek();
    std::vector<ExpressionPtr> parts{parseAnd(depth)};
    while (accept("or")) parts.push_back(parseAnd(depth));
    return combine(Expression::Kind::kOr, std::move(parts), start);
  }
  ExpressionPtr parseAnd(unsigned depth) {
    const Token& start = peek();
    std::vector<ExpressionPtr> parts{parseNot(depth)};
    while (accept("and")) parts.push_back(parseNot(depth));
    return combine(Expression::Kind::kAnd, std::move(parts), start);
  }
  ExpressionPtr parseNot(unsigned depth) {
    const Token& start = peek();
    if (depth > kMaxExpressionDepth) throw tooDeep(start);
    if (accept("not")) return combine(Expression::Kind::kNot, {parseNot(depth + 1)}, start);
    if (accept("(")) {
      ExpressionPtr inside = parseOr(depth + 1);
      if (!accept(")")) throw error(peek(), "')' is missing");
      return inside;
    }
    return parsePrimary();
  }

  ExpressionPtr parsePrimary() {
    const Token& word = take();
    if (word.kind != Token::Kind::kWord)
      throw error(word, word.kind == Token::Kind::kEnd ? "a test is missing at the end"
                                                       : "here a test should begin");
    if (word.text == "always") return std::make_shared<Expression>();
    const size_t bracket = word.text.find('[');
    const FactInfo* fact = findFact(word.text.substr(0, bracket));
    if (fact != nullptr) return parseTest(*fact, word, bracket);
    if (bracket != std::string_view::npos || isOperator(peek())) throw unknownFact(word);
    ExpressionPtr macro;
    if (const auto found = scope_.macros.find(word.text); found != scope_.macros.end()) {
      macro = found->second;
    } else if (scope_.resolveMacro) {
      macro = scope_.resolveMacro(word.text, placeOf(word));
    }
    if (macro == nullptr) throw unknownFact(word);
    return macro;
  }

  static const OperatorName* findOperator(const Token& token) {
    if (token.kind == Token::Kind::kQuoted || token.kind == Token::Kind::kEnd) return nullptr;
    for (const OperatorName& candidate : kOperators)
      if (token.text == candidate.name) return &candidate;
    return nullptr;
  }
  static bool isOperator(const Token& token) { return findOperator(token) != nullptr; }

  Error unknownFact(const Token& word) const {
    const std::string_view name = word.text.substr(0, word.text.find('['));
    std::vector<std::string_view> candidates{"always"};
    for (const FactInfo& fact : allFacts()) candidates.push_back(fact.name);
    for (const auto& macro : scope_.macroNames) candidates.push_back(macro);
    return error(word, "there is no fact or macro '" + std::string(name) + "'",
                 suggest(name, candidates));
  }

  ExpressionPtr parseTest(const FactInfo& fact, const Token& word, size_t bracket) {
    auto result = std::make_shared<Expression>();
    result->kind = Expression::Kind::kTest;
    Test& test = result->test;
    test.fact = fact.fact;
    if (bracket != std::string_view::npos) parseIndex(fact, word, bracket, test);
    if (fact.type == FactType::kPointer && test.pointer.empty() &&
        bracket == std::string_view::npos)
      throw error(word, "which argument?", "give a JSON pointer, as in tool.argument[/path]");

    const Token& at = peek();
    const OperatorName* op = findOperator(at);
    if (op == nullptr) {
      if (fact.type != FactType::kFlag)
        throw error(at, "after '" + std::string(fact.name) + "' an operator is missing",
                    suggest(at.text, operatorNames(fact, test)));
      test.op = Operator::kIs;
    } else {
      take();
      test.op = op->op;
      test.negated = op->negated;
      if ((allowedOperators(fact, test.index.has_value()) & ops(op->op)) == 0)
        throw error(at, "'" + std::string(fact.name) + "' cannot be tested with '" + op->name + "'",
                    "it takes " + joined(operatorNames(fact, test)));
      if (op->op != Operator::kExists) parseValues(fact, *op, test);
    }
    const Token& last = tokens_[at_ - 1];
    result->text = node_.text.substr(word.offset, last.offset + last.length - word.offset);
    return result;
  }

  static std::vector<std::string_view> operatorNames(const FactInfo& fact, const Test& test) {
    std::vector<std::string_view> names;
    const unsigned allowed = allowedOperators(fact, test.index.has_value());
    const bool isSet =
        fact.type == FactType::kNames || fact.type == FactType::kClassSet ||
        ((fact.type == FactType::kList || fact.type == FactType::kPathList) && !test.index);
    for (const OperatorName& op : kOperators)
      if ((allowed & ops(op.op)) != 0 && (isSet || std::string_view(op.name) != "intersects"))
        names.push_back(op.name);
    return names;
  }
  static std::string joined(const std::vector<std::string_view>& words) {
    std::string text;
    for (std::string_view word : words) text += (text.empty() ? "" : ", ") + std::string(word);
    return text;
  }

  void parseIndex(const FactInfo& fact, const Token& word, size_t bracket, Test& test) {
    if (!word.text.ends_with(']')) throw error(word, "']' is missing");
    const std::string_view inside = word.text.substr(bracket + 1, word.text.size() - bracket - 2);
    if (fact.type == FactType::kPointer) {
      if (!inside.empty() && !inside.starts_with('/'))
        throw error(word, "a JSON pointer begins with '/'");
      test.pointer = inside;
      return;
    }
    if (fact.type != FactType::kList && fact.type != FactType::kPathList)
      throw error(word, "'" + std::string(fact.name) + "' is no list");
    const auto number = parseNumber(inside);
    if (!number || *number < 0 || *number > 100'000)
      throw error(word, "an index is a number from 0");
    test.index = static_cast<unsigned>(*number);
  }

  struct Value {
    std::string text;
    const Token* token;
  };

  void parseValues(const FactInfo& fact, const OperatorName& op, Test& test) {
    std::vector<Value> values;
    if (op.takesList && accept("(")) {
      if (!peek().is(")")) {
        do {
          parseValue(op.op, fact, true, values);
        } while (accept(","));
      }
      if (!accept(")")) throw error(peek(), "')' or ',' is missing after this value");
    } else if (std::string_view(op.name) == "in" && peek().kind == Token::Kind::kWord &&
               !peek().text.starts_with('$') &&
               (fact.fact != Fact::kAction || groupOf(peek().text) == 0)) {
      throw error(peek(), "'in' takes values in parentheses, or a $list");
    } else {
      parseValue(op.op, fact, op.takesList, values);
    }
    if (fact.type == FactType::kNumber && !op.takesList && op.op != Operator::kEqual)
      if (values[0].text.find('-', 1) != std::string::npos)
        throw error(*values[0].token, "a range cannot be compared");
    scope_.values += values.size();
    if (scope_.values > kMaxValues)
      throw error(peek(),
                  "a policy has at most " + std::to_string(kMaxValues) +
                      " values in its tests, its lists expanded",
                  "put the test with the long list into a macro");
    std::vector<std::string> texts;
    for (Value& value : values) check(fact, op, value, test, texts);
    test.strings = StringSet(std::move(texts));
  }

  void parseValue(Operator op, const FactInfo& fact, bool mayBeList, std::vector<Value>& values) {
    const Token& token = take();
    const size_t first = values.size();
    if (token.kind == Token::Kind::kSymbol || token.kind == Token::Kind::kEnd)
      throw error(token, "a value is missing");
    const bool isName = token.kind == Token::Kind::kWord && token.text.starts_with('$') &&
                        !token.text.starts_with("${");
    if (!isName) {
      values.push_back({expandValue(token.text, op, token), &token});
    } else {
      if (!mayBeList) throw error(token, "one value is wanted here, not a list");
      const auto found = scope_.lists.find(token.text.substr(1));
      if (found == scope_.lists.end()) {
        std::vector<std::string_view> names;
        for (const auto& [name, items] : scope_.lists) names.push_back(name);
        throw error(token, "there is no list '" + std::string(token.text.substr(1)) + "'",
                    suggest(token.text.substr(1), names));
      }
      for (const std::string& item : found->second)
        values.push_back({expandValue(item, op, token), &token});
    }
    if (fact.type != FactType::kPath && fact.type != FactType::kPathList) return;
    for (size_t i = first; i < values.size(); ++i)
      if (values[i].text.starts_with("~/"))
        values[i].text = expandValue("${home}/", op, token) + values[i].text.substr(2);
  }

  std::string expandValue(std::string_view text, Operator op, const Token& token) const {
    std::string result;
    while (!text.empty()) {
      const size_t start = std::min(text.find("${"), text.size());
      result += text.substr(0, start);
      text.remove_prefix(start);
      if (text.empty()) break;
      const size_t end = text.find('}');
      if (end == std::string_view::npos) throw error(token, "'}' is missing");
      const std::string value =
          expand(text.substr(0, end + 1), scope_.bindings, scope_.source, placeOf(token));
      text.remove_prefix(end + 1);
      if (value != "/" || !text.starts_with('/')) result += quoteFor(op, value);
    }
    return result;
  }

  // Checks a value against the fact's type, and puts it where the test wants it.
  void check(const FactInfo& fact, const OperatorName& op, Value& value, Test& test,
             std::vector<std::string>& texts) {
    const Token& token = *value.token;
    switch (fact.type) {
      case FactType::kEnum:
      case FactType::kClassSet:
        test.mask |= enumMask(fact, value.text, token);
        return;
      case FactType::kNames:
        test.mask |= nameMask(fact.fact == Fact::kDegraded ? scope_.degradations : scope_.labels,
                              fact, value.text, token);
        return;
      case FactType::kNumber: {
        const auto range = parseRange(value.text);
        if (!range) throw error(token, "'" + value.text + "' is not a number or a range of them");
        test.numbers.push_back(*range);
        return;
      }
      case FactType::kHost: {
        const auto range = parseIpRange(value.text);
        if (!range)
          throw error(token, "'" + value.text + "' is not an address or a network",
                      "names are tested with host.name");
        test.hosts.push_back(*range);
        return;
      }
      case FactType::kFlag:
        if (value.text != "true" && value.text != "false")
          throw error(token, "'" + std::string(fact.name) + "' is true or false");
        test.negated = test.negated != (value.text == "false");
        test.op = Operator::kIs;
        return;
      case FactType::kPath:
      case FactType::kPathList:
        checkPath(fact, op, value);
        break;
      default:
        break;
    }
    if (isHostName(fact.fact) && op.op != Operator::kRegex) {
      for (char& c : value.text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    if (op.op == Operator::kGlob || op.op == Operator::kRegex) addPattern(op.op, value, test);
    if (op.op != Operator::kRegex) texts.push_back(std::move(value.text));
  }

  void checkPath(const FactInfo& fact, const OperatorName& op, Value& value) const {
    const bool whole = op.op == Operator::kEqual || op.op == Operator::kUnder ||
                       (op.op == Operator::kContains && fact.type == FactType::kPathList);
    if (whole && fact.fact == Fact::kPath && value.text.starts_with('@')) return;
    const bool anchored = whole || op.op == Operator::kStartsWith || op.op == Operator::kGlob;
    if (anchored && !value.text.starts_with('/') &&
        !(op.op == Operator::kGlob && value.text.starts_with("**")))
      throw error(*value.token, "'" + value.text + "' is not an absolute path",
                  "begin it with '/', '~/' or '${workspace}'");
    if (!whole) return;
    std::string canonical = *canonicalPath(value.text);
    std::string written = value.text;
    while (written.size() > 1 && written.ends_with('/')) written.pop_back();
    if (canonical != written)
      throw error(*value.token, "'" + value.text + "' is not a canonical path",
                  "write '" + canonical + "'");
    value.text = std::move(canonical);
  }

  uint64_t enumMask(const FactInfo& fact, const std::string& word, const Token& token) const {
    if (fact.fact == Fact::kAction) {
      if (const ActionSet group = groupOf(word)) return group;
    }
    const auto names = valueNames(fact.fact);
    std::vector<std::string_view> candidates(names.begin(), names.end());
    for (size_t i = 0; i < names.size(); ++i)
      if (word == names[i]) return 1ull << i;
    if (fact.fact == Fact::kAction)
      candidates.insert(candidates.end(), {"writes", "network", "files"});
    throw error(token, "'" + std::string(fact.name) + "' is never '" + word + "'",
                suggest(word, candidates));
  }

  uint64_t nameMask(const std::vector<std::string>& names, const FactInfo& fact,
                    const std::string& word, const Token& token) const {
    const auto found = std::ranges::find(names, word);
    if (found == names.end())
      throw error(token,
                  "no rule sets '" + word + "', so '" + std::string(fact.name) + "' never has it",
                  suggest(word, {names.begin(), names.end()}));
    return 1ull << (found - names.begin());
  }

  void addPattern(Operator op, const Value& value, Test& test) {
    if (value.text.size() > kMaxPatternBytes)
      throw error(*value.token,
                  "a pattern has at most " + std::to_string(kMaxPatternBytes) + " bytes");
    if (++scope_.patterns > kMaxPatterns)
      throw error(*value.token,
                  "a policy has at most " + std::to_string(kMaxPatterns) + " patterns",
                  "prefer startswith, endswith, under and lists, which cost less");
    if (op == Operator::kGlob) {
      if (const char* fault = Glob::fault(value.text))
        throw error(*value.token, std::string("this glob cannot be used: ") + fault);
      test.globs.emplace_back(value.text);
      return;
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kPatternMemory);
    options.set_dot_nl(true);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);  // facts are bytes
    auto pattern = std::make_shared<re2::RE2>(value.text, options);
    if (!pattern->ok())
      throw error(*value.token,
                  "this is not a regular expression that can be used: " + pattern->error());
    test.patterns.push_back(std::move(pattern));
  }

  const YamlNode& node_;
  Scope& scope_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace

std::string expand(std::string_view text, const Bindings& bindings, const Source& source,
                   Place place) {
  std::string result;
  while (true) {
    const size_t start = text.find("${");
    result += text.substr(0, start);
    if (start == std::string_view::npos) return result;
    const size_t end = text.find('}', start);
    if (end == std::string_view::npos) throw source.error(place, "'}' is missing");
    const std::string_view name = text.substr(start + 2, end - start - 2);
    const std::optional<std::string>* value = name == "workspace" ? &bindings.workspace
                                              : name == "home"    ? &bindings.home
                                              : name == "tmp"     ? &bindings.temporary
                                                                  : nullptr;
    if (value == nullptr)
      throw source.error(place, "there is no variable '" + std::string(name) + "'",
                         "there are ${workspace}, ${home} and ${tmp}");
    const auto path = value->has_value() ? canonicalPath(**value) : std::nullopt;
    if (!path)
      throw source.error(place, "${" + std::string(name) + "} is not known for this session",
                         name == "home" ? "set HOME to an absolute path" : "");
    text.remove_prefix(end + 1);
    if (*path != "/" || !text.starts_with('/')) result += *path;
  }
}

ExpressionPtr parseCondition(const YamlNode& text, Scope& scope) {
  if (text.kind != YamlNode::Kind::kScalar)
    throw scope.source.error(text.place, "a condition is a text",
                             "as in: action = exec and path.name = curl");
  return Parser(text, scope).parse();
}

std::string normalised(std::string_view condition) {
  Source source{"", std::string(condition)};
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = source.text;
  std::string result;
  for (const Token& token : tokenise(node, source)) {
    if (token.kind == Token::Kind::kEnd) break;
    const bool tight = result.empty() || result.ends_with('(') || token.is(")") || token.is(",");
    if (!tight) result += ' ';
    result += node.text.substr(token.offset, token.length);
  }
  return result;
}

}  // namespace airr::policies
