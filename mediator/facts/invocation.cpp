#include "mediator/facts/invocation.h"

#include <algorithm>

#include "policies/classify/classifier.h"
#include "policies/classify/shell_parser.h"

namespace airr::facts {
namespace {

using policies::Fact;

static_assert(static_cast<unsigned>(policies::Class::kUnknown) ==
              static_cast<unsigned>(classify::Class::kUnknown));

const classify::Classifier& classifier() {
  static const classify::Classifier instance;
  return instance;
}

bool isShell(std::string_view program) {
  static constexpr std::string_view kShells[] = {"sh",  "bash", "dash", "ash",
                                                 "zsh", "ksh",  "mksh", "rbash"};
  const std::string_view name = policies::baseName(program);
  return std::find(std::begin(kShells), std::end(kShells), name.starts_with('-') ? name.substr(1) : name) !=
         std::end(kShells);
}

}  // namespace

const std::string* shellScript(std::span<const std::string> arguments) {
  if (arguments.empty() || !isShell(arguments[0])) return nullptr;
  bool script = false;
  size_t i = 1;
  for (; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word.size() < 2 || (word[0] != '-' && word[0] != '+')) break;
    if (word == "--") {
      ++i;
      break;
    }
    if (word.starts_with("--")) {
      if (word == "--rcfile" || word == "--init-file") ++i;
      continue;
    }
    script = script || (word[0] == '-' && word.find('c') != std::string::npos);
    if (word.find_first_of("oO") != std::string::npos) ++i;  // the option's name
  }
  return script && i < arguments.size() ? &arguments[i] : nullptr;
}

void InvocationFacts::describe(policies::Action& action) {
  constexpr Fact kShellFacts[] = {Fact::kShellCommands, Fact::kShellReads, Fact::kShellWrites,
                                  Fact::kShellUnparseable};
  if (!action.has(Fact::kArguments)) {
    action.setUnknown(Fact::kClass);
    for (const Fact fact : kShellFacts) action.setUnknown(fact);
    return;
  }
  arguments_.assign(action.arguments.begin(), action.arguments.end());
  const auto classes = classifier().classify({arguments_, action.path, {}}).classes;
  action.classes = classes.bits();
  action.set(Fact::kClass);

  const std::string* text = shellScript(arguments_);
  if (text == nullptr) return;
  texts_.clear(), commands_.clear(), reads_.clear(), writes_.clear();
  const shell::Script script = shell::parse(*text);
  // Views of words that stay: texts_ does not move once it has room for all.
  size_t words = 0;
  for (const shell::Command& command : script.commands) words += 1 + command.redirections.size();
  for (const shell::Scope& scope : script.scopes) words += scope.redirections.size();
  texts_.reserve(words);
  auto keep = [&](const std::string& word, std::vector<std::string_view>& list) {
    list.push_back(texts_.emplace_back(word));
  };
  auto redirect = [&](const shell::Redirection& redirection) {
    if (redirection.writes()) {
      keep(redirection.target.text, writes_);
    } else if (redirection.kind == shell::RedirectionKind::kRead) {
      keep(redirection.target.text, reads_);
    }
  };
  for (const shell::Command& command : script.commands) {
    if (!command.words.empty()) keep(command.words[0].text, commands_);
    for (const shell::Redirection& redirection : command.redirections) redirect(redirection);
  }
  for (const shell::Scope& scope : script.scopes)
    for (const shell::Redirection& redirection : scope.redirections) redirect(redirection);
  action.shell = {commands_, reads_, writes_, script.failure.has_value()};
  for (const Fact fact : kShellFacts) action.set(fact);
}

}  // namespace airr::facts
