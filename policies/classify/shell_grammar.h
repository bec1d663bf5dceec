// The parser itself, shared by shell_parser.cpp (commands) and shell_words.cpp (words and quoting).
// Not for other folders: use shell_parser.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/classify/shell_parser.h"

namespace airr::shell {

// Thrown within the parser, caught by parse().
struct ParseStop {
  uint32_t offset;
  std::string reason;
};

// What all parsers of one script share: a backquoted command is parsed from its own unescaped copy.
struct ParseState {
  Script& script;
  const Limits& limits;
  size_t depth = 0, nodes = 0;
};

class Parser {
 public:
  // `origin`: kNone, or the offset in the script that stands for all of this text.
  Parser(std::string_view text, ParseState& state, uint32_t origin = kNone)
      : text_(text), state_(state), origin_(origin) {}

  void script(uint32_t scope);
  // The expansions of a here-document's body.
  Word body();

 private:
  // What may end a list of commands.
  enum Terminator : unsigned {
    kEnd = 1,
    kParenthesis = 2,
    kBrace = 4,
    kThen = 8,
    kFi = 16,  // also else, elif
    kDo = 32,
    kDone = 64,
    kCaseItem = 128,  // ;; ;& ;;& esac
  };
  class Nesting;

  // --- shell_parser.cpp ---
  void list(uint32_t scope, unsigned terminators, bool mayBeEmpty);
  bool atTerminator(unsigned terminators);
  void pipeline(uint32_t scope);
  void command(uint32_t scope, uint32_t pipeline, uint32_t stage);
  void simple(uint32_t scope, uint32_t pipeline, uint32_t stage);
  bool functionDefinition(const Command& command, uint32_t scope, uint32_t pipeline,
                          uint32_t stage);
  void function(uint32_t scope, uint32_t pipeline, uint32_t stage);
  void functionBody(uint32_t scope, std::string name, uint32_t pipeline, uint32_t stage);
  void coprocess(uint32_t scope, uint32_t pipeline, uint32_t stage);
  void ifClause(uint32_t scope);
  void loopBody(uint32_t scope);
  void forClause(uint32_t scope);
  void caseClause(uint32_t scope);
  void test(Command& command);
  void arithmeticCommand(Command& command, size_t end);
  bool atRedirection() const;
  Redirection redirection();
  void redirections(uint32_t scope);
  bool assignment(Command& command, size_t start, Word& word);
  void arrayElements(Word& value);

  // --- shell_words.cpp ---
  enum class WordMode { kNormal, kRegex };
  Word word(WordMode mode = WordMode::kNormal);
  bool wordPart(Word& word);
  bool extendedGlob(Word& word);
  void quotedCharacter(Word& word, bool inDouble);
  void singleQuoted(Word& word);
  void doubleQuoted(Word& word);
  void ansiQuoted(Word& word);
  void dollar(Word& word, bool inDouble);
  void parameter(Word& word, size_t start, bool inDouble);
  void commandSubstitution(Word& word, size_t start, ScopeKind kind, unsigned terminator);
  void backquoted(Word& word, bool inDouble);
  size_t arithmeticEnd(size_t from) const;
  void arithmetic(Word& word, size_t start, size_t contentEnd, size_t end);
  void expandUntil(Word& word, size_t end);
  void addExpansion(Word& word, ExpansionKind kind, size_t start, std::string name = {},
                    uint32_t scope = kNone);

  // --- reading ---
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool atEnd() const { return position_ >= text_.size(); }
  bool starts(std::string_view prefix) const { return text_.substr(position_).starts_with(prefix); }
  bool take(std::string_view prefix);
  std::string_view bareWord() const;
  bool takeReserved(std::string_view reserved);
  void expectReserved(std::string_view reserved);
  void skipBlanks();
  void skipLines();
  void newline();
  void hereDocuments();
  std::string hereBody(const std::string& delimiter, bool quoted, bool stripTabs);

  uint32_t offset() const { return offset(position_); }
  uint32_t offset(size_t position) const {
    return origin_ != kNone ? origin_ : static_cast<uint32_t>(position);
  }
  [[noreturn]] void fail(std::string reason) const { throw ParseStop{offset(), std::move(reason)}; }
  [[noreturn]] void unexpected() const;
  void count();
  uint32_t addScope(ScopeKind kind, uint32_t parent, uint32_t pipeline, uint32_t stage);

  struct PendingHere {
    uint32_t document;  // in Script::documents
    std::string delimiter;
    bool quoted, stripTabs;
  };

  std::string_view text_;
  ParseState& state_;
  uint32_t origin_;
  size_t position_ = 0;
  uint32_t scope_ = 0;  // the innermost, for substitutions in words
  bool ifsAssigned_ = false;
  std::vector<PendingHere> pending_;
};

// Counts one level of nesting for as long as it lives.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : depth_(parser.state_.depth) {
    if (depth_ >= parser.state_.limits.depth) parser.fail("nested too deeply");
    ++depth_;
  }
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  size_t& depth_;
};

inline bool isBlank(char c) { return c == ' ' || c == '\t'; }
inline bool isMeta(char c) {
  return isBlank(c) || c == '\n' || c == ';' || c == '&' || c == '|' || c == '<' || c == '>' ||
         c == '(' || c == ')';
}
inline bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool isDigit(char c) { return c >= '0' && c <= '9'; }
inline bool isName(char c) { return isNameStart(c) || isDigit(c); }

}  // namespace airr::shell
