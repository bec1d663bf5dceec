// Rules of classification as they are in memory; docs/classification.md explains the language.
//
// A RuleSet owns all that its rules need. It is built once, from rule files, and then only read,
// from any thread; but what is built into airr of a program is read when the program is first met. loadRules() throws Error (kFailure) that begins with file:line:column.
#pragma once

#include <re2/re2.h>
#include <re2/set.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policies/classify/classes.h"
#include "policies/classify/options.h"
#include "policies/classify/patterns.h"
#include "policies/classify/yaml_tree.h"

namespace airr::classify {

// Which arguments: operands by position, the values of an option, operands with a prefix (of=FILE).
struct Designator {
  enum class Kind : uint8_t { kOperands, kLast, kIndex, kOption, kPrefix } kind = Kind::kOperands;
  unsigned index = 0;
  OptionId option = kNoOption;
  std::string prefix;
};
using Designators = std::vector<Designator>;

struct Language;

// A command or script that an invocation runs in turn.
struct Run {
  enum class From : uint8_t {
    kOperands,  // a command: the operands from `index` on
    kOperand,   // the operand `index` (kLastOperand: the last) is a script
    kRest,      // the operands from `index` on, joined by blanks, are a script
    kValues,    // each value of `options` is a script
    kAfter,     // a command: the arguments after one of `after`, up to one of `until`
    kDocument,  // the here-document or here-string on standard input is a script
  };
  static constexpr unsigned kLastOperand = UINT32_MAX;

  From from = From::kOperands;
  unsigned index = 0;
  std::vector<OptionId> options;
  std::vector<std::string> after, until;
  std::unique_ptr<Regex> capture;  // only what its first group finds is the script
  bool appends = false;            // more arguments will be added, which nobody knows
  std::string languageName;        // "command", "shell", or one of RuleSet::languages
  const Language* language = nullptr;
};

enum class InputKind : uint8_t { kNone, kPipe, kFile, kHere };

// Holds if all conditions that it has do.
struct Rule {
  std::string id;

  std::vector<OptionId> options, without;  // one of these is there; none of these is there
  std::optional<unsigned> least, most;     // number of operands
  std::optional<Matcher> operand;          // an operand matches,
  std::optional<unsigned> at;              // this one
  std::vector<OptionId> valueOf;           // a value of one of these matches `value`
  std::optional<Matcher> value;
  std::vector<InputKind> input;  // what standard input is
  bool empties = false;          // a redirection truncates a file

  ClassSet classes;
  Designators reads, writes, deletes;
  std::vector<Run> runs;
};

// A program or a subcommand of one.
struct Spec {
  std::string id;  // "git push"
  OptionTable options;
  bool everywhere = false;   // its options may also come after the subcommand
  bool applets = false;      // under another name it is the program of that name
  bool assignments = false;  // operands NAME=VALUE come first and are environment
  Designators text;          // arguments that are no paths
  Rule base;                 // unconditional
  std::vector<Rule> rules;   // all that hold count
  std::vector<Rule> first;   // only the first that holds counts
  std::unordered_map<std::string, const Spec*> subcommands;
  std::vector<std::pair<std::unique_ptr<Regex>, const Spec*>> subcommandGlobs;
  bool hasSubcommands = false;
  std::optional<ClassSet> otherwise;  // for other subcommands; unset: unknown
};

// A language that is read by patterns only.
struct Language {
  struct Pattern {
    std::string id;
    std::unique_ptr<Regex> regex;
    ClassSet classes;
    std::string runsName;  // language of the first group, or empty
    const Language* runs = nullptr;
    bool writes = false, reads = false;  // the first group is a file
  };
  std::vector<Pattern> rules, first;
  std::string id;
};

enum class Access : uint8_t { kMention, kRead, kWrite, kDelete };
enum class FileContext : uint8_t { kOperand, kRedirection, kAction };

struct FileRule {
  std::string id;
  uint8_t access = 0xff;  // bits by Access
  uint8_t where = 0xff;   // bits by FileContext
  std::unique_ptr<Regex> except;
  ClassSet classes;
};

struct VariableRule {
  std::string id;
  Matcher names;
  bool expansion = false;         // $NAME in a word; otherwise NAME=value before a command
  std::unique_ptr<Regex> unless;  // values that are harmless
  ClassSet classes;
  std::string runsName;  // language of the value, or empty
  const Language* runs = nullptr;
};

struct WordRule {
  std::string id;
  std::unique_ptr<Regex> regex;
  ClassSet classes;
};

// An action on the network, or on another process.
struct ActionRule {
  std::string id;
  Matcher actions, targets;                            // an empty matcher matches all
  std::vector<std::pair<unsigned, unsigned>> numbers;  // ports or signals, inclusive; empty: all
  ClassSet classes;
};

struct RuleSet;

// What one rule file says of a program.
class Program {
 public:
  Program(std::string id, std::string_view packed) : id_(std::move(id)), packed_(packed) {}
  const std::string& id() const { return id_; }
  const Spec& spec(const RuleSet&) const;

 private:
  friend class RuleReader;
  std::string id_;
  std::string_view packed_;  // its tree, if it is built in
  mutable std::once_flag once_;
  mutable std::vector<std::unique_ptr<Spec>> specs_;  // its own comes first, then its subcommands'
};

struct RuleSet {
  std::vector<std::unique_ptr<Program>> all;
  std::unordered_map<std::string, std::vector<const Program*>> programs;
  std::vector<std::pair<std::unique_ptr<Regex>, const Program*>> programGlobs;
  std::map<std::string, std::unique_ptr<Language>> languages;
  std::vector<std::string> systemDirectories;  // programs in them are known by their names
  std::vector<std::string> alsoByName;         // directories elsewhere whose programs are, too
  std::vector<std::string> information;        // as the only argument: only prints

  std::vector<FileRule> files;
  std::unique_ptr<re2::RE2::Set> filePaths;  // each pattern belongs to files[fileOfPattern[i]]
  std::vector<uint32_t> fileOfPattern;

  std::vector<VariableRule> variables;
  std::vector<WordRule> words;
  std::vector<ActionRule> network, processes;
};

// All files together are one set: the order of files does not matter, and what several say about
// one program adds up. Languages named "command" and "shell" are built in.
// Of the first `proven` files the regular expressions are not tried at once.
std::unique_ptr<const RuleSet> loadRules(const std::vector<Source>& files, size_t proven = 0);

// The rules that are part of airr.
std::vector<Source> builtinRules();

}  // namespace airr::classify
