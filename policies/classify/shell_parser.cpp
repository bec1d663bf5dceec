// Commands: lists, pipelines, compound commands, redirections.
#include "policies/classify/shell_parser.h"

#include <algorithm>
#include <array>

#include "policies/classify/shell_grammar.h"

namespace airr::shell {

bool Redirection::input() const {
  switch (kind) {
    case RedirectionKind::kRead:
    case RedirectionKind::kReadWrite:
    case RedirectionKind::kHereDocument:
    case RedirectionKind::kHereString:
      return descriptor <= 0;
    default:
      return false;
  }
}

bool Redirection::writes() const {
  switch (kind) {
    case RedirectionKind::kWrite:
    case RedirectionKind::kAppend:
    case RedirectionKind::kReadWrite:
    case RedirectionKind::kWriteBoth:
    case RedirectionKind::kAppendBoth:
      return true;
    default:
      return false;
  }
}

// --- reading ---

void Parser::count() {
  if (++state_.nodes > state_.limits.nodes) fail("too many parts");
}

uint32_t Parser::addScope(ScopeKind kind, uint32_t parent, uint32_t pipeline, uint32_t stage) {
  count();
  Scope scope;
  scope.kind = kind;
  scope.offset = offset();
  scope.parent = parent;
  scope.pipeline = pipeline;
  scope.stage = stage;
  state_.script.scopes.push_back(std::move(scope));
  return static_cast<uint32_t>(state_.script.scopes.size() - 1);
}

void Parser::unexpected() const {
  if (atEnd()) fail("the script ends too early");
  if (peek() == '\n') fail("unexpected end of line");
  std::string_view token = bareWord();
  if (token.empty()) token = text_.substr(position_, 1);
  fail("unexpected '" + std::string(token.substr(0, 20)) + "'");
}

bool Parser::take(std::string_view prefix) {
  if (!starts(prefix)) return false;
  position_ += prefix.size();
  return true;
}

// What stands here up to the next metacharacter, unprocessed.
std::string_view Parser::bareWord() const {
  size_t end = position_;
  while (end < text_.size() && !isMeta(text_[end])) ++end;
  return text_.substr(position_, end - position_);
}

bool Parser::takeReserved(std::string_view reserved) {
  if (peek() != reserved.front() || bareWord() != reserved) return false;
  position_ += reserved.size();
  return true;
}

void Parser::expectReserved(std::string_view reserved) {
  if (!takeReserved(reserved)) unexpected();
}

void Parser::skipBlanks() {
  for (;;) {
    if (isBlank(peek())) {
      ++position_;
    } else if (peek() == '\\' && peek(1) == '\n') {
      position_ += 2;
    } else if (peek() == '#' && (position_ == 0 || isMeta(text_[position_ - 1]))) {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else {
      return;
    }
  }
}

void Parser::newline() {
  ++position_;
  if (!pending_.empty()) hereDocuments();
}

void Parser::skipLines() {
  for (skipBlanks(); peek() == '\n'; skipBlanks()) newline();
}

// --- lists and pipelines ---

void Parser::script(uint32_t scope) {
  list(scope, kEnd, true);
  if (!pending_.empty()) hereDocuments();
}

bool Parser::atTerminator(unsigned terminators) {
  if (atEnd()) {
    if (terminators & kEnd) return true;
    unexpected();
  }
  const char c = peek();
  if (c == ')') {
    if (terminators & kParenthesis) return true;
    unexpected();
  }
  if (c == ';' && (peek(1) == ';' || peek(1) == '&')) {
    if (terminators & kCaseItem) return true;
    unexpected();
  }
  struct Closing {
    std::string_view word;
    unsigned terminator;
  };
  static constexpr std::array<Closing, 8> kClosing = {{{"}", kBrace},
                                                       {"then", kThen},
                                                       {"fi", kFi},
                                                       {"else", kFi},
                                                       {"elif", kFi},
                                                       {"do", kDo},
                                                       {"done", kDone},
                                                       {"esac", kCaseItem}}};
  if (c != '}' && c != 't' && c != 'f' && c != 'e' && c != 'd') return false;
  const std::string_view word = bareWord();
  for (const Closing& closing : kClosing) {
    if (word != closing.word) continue;
    if (terminators & closing.terminator) return true;
    unexpected();
  }
  return false;
}

// Leaves its terminator unread.
void Parser::list(uint32_t scope, unsigned terminators, bool mayBeEmpty) {
  const uint32_t outer = scope_;
  scope_ = scope;
  std::vector<Pipeline>& pipelines = state_.script.pipelines;
  bool any = false;
  for (;;) {
    skipLines();
    if (atTerminator(terminators)) break;
    const size_t first = pipelines.size();
    pipeline(scope);
    for (skipBlanks(); take("&&") || take("||"); skipBlanks()) {
      skipLines();
      pipeline(scope);
    }
    any = true;
    if (peek() == ';' && peek(1) != ';' && peek(1) != '&') {
      ++position_;
    } else if (peek() == '&') {
      ++position_;
      for (size_t i = first; i < pipelines.size(); ++i) {
        if (pipelines[i].scope == scope) pipelines[i].background = true;
      }
    } else if (!atEnd() && peek() != '\n' && !atTerminator(terminators)) {
      unexpected();
    }
  }
  if (!any && !mayBeEmpty) unexpected();
  scope_ = outer;
}

void Parser::pipeline(uint32_t scope) {
  const auto index = static_cast<uint32_t>(state_.script.pipelines.size());
  count();
  state_.script.pipelines.push_back({scope, 1, false, false});
  bool prefix = false;
  for (;;) {
    skipBlanks();
    if (peek() == '!' && bareWord() == "!") {
      ++position_;
      state_.script.pipelines[index].negated ^= true;
    } else if (takeReserved("time")) {
      skipBlanks();
      if (takeReserved("-p")) skipBlanks();
      takeReserved("--");
    } else {
      break;
    }
    prefix = true;
  }
  if (prefix && (atEnd() || peek() == '\n' || peek() == ';' || peek() == ')')) return;
  command(scope, index, 0);
  uint32_t stage = 0;
  for (skipBlanks(); peek() == '|' && peek(1) != '|'; skipBlanks()) {
    position_ += peek(1) == '&' ? 2 : 1;
    skipLines();
    command(scope, index, ++stage);
  }
  state_.script.pipelines[index].stages = stage + 1;
}

// --- commands ---

void Parser::command(uint32_t scope, uint32_t pipeline, uint32_t stage) {
  Nesting nesting(*this);
  skipBlanks();
  auto compound = [&](ScopeKind kind) { return addScope(kind, scope, pipeline, stage); };
  auto closed = [&](uint32_t inner) { redirections(inner); };

  switch (peek()) {
    case '(': {
      if (peek(1) == '(') {
        const size_t end = arithmeticEnd(position_ + 2);
        if (end != std::string_view::npos) {
          Command command;
          command.offset = offset();
          command.scope = scope;
          command.pipeline = pipeline;
          command.stage = stage;
          arithmeticCommand(command, end);
          state_.script.commands.push_back(std::move(command));
          return;
        }
      }
      const uint32_t inner = compound(ScopeKind::kSubshell);
      ++position_;
      list(inner, kParenthesis, false);
      ++position_;
      return closed(inner);
    }
    case '{':
      if (takeReserved("{")) {
        const uint32_t inner = compound(ScopeKind::kGroup);
        list(inner, kBrace, false);
        ++position_;
        return closed(inner);
      }
      break;
    case 'i':
      if (takeReserved("if")) {
        const uint32_t inner = compound(ScopeKind::kIf);
        ifClause(inner);
        return closed(inner);
      }
      break;
    case 'w':
    case 'u':
      if (takeReserved("while") || takeReserved("until")) {
        const uint32_t inner = compound(ScopeKind::kLoop);
        list(inner, kDo, false);
        loopBody(inner);
        return closed(inner);
      }
      break;
    case 's':
    case 'f':
      if (takeReserved("for") || takeReserved("select")) {
        const uint32_t inner = compound(ScopeKind::kLoop);
        forClause(inner);
        return closed(inner);
      }
      if (takeReserved("function")) return function(scope, pipeline, stage);
      break;
    case 'c':
      if (takeReserved("case")) {
        const uint32_t inner = compound(ScopeKind::kCase);
        caseClause(inner);
        return closed(inner);
      }
      if (takeReserved("coproc")) return coprocess(scope, pipeline, stage);
      break;
    default:
      break;
  }
  simple(scope, pipeline, stage);
}

void Parser::ifClause(uint32_t scope) {
  list(scope, kThen, false);
  expectReserved("then");
  for (;;) {
    list(scope, kFi, false);
    if (takeReserved("fi")) return;
    if (takeReserved("elif")) {
      list(scope, kThen, false);
      expectReserved("then");
    } else {
      expectReserved("else");
      list(scope, kFi, false);
      expectReserved("fi");
      return;
    }
  }
}

void Parser::loopBody(uint32_t scope) {
  expectReserved("do");
  list(scope, kDone, false);
  expectReserved("done");
}

void Parser::forClause(uint32_t scope) {
  skipBlanks();
  Word header;
  if (starts("((")) {
    const size_t end = arithmeticEnd(position_ + 2);
    if (end == std::string_view::npos) unexpected();
    const size_t start = position_;
    position_ += 2;
    arithmetic(header, start, end, end + 2);
    state_.script.scopes[scope].words.push_back(std::move(header));
    skipBlanks();
    if (peek() == ';') ++position_;
  } else {
    const std::string_view name = bareWord();
    if (name.empty() || !isNameStart(name.front()) ||
        !std::all_of(name.begin(), name.end(), isName)) {
      unexpected();
    }
    position_ += name.size();
    skipLines();
    if (takeReserved("in")) {
      for (skipBlanks(); !atEnd() && peek() != ';' && peek() != '\n'; skipBlanks()) {
        Word item = word();
        state_.script.scopes[scope].words.push_back(std::move(item));
      }
    }
    if (peek() == ';' && peek(1) != ';') ++position_;
  }
  skipLines();
  if (takeReserved("{")) {
    list(scope, kBrace, false);
    ++position_;
  } else {
    loopBody(scope);
  }
}

void Parser::caseClause(uint32_t scope) {
  auto addWord = [&] {
    Word item = word();
    state_.script.scopes[scope].words.push_back(std::move(item));
  };
  skipBlanks();
  addWord();
  skipLines();
  expectReserved("in");
  for (;;) {
    skipLines();
    if (takeReserved("esac")) return;
    if (peek() == '(') ++position_;
    do {
      skipBlanks();
      addWord();
      skipBlanks();
    } while (take("|"));
    if (!take(")")) unexpected();
    list(scope, kCaseItem, true);
    if (peek() == ';' && !take(";;&") && !take(";;")) take(";&");
  }
}

void Parser::function(uint32_t scope, uint32_t pipeline, uint32_t stage) {
  skipBlanks();
  const std::string name(bareWord());
  if (name.empty()) unexpected();
  position_ += name.size();
  skipBlanks();
  if (take("(")) {
    skipBlanks();
    if (!take(")")) unexpected();
  }
  functionBody(scope, name, pipeline, stage);
}

void Parser::functionBody(uint32_t scope, std::string name, uint32_t pipeline, uint32_t stage) {
  const uint32_t inner = addScope(ScopeKind::kFunction, scope, pipeline, stage);
  state_.script.scopes[inner].name = std::move(name);
  skipLines();
  const auto own = static_cast<uint32_t>(state_.script.pipelines.size());
  state_.script.pipelines.push_back({inner, 1, false, false});
  const uint32_t outer = scope_;
  scope_ = inner;
  command(inner, own, 0);
  scope_ = outer;
}

void Parser::coprocess(uint32_t scope, uint32_t pipeline, uint32_t stage) {
  const uint32_t inner = addScope(ScopeKind::kCoprocess, scope, pipeline, stage);
  skipBlanks();
  // NAME is one only before a compound command.
  const std::string_view name = bareWord();
  if (!name.empty() && std::all_of(name.begin(), name.end(), isName)) {
    const size_t start = position_;
    position_ += name.size();
    skipBlanks();
    if (peek() != '(' && bareWord() != "{") position_ = start;
  }
  const auto own = static_cast<uint32_t>(state_.script.pipelines.size());
  state_.script.pipelines.push_back({inner, 1, false, true});
  const uint32_t outer = scope_;
  scope_ = inner;
  command(inner, own, 0);
  scope_ = outer;
}

// [[ … ]], after its opening word.
void Parser::test(Command& command) {
  static constexpr std::array<std::string_view, 6> kOperators = {"&&", "||", "(", ")", "<", ">"};
  for (;;) {
    skipLines();
    if (atEnd()) unexpected();
    const bool process = (peek() == '<' || peek() == '>') && peek(1) == '(';
    auto found = std::find_if(kOperators.begin(), kOperators.end(),
                              [&](std::string_view symbol) { return starts(symbol); });
    if (found != kOperators.end() && !process) {
      count();
      position_ += found->size();
      command.words.emplace_back().text = *found;
      continue;
    }
    command.words.push_back(word());
    const Word& last = command.words.back();
    if (last.quoted || !last.literal()) continue;
    if (last.text == "]]") return;
    if (last.text == "=~") {
      skipBlanks();
      command.words.push_back(word(WordMode::kRegex));
    }
  }
}

// (( … )), at its opening.
void Parser::arithmeticCommand(Command& command, size_t end) {
  const size_t start = position_;
  position_ += 2;
  command.words.emplace_back().text = "((";
  Word expression;
  arithmetic(expression, start, end, end + 2);
  command.words.push_back(std::move(expression));
  for (skipBlanks(); atRedirection(); skipBlanks()) command.redirections.push_back(redirection());
}

void Parser::simple(uint32_t scope, uint32_t pipeline, uint32_t stage) {
  Command command;
  command.offset = offset();
  command.scope = scope;
  command.pipeline = pipeline;
  command.stage = stage;
  const size_t begin = position_;
  count();
  for (skipBlanks(); !atEnd(); skipBlanks()) {
    if (atRedirection()) {
      command.redirections.push_back(redirection());
      continue;
    }
    const char c = peek();
    const bool process = (c == '<' || c == '>') && peek(1) == '(';
    if (c == '(' && functionDefinition(command, scope, pipeline, stage)) return;
    if (isMeta(c) && !process) break;
    if (command.words.empty() && takeReserved("[[")) {
      command.words.emplace_back().text = "[[";
      test(command);
      continue;
    }
    const size_t start = position_;
    Word next = word();
    if (assignment(command, start, next)) continue;
    if (peek() == '(' && next.text.ends_with('=') && !next.quoted) arrayElements(next);
    command.words.push_back(std::move(next));
  }
  if (position_ == begin) unexpected();
  state_.script.commands.push_back(std::move(command));
}

// At the parenthesis after a first word.
bool Parser::functionDefinition(const Command& command, uint32_t scope, uint32_t pipeline,
                                uint32_t stage) {
  if (command.words.size() != 1 || !command.assignments.empty() || !command.redirections.empty() ||
      !command.words[0].literal()) {
    return false;
  }
  size_t close = position_ + 1;
  while (close < text_.size() && isBlank(text_[close])) ++close;
  if (close >= text_.size() || text_[close] != ')') return false;
  position_ = close + 1;
  functionBody(scope, command.words[0].text, pipeline, stage);
  return true;
}

// NAME=… NAME+=… NAME[…]=…, before the first word. `start`: where `word` begins in the text.
bool Parser::assignment(Command& command, size_t start, Word& word) {
  if (!command.words.empty() || !isNameStart(text_[start])) return false;
  size_t end = start;
  while (end < position_ && isName(text_[end])) ++end;
  const size_t nameSize = end - start;
  size_t equals = nameSize;
  if (end < position_ && text_[end] == '[') {
    // The subscript may hold quotes and expansions: take the processed text.
    equals = word.text.find("]=");
    if (equals == std::string::npos) {
      equals = word.text.find("]+=");
      if (equals == std::string::npos) return false;
    }
    ++equals;
  }
  Assignment result;
  if (word.text.compare(equals, 2, "+=") == 0) {
    result.append = true;
    ++equals;
  }
  if (equals >= word.text.size() || word.text[equals] != '=') return false;
  if (word.text.compare(0, nameSize, text_.substr(start, nameSize)) != 0) return false;
  // In n\=v and n"=v" the sign is quoted.
  if (nameSize == equals && end < text_.size() && text_[end] != '=') return false;
  result.name = word.text.substr(0, nameSize);
  if (result.name == "IFS") ifsAssigned_ = true;
  result.value = std::move(word);
  result.value.text.erase(0, equals + 1);
  result.value.pattern = false;
  std::erase_if(result.value.expansions,
                [&](const Expansion& expansion) { return expansion.offset <= equals; });
  for (Expansion& expansion : result.value.expansions) {
    expansion.offset -= static_cast<uint32_t>(equals + 1);
  }
  if (peek() == '(' && result.value.text.empty()) arrayElements(result.value);
  command.assignments.push_back(std::move(result));
  return true;
}

void Parser::arrayElements(Word& value) {
  bool first = true;
  ++position_;
  for (skipLines(); peek() != ')'; skipLines()) {
    if (atEnd()) unexpected();
    Word element = word();
    if (!first) value.text += ' ';
    first = false;
    for (Expansion& expansion : element.expansions) {
      expansion.offset += static_cast<uint32_t>(value.text.size());
      value.expansions.push_back(std::move(expansion));
    }
    value.text += element.text;
    value.pattern |= element.pattern;
  }
  ++position_;
}

// --- redirections ---

bool Parser::atRedirection() const {
  size_t i = position_;
  auto at = [&](size_t index) { return index < text_.size() ? text_[index] : '\0'; };
  if (at(i) == '&') return at(i + 1) == '>';
  if (at(i) == '{') {
    while (isName(at(i + 1))) ++i;
    if (at(i + 1) != '}') return false;
    i += 2;
    return at(i) == '<' || at(i) == '>';
  }
  while (isDigit(at(i))) ++i;
  if (at(i) != '<' && at(i) != '>') return false;
  return at(i + 1) != '(' || i > position_;
}

Redirection Parser::redirection() {
  count();
  Redirection result;
  if (peek() == '{') {
    position_ = text_.find('}', position_) + 1;
    result.descriptor = 10;  // the shell chooses one from 10 up
  }
  for (; isDigit(peek()); ++position_) {
    result.descriptor = std::min(std::max(result.descriptor, 0) * 10 + (peek() - '0'), 1 << 20);
  }
  struct Operator {
    std::string_view symbol;
    RedirectionKind kind;
  };
  using enum RedirectionKind;
  static constexpr std::array<Operator, 12> kOperators = {{{"&>>", kAppendBoth},
                                                           {"&>", kWriteBoth},
                                                           {"<<<", kHereString},
                                                           {"<<-", kHereDocument},
                                                           {"<<", kHereDocument},
                                                           {"<>", kReadWrite},
                                                           {"<&", kDuplicate},
                                                           {"<", kRead},
                                                           {">>", kAppend},
                                                           {">&", kDuplicate},
                                                           {">|", kWrite},
                                                           {">", kWrite}}};
  const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                   [&](const Operator& op) { return starts(op.symbol); });
  if (found == kOperators.end()) unexpected();
  position_ += found->symbol.size();
  result.kind = found->kind;
  skipBlanks();
  result.target = word();
  if (result.kind == kDuplicate && result.target.literal()) {
    // >&word and <&word name a file unless the word is a descriptor, moved (5-) or closed (-).
    const std::string& text = result.target.text;
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (text.substr(digits) != "" && text.substr(digits) != "-") {
      result.kind = found->symbol == ">&" ? kWriteBoth : kRead;
    }
  }
  if (result.kind == kHereDocument) {
    result.document = static_cast<uint32_t>(state_.script.documents.size());
    state_.script.documents.emplace_back();
    pending_.push_back(
        {result.document, result.target.text, result.target.quoted, found->symbol == "<<-"});
  }
  return result;
}

void Parser::redirections(uint32_t scope) {
  for (skipBlanks(); atRedirection(); skipBlanks()) {
    Redirection next = redirection();
    state_.script.scopes[scope].redirections.push_back(std::move(next));
  }
}

// --- the interface ---

Script parse(std::string_view text, const Limits& limits) {
  Script script;
  ParseState state{script, limits};
  script.scopes.emplace_back();
  try {
    if (text.size() > limits.bytes)
      throw ParseStop{0, "longer than " + std::to_string(limits.bytes) + " bytes"};
    Parser(text, state).script(0);
  } catch (const ParseStop& stop) {
    Failure failure;
    failure.offset = stop.offset;
    failure.reason = stop.reason;
    const std::string_view before = text.substr(0, stop.offset);
    failure.line = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1;
    failure.column = static_cast<uint32_t>(before.size() - (before.rfind('\n') + 1)) + 1;
    script.failure = std::move(failure);
  }
  return script;
}

Input inputOf(const Script& script, const Command& command) {
  const std::vector<Redirection>* redirections = &command.redirections;
  uint32_t pipeline = command.pipeline, stage = command.stage, scope = command.scope;
  for (;;) {
    for (auto last = redirections->rbegin(); last != redirections->rend(); ++last) {
      if (!last->input()) continue;
      const bool here = last->kind == RedirectionKind::kHereDocument ||
                        last->kind == RedirectionKind::kHereString;
      return {here ? Input::Kind::kHere : Input::Kind::kFile, &*last};
    }
    if (pipeline != kNone && stage > 0) return {Input::Kind::kPipe, nullptr, pipeline, stage - 1};
    if (scope >= script.scopes.size()) return {};
    const Scope& around = script.scopes[scope];
    if (around.parent == kNone) return {};
    redirections = &around.redirections;
    pipeline = around.pipeline;
    stage = around.stage;
    scope = around.parent;
  }
}

}  // namespace airr::shell
