#include "policies/condition_lexer.h"

#include <algorithm>

namespace airr::policies {
namespace {

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool endsWord(char c) {
  return isBlank(c) || c == '(' || c == ')' || c == ',' || c == '=' || c == '<' || c == '>' ||
         c == '!' || c == '"' || c == '\'';
}

}  // namespace

// YAML changes the white space of a scalar, and nothing else unless it is in double quotes: the
// n-th other character of the text is the n-th of the source.
Place placeIn(const YamlNode& scalar, size_t offset, const Source& source) {
  const std::string& text = source.text;
  size_t at = scalar.offset;
  if (at < text.size() && (text[at] == '>' || text[at] == '|')) {
    at = std::min(text.find('\n', at), text.size());
  } else if (at < text.size() && scalar.quoted) {
    ++at;
  }
  const auto wanted = static_cast<size_t>(std::count_if(
      scalar.text.begin(),
      scalar.text.begin() + static_cast<ptrdiff_t>(std::min(offset, scalar.text.size())),
      [](char c) { return !isBlank(c); }));
  size_t last = at;
  for (size_t seen = 0; at < text.size(); ++at) {
    if (isBlank(text[at])) continue;
    if (seen++ == wanted) break;
    last = at + 1;
  }
  return source.placeOf(offset < scalar.text.size() ? at : last);
}

std::vector<Token> tokenise(const YamlNode& condition, const Source& source) {
  const std::string_view text = condition.text;
  std::vector<Token> tokens;
  size_t at = 0;
  auto add = [&](Token::Kind kind, size_t start, size_t length, size_t whole) {
    tokens.push_back({kind, text.substr(start, length),
                      kind == Token::Kind::kQuoted ? start - 1 : start, whole});
    at = tokens.back().offset + whole;
  };
  while (true) {
    while (at < text.size() && isBlank(text[at])) ++at;
    if (at == text.size()) break;
    const char c = text[at];
    if (c == '(' || c == ')' || c == ',') {
      add(Token::Kind::kSymbol, at, 1, 1);
    } else if (c == '=' || c == '<' || c == '>' || c == '!') {
      const size_t length = c != '=' && at + 1 < text.size() && text[at + 1] == '=' ? 2 : 1;
      if (c == '!' && length == 1)
        throw source.error(placeIn(condition, at, source), "'!' alone means nothing here",
                           "write 'not', or '!='");
      add(Token::Kind::kSymbol, at, length, length);
    } else if (c == '"' || c == '\'') {
      const size_t end = text.find(c, at + 1);
      if (end == std::string_view::npos)
        throw source.error(placeIn(condition, at, source), "this quote is not closed");
      add(Token::Kind::kQuoted, at + 1, end - at - 1, end - at + 1);
    } else {
      // A word may hold a pointer or an index in brackets, and in them what would end it.
      size_t end = at;
      bool inBrackets = false;
      while (end < text.size() && (inBrackets ? text[end] != '\n' : !endsWord(text[end]))) {
        if (text[end] == '[') inBrackets = text.find(']', end) != std::string_view::npos;
        if (text[end] == ']') inBrackets = false;
        ++end;
      }
      add(Token::Kind::kWord, at, end - at, end - at);
    }
  }
  tokens.push_back({Token::Kind::kEnd, {}, text.size(), 0});
  return tokens;
}

}  // namespace airr::policies
