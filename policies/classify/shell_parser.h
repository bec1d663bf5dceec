// Parses a shell script into the commands that it would run, without running anything.
//
// The language is POSIX sh with the extensions of bash that agents use: lists, pipelines, compound
// commands, functions, coprocesses, here-documents and here-strings, all redirections, process and
// command substitution, every quoting and `${…}` form, arithmetic, arrays, [[ ]]. Aliases and
// `extglob`'s being off are not modelled. The result is flat: every simple command of the script,
// wherever it stands, is one entry of Script::commands, and says by indices in which scope and
// pipeline it stands. Nothing is expanded: a word keeps each expansion as its source text and says
// where it is.
//
// A script that cannot be parsed, or exceeds a limit, is its own fact: Script::failure says where
// and why, and what was parsed up to there stays, for explanation only: no conclusion that
// something is absent may be drawn from it.
//
// Ownership: a Script owns all its text. Pure functions, any thread. Never throws but
// std::bad_alloc: input is hostile, and length, depth, and the number of nodes are bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace airr::shell {

struct Limits {
  size_t bytes = 256 << 10;  // of the script
  size_t depth = 64;         // of nested constructs, quotes included
  size_t nodes = 1 << 16;    // words, commands, scopes, redirections, expansions
};

inline constexpr uint32_t kNone = UINT32_MAX;

enum class ExpansionKind : uint8_t { kParameter, kCommand, kArithmetic, kProcess };

struct Expansion {
  ExpansionKind kind = ExpansionKind::kParameter;
  uint32_t offset = 0, size = 0;  // its source text within Word::text
  uint32_t scope = kNone;         // kCommand, kProcess: index of the scope with its commands
  std::string name;               // kParameter: without ${ } and operators
};

struct Word {
  std::string text;  // quotes removed; expansions as they were written
  std::vector<Expansion> expansions;
  bool quoted = false;   // some part of it was quoted
  bool pattern = false;  // has an unquoted * ? [ or a brace expansion, kept as text

  // The text is what the command receives.
  bool literal() const { return expansions.empty() && !pattern; }
};

enum class RedirectionKind : uint8_t {
  kRead,          // <
  kWrite,         // > >|
  kAppend,        // >>
  kReadWrite,     // <>
  kWriteBoth,     // &> and >&file
  kAppendBoth,    // &>>
  kDuplicate,     // <& and >& with a descriptor, or - to close; the target is its number
  kHereDocument,  // << and <<-
  kHereString,    // <<<; the target is the text
};

struct Redirection {
  RedirectionKind kind = RedirectionKind::kRead;
  int descriptor = -1;        // the number before the operator; -1: none was written
  Word target;                // kHereDocument: the delimiter
  uint32_t document = kNone;  // kHereDocument: index of the body in Script::documents

  bool input() const;   // it replaces standard input
  bool writes() const;  // it opens its target for writing
};

struct Assignment {
  std::string name;
  Word value;  // of an array: its elements, joined by blanks
  bool append = false;
};

// `[[ … ]]` and `(( … ))` are commands of these names.
struct Command {
  std::vector<Assignment> assignments;  // before the first word
  std::vector<Word> words;              // may be empty: assignments or redirections alone
  std::vector<Redirection> redirections;
  uint32_t offset = 0;  // where it begins in the script
  uint32_t scope = 0, pipeline = 0, stage = 0;
};

struct Pipeline {
  uint32_t scope = 0;
  uint32_t stages = 1;  // of which each is one command or one scope
  bool negated = false, background = false;
};

enum class ScopeKind : uint8_t {
  kScript,
  kSubshell,
  kGroup,
  kIf,
  kLoop,
  kCase,
  kFunction,
  kCoprocess,
  kCommandSubstitution,
  kProcessSubstitution,
};

struct Scope {
  ScopeKind kind = ScopeKind::kScript;
  uint32_t offset = 0;
  uint32_t parent = kNone;                // index of the enclosing scope
  uint32_t pipeline = kNone, stage = 0;   // where it stands; kNone for substitutions and the script
  std::string name;                       // kFunction
  std::vector<Word> words;                // kLoop: what it runs over; kCase: subject and patterns
  std::vector<Redirection> redirections;  // after a compound command
};

struct Failure {
  uint32_t offset = 0, line = 1, column = 1;  // line and column count from 1, columns in bytes
  std::string reason;
};

struct Script {
  std::vector<Scope> scopes;  // [0] is the script itself
  std::vector<Pipeline> pipelines;
  std::vector<Command> commands;  // in the order of their ends
  std::vector<Word> documents;    // bodies of here-documents; literal if their delimiter is quoted
  std::optional<Failure> failure;
};

Script parse(std::string_view text, const Limits& limits = {});

// What a command finds on its standard input, by its own redirections or those of the scopes around
// it.
struct Input {
  enum class Kind : uint8_t { kInherited, kPipe, kFile, kHere } kind = Kind::kInherited;
  const Redirection* redirection = nullptr;  // kFile, kHere
  uint32_t pipeline = kNone, stage = 0;      // kPipe: the stage that writes into it
};
Input inputOf(const Script& script, const Command& command);

}  // namespace airr::shell
