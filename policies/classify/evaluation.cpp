#include "policies/classify/evaluation.h"

#include <algorithm>

namespace airr::classify {
namespace {

constexpr unsigned kMaxDepth = 16;       // of programs that run programs
constexpr unsigned kMaxPrograms = 4096;  // in one classification
constexpr size_t kMaxSignals = 64;       // further ones still add their classes
constexpr size_t kMaxEvidence = 120;     // bytes
constexpr unsigned kMaxGroups = 64;      // matches of one pattern whose group is looked at

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::string_view clipped(std::string_view text) {
  if (text.size() <= kMaxEvidence) return text;
  size_t end = kMaxEvidence;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;  // whole characters
  return text.substr(0, end);
}

std::string joined(const Argument* arguments, size_t count) {
  std::string text;
  for (size_t i = 0; i < count && text.size() <= kMaxEvidence; ++i) {
    if (i > 0) text += ' ';
    text += clipped(arguments[i].text);
  }
  return std::string(clipped(text));
}

bool splitAssignment(std::string_view text, std::string_view& name, std::string_view& value) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  name = text.substr(0, equals);
  value = text.substr(equals + 1);
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

// The whole text comes from one expansion.
bool onlyExpansion(const Argument& argument) {
  if (argument.word == nullptr) return false;
  for (const shell::Expansion& expansion : argument.word->expansions) {
    if (expansion.offset == 0 && expansion.size == argument.text.size()) return true;
  }
  return false;
}

// Of a program's name that is not literal, the part after the last slash may still be.
bool literalAfter(const Argument& name, size_t slash) {
  if (name.literal) return true;
  if (name.word == nullptr || name.word->pattern || slash == std::string_view::npos) return false;
  return std::all_of(
      name.word->expansions.begin(), name.word->expansions.end(),
      [&](const shell::Expansion& each) { return each.offset + size_t{each.size} <= slash; });
}

bool startsWithDirectory(const std::vector<std::string>& directories, std::string_view directory) {
  return std::find(directories.begin(), directories.end(), directory) != directories.end();
}

}  // namespace

// By operand and by option: how the program uses it.
struct Evaluation::Roles {
  std::vector<Access> operands, options;
  std::vector<bool> textOperands, textOptions;

  Roles(const Spec& spec, const Arguments& arguments)
      : operands(arguments.operands.size(), Access::kMention),
        options(arguments.options.size(), Access::kMention),
        textOperands(arguments.operands.size()),
        textOptions(arguments.options.size()) {
    each(
        spec.text, arguments, [&](size_t i) { textOperands[i] = true; },
        [&](size_t i) { textOptions[i] = true; });
  }

  void set(const Designators& designators, const Arguments& arguments, Access access) {
    each(
        designators, arguments, [&](size_t i) { operands[i] = access; },
        [&](size_t i) { options[i] = access; });
  }

  template <typename OnOperand, typename OnOption>
  static void each(const Designators& designators, const Arguments& arguments, OnOperand onOperand,
                   OnOption onOption) {
    const size_t count = arguments.operands.size();
    for (const Designator& designator : designators) {
      switch (designator.kind) {
        case Designator::Kind::kOperands:
          for (size_t i = 0; i < count; ++i) onOperand(i);
          break;
        case Designator::Kind::kLast:
          if (count > 0) onOperand(count - 1);
          break;
        case Designator::Kind::kIndex:
          if (designator.index < count) onOperand(designator.index);
          break;
        case Designator::Kind::kPrefix:
          for (size_t i = 0; i < count; ++i) {
            if (arguments.operands[i].text.starts_with(designator.prefix)) onOperand(i);
          }
          break;
        case Designator::Kind::kOption:
          for (size_t i = 0; i < arguments.options.size(); ++i) {
            if (arguments.options[i].id == designator.option) onOption(i);
          }
          break;
      }
    }
  }
};

struct Evaluation::Call {
  const Spec& spec;
  const std::string& called;
  const Argument* all;  // arguments, undivided
  size_t count;
  const Arguments& arguments;
  const Context& context;
};

void Evaluation::add(ClassSet classes, const std::string& rule, std::string_view words) {
  if (classes.empty()) return;
  result_.classes.add(classes);
  if (result_.why.size() >= kMaxSignals) return;
  words = clipped(words);
  for (const Signal& signal : result_.why) {
    if (signal.rule == rule && signal.words == words) return;
  }
  result_.why.push_back({classes, rule, std::string(words)});
}

void Evaluation::finish() {
  if (result_.classes.empty()) add({Class::kInspect}, "no-effect", "");
}

// --- programs ---

void Evaluation::invocation(const Argument* arguments, size_t count, const Argument& executable) {
  if (count == 0) {
    program(&executable, 1, {});
    return;
  }
  if (executable.text.empty()) {
    program(arguments, count, {});
    return;
  }
  // The file decides. A program of many names is what its first argument says.
  const std::string_view name = executable.text.substr(executable.text.rfind('/') + 1);
  const auto found = rules_.programs.find(std::string(name));
  if (found != rules_.programs.end() && found->second.front()->spec(rules_).applets) {
    const std::string_view called = arguments[0].text.substr(arguments[0].text.rfind('/') + 1);
    if (called != name) {
      std::vector<Argument> applet(arguments, arguments + count);
      applet[0].text = called;
      program(applet.data(), count, {});
      return;
    }
  }
  std::vector<Argument> actual(arguments, arguments + count);
  actual[0] = executable;
  program(actual.data(), count, {});
}

void Evaluation::program(const Argument* arguments, size_t count, const Context& context) {
  if (count == 0) return;
  if (depth_ >= kMaxDepth || ++programs_ > kMaxPrograms) {
    add({Class::kUnknown}, "too-complex", joined(arguments, count));
    return;
  }
  const Argument& name = arguments[0];
  const size_t slash = name.text.rfind('/');
  if (name.text == "{}" || !literalAfter(name, slash)) {
    add(context.computed ? ClassSet{Class::kExecuteCode} : ClassSet{Class::kUnknown},
        "computed-program", name.text);
    mentions(arguments + 1, count - 1);
    return;
  }
  if (context.functions != nullptr && context.functions->contains(name.text)) return;

  std::string_view base = name.text;
  if (slash != std::string_view::npos) {
    base = name.text.substr(slash + 1);
    const std::string directory = normalPath(name.text.substr(0, std::max<size_t>(slash, 1)));
    if (!startsWithDirectory(rules_.systemDirectories, directory)) {
      add({Class::kExecuteCode}, "program-path", name.text);
      const bool also =
          std::any_of(rules_.alsoByName.begin(), rules_.alsoByName.end(),
                      [&](const std::string& end) { return directory.ends_with(end); });
      if (!also || !rules_.programs.contains(std::string(base))) {
        mentions(arguments + 1, count - 1);
        return;
      }
    }
  }
  const auto found = rules_.programs.find(std::string(base));
  if (found != rules_.programs.end()) {
    known(found->second, arguments, count, context);
    return;
  }
  for (const auto& [glob, program] : rules_.programGlobs) {
    if (!glob->full(base)) continue;
    known({program}, arguments, count, context);
    return;
  }
  add({Class::kUnknown}, "unknown-program", name.text);
  mentions(arguments + 1, count - 1);
}

void Evaluation::known(const std::vector<const Program*>& programs, const Argument* arguments,
                       size_t count, const Context& context) {
  if (count == 2 && std::find(rules_.information.begin(), rules_.information.end(),
                              arguments[1].text) != rules_.information.end()) {
    add({Class::kInspect}, "information", joined(arguments, count));
    return;
  }
  ++depth_;
  const std::string called(clipped(arguments[0].text));
  for (const Program* each : programs) evaluate(each->spec(rules_), called, arguments + 1, count - 1, context);
  --depth_;
  words(arguments + 1, count - 1);
}

void Evaluation::evaluate(const Spec& spec, const std::string& called, const Argument* all,
                          size_t count, const Context& context) {
  Arguments arguments = spec.options.divide(all, count);
  if (spec.assignments) {
    size_t first = 0;
    std::string_view name, value;
    while (first < arguments.operands.size() &&
           splitAssignment(arguments.operands[first].text, name, value)) {
      Argument set = arguments.operands[first++];
      set.text = value;
      assignment(name, set);
    }
    arguments.operands.erase(arguments.operands.begin(),
                             arguments.operands.begin() + static_cast<std::ptrdiff_t>(first));
  }
  Roles roles(spec, arguments);
  const Call call{spec, called, all, count, arguments, context};
  apply(spec.base, call, roles);
  for (const Rule& rule : spec.rules) {
    if (holds(rule, arguments, context)) apply(rule, call, roles);
  }
  for (const Rule& rule : spec.first) {
    if (!holds(rule, arguments, context)) continue;
    apply(rule, call, roles);
    break;
  }
  if (spec.hasSubcommands && !arguments.operands.empty()) {
    const Argument& name = arguments.operands.front();
    if (const Spec* sub = subcommand(spec, called, name)) {
      const std::string subCalled = called + ' ' + std::string(clipped(name.text));
      const size_t next = arguments.firstOperand + 1;
      if (spec.everywhere) {
        std::vector<Argument> others(all, all + arguments.firstOperand);
        others.insert(others.end(), all + next, all + count);
        evaluate(*sub, subCalled, others.data(), others.size(), context);
      } else {
        evaluate(*sub, subCalled, all + next, count - next, context);
      }
    }
    // The subcommand has its own view of the operands.
    arguments.operands.clear();
  }
  paths(arguments, roles);
}

const Spec* Evaluation::subcommand(const Spec& spec, const std::string& called,
                                   const Argument& name) {
  if (name.literal) {
    const auto found = spec.subcommands.find(std::string(name.text));
    if (found != spec.subcommands.end()) return found->second;
  }
  for (const auto& [glob, sub] : spec.subcommandGlobs) {
    if (glob->full(name.text)) return sub;
  }
  add(spec.otherwise.value_or(ClassSet{Class::kUnknown}),
      spec.otherwise ? spec.id : "unknown-subcommand", called + ' ' + std::string(name.text));
  return nullptr;
}

// --- rules ---

bool Evaluation::holds(const Rule& rule, const Arguments& arguments, const Context& context) const {
  auto has = [&](OptionId id) { return arguments.has(id); };
  if (!rule.options.empty() && std::none_of(rule.options.begin(), rule.options.end(), has)) {
    return false;
  }
  if (std::any_of(rule.without.begin(), rule.without.end(), has)) return false;
  const size_t operands = arguments.operands.size();
  if (rule.least && operands < *rule.least) return false;
  if (rule.most && operands > *rule.most) return false;
  if (rule.empties && !context.empties) return false;
  if (!rule.input.empty() &&
      std::find(rule.input.begin(), rule.input.end(), context.input) == rule.input.end()) {
    return false;
  }
  if (rule.operand) {
    const size_t begin = rule.at.value_or(0);
    const size_t end = rule.at ? std::min(begin + 1, operands) : operands;
    bool any = false;
    for (size_t i = begin; i < end && !any; ++i) {
      any = rule.operand->matches(arguments.operands[i].text);
    }
    if (!any) return false;
  }
  if (rule.value) {
    const bool any =
        std::any_of(arguments.options.begin(), arguments.options.end(), [&](const Option& option) {
          return option.hasValue && option.id != kNoOption &&
                 std::find(rule.valueOf.begin(), rule.valueOf.end(), option.id) !=
                     rule.valueOf.end() &&
                 rule.value->matches(option.value.text);
        });
    if (!any) return false;
  }
  return true;
}

// The words that made the rule hold.
std::string Evaluation::evidence(const Rule& rule, const Arguments& arguments) {
  for (const auto* ids : {&rule.valueOf, &rule.options}) {
    for (const Option& option : arguments.options) {
      if (option.id == kNoOption || std::find(ids->begin(), ids->end(), option.id) == ids->end()) {
        continue;
      }
      std::string words;
      if (!option.name.text.starts_with('-') && !option.name.text.starts_with('+')) words = "-";
      words += option.name.text;
      if (option.hasValue) {
        words += ' ';
        words += clipped(option.value.text);
      }
      return words;
    }
  }
  if (rule.operand) {
    for (const Argument& operand : arguments.operands) {
      if (rule.operand->matches(operand.text)) return std::string(operand.text);
    }
  }
  return joined(arguments.operands.data(), arguments.operands.size());
}

void Evaluation::apply(const Rule& rule, const Call& call, Roles& roles) {
  if (!rule.classes.empty()) {
    std::string words = call.called;
    if (&rule != &call.spec.base) {
      const std::string matched = evidence(rule, call.arguments);
      if (!matched.empty()) words += ' ' + matched;
    }
    add(rule.classes, rule.id, words);
  }
  roles.set(rule.reads, call.arguments, Access::kRead);
  roles.set(rule.writes, call.arguments, Access::kWrite);
  roles.set(rule.deletes, call.arguments, Access::kDelete);
  for (const Run& each : rule.runs) run(each, call);
}

// --- what is run in turn ---

void Evaluation::run(const Run& run, const Call& call) {
  const std::vector<Argument>& operands = call.arguments.operands;
  Context inner = call.context;
  auto nested = [&](const Argument* words, size_t size) {
    if (!run.appends) {
      program(words, size, inner);
      return;
    }
    // What xargs adds comes from its input, which the command therefore does not read.
    std::vector<Argument> more(words, words + size);
    more.push_back({"\xe2\x80\xa6", false, nullptr});
    inner.input = InputKind::kNone;
    inner.computed = true;
    program(more.data(), more.size(), inner);
  };
  switch (run.from) {
    case Run::From::kOperands:
      if (run.index < operands.size()) {
        nested(operands.data() + run.index, operands.size() - run.index);
      }
      break;
    case Run::From::kAfter: {
      inner.computed = true;
      const Argument* all = call.all;
      auto among = [&](const std::vector<std::string>& words, size_t at) {
        return std::find(words.begin(), words.end(), all[at].text) != words.end();
      };
      for (size_t i = 0; i < call.count; ++i) {
        if (!among(run.after, i)) continue;
        const size_t begin = ++i;
        while (i < call.count && !among(run.until, i)) ++i;
        nested(all + begin, i - begin);
      }
      break;
    }
    case Run::From::kOperand: {
      const size_t index = run.index == Run::kLastOperand ? operands.size() - 1 : run.index;
      if (index < operands.size()) text(run, operands[index], inner);
      break;
    }
    case Run::From::kRest: {
      if (run.index >= operands.size()) break;
      std::string script;
      Argument whole;
      for (size_t i = run.index; i < operands.size(); ++i) {
        if (i > run.index) script += ' ';
        script += operands[i].text;
        whole.literal &= operands[i].literal;
      }
      if (operands.size() - run.index == 1) whole.word = operands[run.index].word;
      whole.text = script;
      text(run, whole, inner);
      break;
    }
    case Run::From::kValues:
      for (const Option& option : call.arguments.options) {
        const bool named =
            option.id != kNoOption &&
            std::find(run.options.begin(), run.options.end(), option.id) != run.options.end();
        if (named && option.hasValue) text(run, option.value, inner);
      }
      break;
    case Run::From::kDocument:
      if (const shell::Word* document = call.context.document) {
        text(run, {document->text, document->literal(), document}, inner);
      }
      break;
  }
}

void Evaluation::text(const Run& run, const Argument& argument, const Context& context) {
  std::string_view script = argument.text;
  if (run.capture != nullptr) {
    re2::StringPiece group;
    if (!re2::RE2::PartialMatch(piece(script), run.capture->get(), &group)) return;
    script = {group.data(), group.size()};
  } else if (run.language != nullptr && onlyExpansion(argument)) {
    add({Class::kExecuteCode}, "computed-script", script);
    return;
  }
  Context inner = context;
  inner.computed |= !argument.literal;
  languageText(run.language, script, inner);
}

void Evaluation::languageText(const Language* language, std::string_view text,
                              const Context& context) {
  if (language == nullptr) {
    script(text, context);
    return;
  }
  if (depth_ >= kMaxDepth) {
    add({Class::kUnknown}, "too-complex", text);
    return;
  }
  ++depth_;
  for (const Language::Pattern& each : language->rules) pattern(each, text, context);
  for (const Language::Pattern& each : language->first) {
    if (pattern(each, text, context)) break;
  }
  --depth_;
}

bool Evaluation::pattern(const Language::Pattern& pattern, std::string_view text,
                         const Context& context) {
  re2::StringPiece rest = piece(text);
  const bool group = !pattern.runsName.empty() || pattern.reads || pattern.writes;
  if (!group) {
    if (!pattern.regex->found(text)) return false;
    add(pattern.classes, pattern.id, text);
    return true;
  }
  bool any = false;
  re2::StringPiece found;
  for (unsigned i = 0;
       i < kMaxGroups && re2::RE2::FindAndConsume(&rest, pattern.regex->get(), &found); ++i) {
    any = true;
    const std::string_view inner(found.data(), found.size());
    if (!pattern.runsName.empty()) {
      languageText(pattern.runs, inner, context);
    } else {
      mention(inner, pattern.writes ? Access::kWrite : Access::kRead);
    }
    if (rest.empty()) break;
  }
  if (any) add(pattern.classes, pattern.id, text);
  return any;
}

// --- scripts ---

void Evaluation::script(std::string_view text, const Context& around) {
  if (depth_ >= kMaxDepth) {
    add({Class::kUnknown}, "too-complex", text);
    return;
  }
  ++depth_;
  const shell::Script script = shell::parse(text);
  if (script.failure) {
    std::string words = std::to_string(script.failure->line) + ':' +
                        std::to_string(script.failure->column) + ' ' + script.failure->reason;
    add({Class::kUnknown}, "unparseable-script", words);
  }
  std::set<std::string_view> functions;
  if (around.functions != nullptr) functions = *around.functions;
  for (const shell::Scope& scope : script.scopes) {
    if (scope.kind == shell::ScopeKind::kFunction) functions.insert(scope.name);
    for (const shell::Word& word : scope.words) expansions(word);
    for (const shell::Redirection& each : scope.redirections) redirection(each);
  }
  for (const shell::Word& document : script.documents) expansions(document);
  Context context;
  context.computed = around.computed;
  context.functions = &functions;
  for (const shell::Command& each : script.commands) command(script, each, context);
  --depth_;
}

void Evaluation::command(const shell::Script& script, const shell::Command& command,
                         Context context) {
  std::vector<Argument> arguments;
  arguments.reserve(command.words.size());
  for (const shell::Word& word : command.words) {
    arguments.push_back({word.text, word.literal(), &word});
    expansions(word);
  }
  for (const shell::Assignment& each : command.assignments) {
    expansions(each.value);
    if (!command.words.empty()) {
      assignment(each.name, {each.value.text, each.value.literal(), &each.value});
    }
  }
  for (const shell::Redirection& each : command.redirections) {
    redirection(each);
    context.empties |=
        each.kind == shell::RedirectionKind::kWrite && !each.target.text.starts_with("/dev/");
  }
  const shell::Input input = shell::inputOf(script, command);
  switch (input.kind) {
    case shell::Input::Kind::kInherited:
      break;
    case shell::Input::Kind::kPipe:
      context.input = InputKind::kPipe;
      break;
    case shell::Input::Kind::kFile:
      context.input = InputKind::kFile;
      break;
    case shell::Input::Kind::kHere:
      context.input = InputKind::kHere;
      context.document = input.redirection->document == shell::kNone
                             ? &input.redirection->target
                             : &script.documents[input.redirection->document];
      break;
  }
  // Redirections alone are what the null command does.
  if (arguments.empty() && !command.redirections.empty()) arguments.push_back({":"});
  if (!arguments.empty()) program(arguments.data(), arguments.size(), context);
}

void Evaluation::redirection(const shell::Redirection& redirection) {
  expansions(redirection.target);
  if (redirection.kind == shell::RedirectionKind::kDuplicate ||
      redirection.kind == shell::RedirectionKind::kHereDocument ||
      redirection.kind == shell::RedirectionKind::kHereString) {
    return;
  }
  for (const shell::Expansion& expansion : redirection.target.expansions) {
    if (expansion.kind == shell::ExpansionKind::kProcess) return;
  }
  path(redirection.target.text, redirection.writes() ? Access::kWrite : Access::kRead,
       FileContext::kRedirection);
}

// --- variables, words, paths ---

void Evaluation::assignment(std::string_view name, const Argument& value) {
  for (const VariableRule& rule : rules_.variables) {
    if (rule.expansion || !rule.names.matches(name)) continue;
    if (rule.unless != nullptr && rule.unless->found(value.text)) continue;
    std::string words(name);
    words += '=';
    words += clipped(value.text);
    add(rule.classes, rule.id, words);
    if (!rule.runsName.empty()) {
      Context context;
      context.computed = !value.literal;
      languageText(rule.runs, value.text, context);
    }
  }
}

void Evaluation::expansions(const shell::Word& word) {
  for (const shell::Expansion& expansion : word.expansions) {
    if (expansion.name.empty()) continue;
    for (const VariableRule& rule : rules_.variables) {
      if (rule.expansion && rule.names.matches(expansion.name)) {
        add(rule.classes, rule.id, '$' + expansion.name);
      }
    }
  }
}

void Evaluation::words(const Argument* arguments, size_t count) {
  for (const WordRule& rule : rules_.words) {
    for (size_t i = 0; i < count; ++i) {
      if (rule.regex->found(arguments[i].text)) {
        add(rule.classes, rule.id, arguments[i].text);
      }
    }
  }
}

void Evaluation::mentions(const Argument* arguments, size_t count) {
  for (size_t i = 0; i < count; ++i) mention(arguments[i].text, Access::kMention);
  words(arguments, count);
}

void Evaluation::mention(std::string_view word, Access access) {
  for (const std::string_view each : pathsIn(word)) path(each, access, FileContext::kOperand);
}

void Evaluation::paths(const Arguments& arguments, const Roles& roles) {
  for (size_t i = 0; i < arguments.operands.size(); ++i) {
    if (!roles.textOperands[i]) mention(arguments.operands[i].text, roles.operands[i]);
  }
  for (size_t i = 0; i < arguments.options.size(); ++i) {
    if (arguments.options[i].hasValue && !roles.textOptions[i]) {
      mention(arguments.options[i].value.text, roles.options[i]);
    }
  }
}

void Evaluation::path(std::string_view text, Access access, FileContext where) {
  if (text.empty() || rules_.files.empty()) return;
  const std::string path = normalPath(text);
  std::vector<int> found;
  if (!rules_.filePaths->Match(piece(path), &found)) return;
  uint32_t last = UINT32_MAX;
  std::sort(found.begin(), found.end());
  for (const int pattern : found) {
    const uint32_t index = rules_.fileOfPattern[static_cast<size_t>(pattern)];
    if (index == last) continue;
    last = index;
    const FileRule& rule = rules_.files[index];
    if ((rule.access >> static_cast<unsigned>(access) & 1u) == 0) continue;
    if ((rule.where >> static_cast<unsigned>(where) & 1u) == 0) continue;
    if (rule.except != nullptr && rule.except->full(path)) continue;
    add(rule.classes, rule.id, text);
  }
}

}  // namespace airr::classify
