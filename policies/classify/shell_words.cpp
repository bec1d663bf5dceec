// Words: quoting, expansions, here-documents.
#include <algorithm>

#include "policies/classify/shell_grammar.h"

namespace airr::shell {
namespace {

void appendUtf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x110000) {
    text += static_cast<char>(0xf0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (code & 0x3f));
  }
}

int digitValue(char c) {
  if (isDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool isSpecialParameter(char c) {
  return c != '\0' && std::string_view("@*#?$!-").find(c) != std::string_view::npos;
}

}  // namespace

void Parser::addExpansion(Word& word, ExpansionKind kind, size_t start, std::string name,
                          uint32_t scope) {
  count();
  const std::string_view source = text_.substr(start, position_ - start);
  word.expansions.push_back({kind, static_cast<uint32_t>(word.text.size()),
                             static_cast<uint32_t>(source.size()), scope, std::move(name)});
  word.text += source;
}

// Up to the next unquoted metacharacter. May be empty.
Word Parser::word(WordMode mode) {
  count();
  Word word;
  const size_t start = position_;
  bool bracket = false;              // an open [
  bool brace = false, list = false;  // an open {, and a , or .. after it
  size_t parentheses = 0;            // kRegex
  while (!atEnd()) {
    const char c = peek();
    if (mode == WordMode::kRegex &&
        (c == '(' || c == ')' || c == '|' || (parentheses > 0 && isMeta(c) && c != '\n'))) {
      if (c == '(') ++parentheses;
      if (c == ')' && parentheses-- == 0) break;
      word.text += c;
      word.pattern = true;
      ++position_;
      continue;
    }
    if ((c == '<' || c == '>') && peek(1) == '(') {
      commandSubstitution(word, position_, ScopeKind::kProcessSubstitution, kParenthesis);
      continue;
    }
    if (c == '(' && extendedGlob(word)) continue;
    if (isMeta(c)) break;
    const size_t expansions = word.expansions.size();
    if (wordPart(word)) {
      // Unquoted $IFS separates words, as a blank does.
      if (c == '$' && !ifsAssigned_ && word.expansions.size() == expansions + 1 &&
          word.expansions.back().name == "IFS") {
        word.text.resize(word.expansions.back().offset);
        word.expansions.pop_back();
        if (!word.text.empty() || word.quoted) break;
        skipBlanks();
      }
      continue;
    }
    if (c == '[') bracket = true;
    if (c == '*' || c == '?' || (c == ']' && bracket)) word.pattern = true;
    if (c == '{') brace = true;
    if (brace && (c == ',' || (c == '.' && peek(1) == '.'))) list = true;
    if (c == '}' && list) word.pattern = true;
    word.text += c;
    ++position_;
  }
  if (position_ == start && mode == WordMode::kNormal) unexpected();
  return word;
}

// A quoted part, an expansion, or a line continuation; false if an ordinary character is next.
bool Parser::wordPart(Word& word) {
  switch (peek()) {
    case '\\':
      quotedCharacter(word, false);
      return true;
    case '\'':
      singleQuoted(word);
      return true;
    case '"':
      doubleQuoted(word);
      return true;
    case '`':
      backquoted(word, false);
      return true;
    case '$':
      dollar(word, false);
      return true;
    default:
      return false;
  }
}

// ?(…) *(…) +(…) @(…) !(…), after the character before the parenthesis.
bool Parser::extendedGlob(Word& word) {
  if (position_ == 0 || word.text.empty()) return false;
  const char before = text_[position_ - 1];
  if (std::string_view("?*+@!").find(before) == std::string_view::npos) return false;
  if (word.text.back() != before) return false;
  Nesting nesting(*this);
  word.pattern = true;
  size_t depth = 0;
  do {
    if (atEnd() || peek() == '\n') fail("a pattern in parentheses does not end");
    const char c = peek();
    if (wordPart(word)) continue;
    if (c == '(') ++depth;
    if (c == ')') --depth;
    word.text += c;
    ++position_;
  } while (depth > 0);
  return true;
}

// A backslash and what it quotes.
void Parser::quotedCharacter(Word& word, bool inDouble) {
  const char next = peek(1);
  if (position_ + 1 >= text_.size()) {
    word.text += '\\';
    ++position_;
    return;
  }
  position_ += 2;
  if (next == '\n') return;
  const bool special = next == '$' || next == '`' || next == '"' || next == '\\';
  if (inDouble && !special) word.text += '\\';
  word.text += next;
  word.quoted = true;
}

void Parser::singleQuoted(Word& word) {
  const size_t end = text_.find('\'', position_ + 1);
  if (end == std::string_view::npos) fail("a single quote is not closed");
  word.text += text_.substr(position_ + 1, end - position_ - 1);
  word.quoted = true;
  position_ = end + 1;
}

void Parser::doubleQuoted(Word& word) {
  Nesting nesting(*this);
  const size_t start = position_++;
  word.quoted = true;
  while (peek() != '"' || atEnd()) {
    if (atEnd()) {
      position_ = start;
      fail("a double quote is not closed");
    }
    switch (peek()) {
      case '\\':
        quotedCharacter(word, true);
        break;
      case '$':
        dollar(word, true);
        break;
      case '`':
        backquoted(word, true);
        break;
      default:
        word.text += text_[position_++];
    }
  }
  ++position_;
}

// $'…'
void Parser::ansiQuoted(Word& word) {
  const size_t start = position_;
  position_ += 2;
  word.quoted = true;
  auto number = [&](int base, size_t digits) {
    uint32_t value = 0;
    for (; digits > 0 && digitValue(peek()) < base; --digits) {
      value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digitValue(peek()));
      ++position_;
    }
    return value;
  };
  while (peek() != '\'') {
    if (atEnd()) {
      position_ = start;
      fail("a single quote is not closed");
    }
    if (peek() != '\\') {
      word.text += text_[position_++];
      continue;
    }
    if (position_ + 1 >= text_.size()) fail("a single quote is not closed");
    const char c = peek(1);
    static constexpr std::string_view kNames = "abeEfnrtv\\'\"?";
    static constexpr std::string_view kValues = "\a\b\x1b\x1b\f\n\r\t\v\\'\"?";
    const size_t known = kNames.find(c);
    if (isDigit(c) && c < '8') {
      ++position_;
      word.text += static_cast<char>(number(8, 3));
      continue;
    }
    position_ += 2;
    if (known != std::string_view::npos) {
      word.text += kValues[known];
    } else if (c == 'x') {
      word.text += static_cast<char>(number(16, 2));
    } else if (c == 'u') {
      appendUtf8(word.text, number(16, 4));
    } else if (c == 'U') {
      appendUtf8(word.text, number(16, 8));
    } else if (c == 'c' && !atEnd()) {
      word.text += static_cast<char>(text_[position_++] & 0x1f);
    } else {
      word.text += '\\';
      word.text += c;
    }
  }
  ++position_;
}

void Parser::dollar(Word& word, bool inDouble) {
  const size_t start = position_;
  const char next = peek(1);
  if (next == '\\' && peek(2) == '\n') {
    // The shell would join the lines first, and then see another construct.
    fail("a line continuation within an expansion");
  }
  if (next == '(') {
    if (peek(2) == '(') {
      const size_t end = arithmeticEnd(position_ + 3);
      if (end != std::string_view::npos) {
        position_ += 3;
        arithmetic(word, start, end, end + 2);
        return;
      }
    }
    commandSubstitution(word, start, ScopeKind::kCommandSubstitution, kParenthesis);
  } else if (next == '{') {
    const char first = peek(2);
    if (isBlank(first) || first == '\n' || first == '|') {
      commandSubstitution(word, start, ScopeKind::kCommandSubstitution, kBrace);
    } else {
      parameter(word, start, inDouble);
    }
  } else if (next == '[') {
    const size_t end = text_.find(']', position_);
    if (end == std::string_view::npos) fail("$[ is not closed");
    position_ += 2;
    arithmetic(word, start, end, end + 1);
  } else if (next == '\'' && !inDouble) {
    ansiQuoted(word);
  } else if (next == '"' && !inDouble) {
    ++position_;
    doubleQuoted(word);
  } else if (isNameStart(next)) {
    position_ += 2;
    while (isName(peek())) ++position_;
    addExpansion(word, ExpansionKind::kParameter, start,
                 std::string(text_.substr(start + 1, position_ - start - 1)));
  } else if (isDigit(next) || isSpecialParameter(next)) {
    position_ += 2;
    addExpansion(word, ExpansionKind::kParameter, start, std::string(1, next));
  } else {
    word.text += '$';
    ++position_;
  }
}

// ${…}
void Parser::parameter(Word& word, size_t start, bool inDouble) {
  Nesting nesting(*this);
  position_ += 2;
  if ((peek() == '!' || peek() == '#') && peek(1) != '}') ++position_;
  const size_t nameStart = position_;
  if (isSpecialParameter(peek())) {
    ++position_;
  } else {
    while (isName(peek())) ++position_;
  }
  std::string name(text_.substr(nameStart, position_ - nameStart));

  // Operators and their words: what they expand counts as part of this expansion.
  Word rest;
  while (peek() != '}') {
    if (atEnd()) {
      position_ = start;
      fail("${ is not closed");
    }
    const char c = peek();
    if ((c == '<' || c == '>') && peek(1) == '(' && !inDouble) {
      commandSubstitution(rest, position_, ScopeKind::kProcessSubstitution, kParenthesis);
    } else if (inDouble && c == '\'') {
      ++position_;
    } else if (!wordPart(rest)) {
      ++position_;
    }
  }
  ++position_;
  const auto at = static_cast<uint32_t>(word.text.size());
  addExpansion(word, ExpansionKind::kParameter, start, std::move(name));
  for (Expansion& inner : rest.expansions) {
    inner.offset = at;
    inner.size = static_cast<uint32_t>(word.text.size()) - at;
    word.expansions.push_back(std::move(inner));
  }
}

// $(…), ${ …; }, <(…), >(…): both openings are two characters.
void Parser::commandSubstitution(Word& word, size_t start, ScopeKind kind, unsigned terminator) {
  Nesting nesting(*this);
  position_ += 2;
  const uint32_t scope = addScope(kind, scope_, kNone, 0);
  list(scope, terminator, true);
  ++position_;
  addExpansion(
      word,
      kind == ScopeKind::kProcessSubstitution ? ExpansionKind::kProcess : ExpansionKind::kCommand,
      start, {}, scope);
}

void Parser::backquoted(Word& word, bool inDouble) {
  Nesting nesting(*this);
  const size_t start = position_++;
  std::string inner;
  while (peek() != '`') {
    if (atEnd()) {
      position_ = start;
      fail("a backquote is not closed");
    }
    const char next = peek(1);
    const bool escapes = next == '$' || next == '`' || next == '\\' || (inDouble && next == '"');
    if (peek() == '\\' && escapes) ++position_;
    inner += text_[position_++];
  }
  ++position_;
  const uint32_t scope = addScope(ScopeKind::kCommandSubstitution, scope_, kNone, 0);
  Parser parser(inner, state_, offset(start));
  parser.script(scope);
  addExpansion(word, ExpansionKind::kCommand, start, {}, scope);
}

// Of the first `)` of the `))` that ends an arithmetic expression, or npos if there is none: then
// the opening was that of a command substitution or subshell.
size_t Parser::arithmeticEnd(size_t from) const {
  size_t depth = 0;
  for (size_t i = from; i < text_.size(); ++i) {
    const char c = text_[i];
    if (c == '\\') {
      ++i;
    } else if (c == '\'' || c == '"') {
      const size_t close = text_.find(c, i + 1);
      if (close == std::string_view::npos) return close;
      i = close;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')') {
      if (depth == 0) {
        return i + 1 < text_.size() && text_[i + 1] == ')' ? i : std::string_view::npos;
      }
      --depth;
    }
  }
  return std::string_view::npos;
}

void Parser::arithmetic(Word& word, size_t start, size_t contentEnd, size_t end) {
  Nesting nesting(*this);
  Word content;
  expandUntil(content, contentEnd);
  position_ = end;
  const auto at = static_cast<uint32_t>(word.text.size());
  addExpansion(word, ExpansionKind::kArithmetic, start);
  for (Expansion& inner : content.expansions) {
    inner.offset = at;
    inner.size = static_cast<uint32_t>(word.text.size()) - at;
    word.expansions.push_back(std::move(inner));
  }
}

// As within double quotes, which are themselves ordinary here.
void Parser::expandUntil(Word& word, size_t end) {
  while (position_ < end) {
    switch (peek()) {
      case '\\':
        quotedCharacter(word, true);
        break;
      case '$':
        dollar(word, true);
        break;
      case '`':
        backquoted(word, true);
        break;
      default:
        word.text += text_[position_++];
    }
  }
  if (position_ > end) fail("an expansion does not end where its expression does");
}

Word Parser::body() {
  Word word;
  expandUntil(word, text_.size());
  return word;
}

// The bodies of the here-documents of the line that has just ended.
void Parser::hereDocuments() {
  std::vector<PendingHere> pending = std::move(pending_);
  pending_.clear();
  for (const PendingHere& here : pending) {
    const uint32_t start = offset();
    std::string text = hereBody(here.delimiter, here.quoted, here.stripTabs);
    Word body;
    if (here.quoted) {
      body.text = std::move(text);
      body.quoted = true;
    } else {
      Nesting nesting(*this);
      Parser parser(text, state_, start);
      parser.scope_ = scope_;
      body = parser.body();
    }
    state_.script.documents[here.document] = std::move(body);
  }
}

std::string Parser::hereBody(const std::string& delimiter, bool quoted, bool stripTabs) {
  std::string body;
  while (!atEnd()) {
    std::string line;
    bool joined = false;
    do {
      const size_t end = std::min(text_.find('\n', position_), text_.size());
      std::string_view part = text_.substr(position_, end - position_);
      position_ = std::min(end + 1, text_.size());
      while (stripTabs && line.empty() && part.starts_with('\t')) part.remove_prefix(1);
      line += part;
      // An odd number of backslashes joins the next line, before it is compared.
      const size_t last = line.find_last_not_of('\\');
      const size_t backslashes = line.size() - (last == std::string::npos ? 0 : last + 1);
      joined = !quoted && backslashes % 2 == 1 && !atEnd();
      if (joined) line.pop_back();
    } while (joined);
    if (line == delimiter) return body;
    body += line;
    body += '\n';
  }
  return body;
}

}  // namespace airr::shell
