// One classification under way. Not for other folders: use classifier.h.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policies/classify/classifier.h"
#include "policies/classify/rule_set.h"
#include "policies/classify/shell_parser.h"

namespace airr::classify {

class Evaluation {
 public:
  Evaluation(const RuleSet& rules, Classification& result) : rules_(rules), result_(result) {}

  // What surrounds a command.
  struct Context {
    InputKind input = InputKind::kNone;
    const shell::Word* document = nullptr;  // kHere
    bool empties = false;                   // it truncates a file by redirection
    bool computed = false;  // its text went through another expansion, or has placeholders
    const std::set<std::string_view>* functions = nullptr;  // that the script defines
  };

  void program(const Argument* arguments, size_t count, const Context& context);
  // Beside its argv[0], an invocation has the path of the file that will run.
  void invocation(const Argument* arguments, size_t count, const Argument& executable);
  // Of `around`, `computed` and `functions` count.
  void script(std::string_view text, const Context& around);
  void assignment(std::string_view name, const Argument& value);
  void path(std::string_view text, Access access, FileContext where);
  void finish();

 private:
  struct Roles;  // what the arguments of one program are

  void known(const std::vector<const Program*>& programs, const Argument* arguments, size_t count,
             const Context& context);
  // `called`: the program, and subcommands, as the invocation names them.
  void evaluate(const Spec& spec, const std::string& called, const Argument* arguments,
                size_t count, const Context& context);
  const Spec* subcommand(const Spec& spec, const std::string& called, const Argument& name);
  bool holds(const Rule& rule, const Arguments& arguments, const Context& context) const;
  struct Call;  // a program or subcommand that is being evaluated
  void apply(const Rule& rule, const Call& call, Roles& roles);
  void run(const Run& run, const Call& call);
  void text(const Run& run, const Argument& text, const Context& context);
  // No language: the shell.
  void languageText(const Language* language, std::string_view text, const Context& context);
  bool pattern(const Language::Pattern& pattern, std::string_view text, const Context& context);
  void paths(const Arguments& arguments, const Roles& roles);
  void mentions(const Argument* arguments, size_t count);
  void mention(std::string_view word, Access access);
  void words(const Argument* arguments, size_t count);
  void expansions(const shell::Word& word);
  void redirection(const shell::Redirection& redirection);
  void command(const shell::Script& script, const shell::Command& command, Context context);

  void add(ClassSet classes, const std::string& rule, std::string_view words);
  static std::string evidence(const Rule& rule, const Arguments& arguments);

  const RuleSet& rules_;
  Classification& result_;
  unsigned depth_ = 0;
  unsigned programs_ = 0;
};

}  // namespace airr::classify
