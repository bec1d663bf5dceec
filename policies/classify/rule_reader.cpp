// From rule files to a RuleSet. Every key is checked; a mistake names its place.
#include <algorithm>
#include <charconv>
#include <functional>

#include "policies/classify/rule_set.h"

namespace airr::classify {
namespace {

using Kind = YamlNode::Kind;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool isGlob(std::string_view text) { return text.find_first_of("*?[{") != std::string_view::npos; }

// Of a program's languages that are read by patterns.
void resolveLanguages(const RuleSet& rules, std::vector<std::unique_ptr<Spec>>& specs);

}  // namespace

class RuleReader {
 public:
  RuleReader(RuleSet& rules, const Source& source, bool proven)
      : rules_(rules), source_(source), proven_(proven) {}

  void file(std::vector<std::pair<std::string, size_t>>& filePatterns) {
    const YamlNode root = source_.packed.empty() ? parseYaml(source_) : unpackFile(source_.packed);
    auto listOf = [&](auto&& item) {
      return [&, item](const YamlNode& node) {
        for (const YamlNode& each : list(node)) item(each);
      };
    };
    fields(root,
           {
               {"version",
                [&](const YamlNode& node) {
                  if (word(node) != "1") fail(node, "this airr reads rule files of version 1");
                }},
               {"system-directories",
                [&](const YamlNode& node) { append(rules_.systemDirectories, node); }},
               {"also-by-name", [&](const YamlNode& node) { append(rules_.alsoByName, node); }},
               {"information", [&](const YamlNode& node) { append(rules_.information, node); }},
               {"programs", [&](const YamlNode& node) { programs(node); }},
               {"languages", [&](const YamlNode& node) { languages(node); }},
               {"files", listOf([&](const YamlNode& node) { fileRule(node, filePatterns); })},
               {"variables", listOf([&](const YamlNode& node) { variableRule(node); })},
               {"words", listOf([&](const YamlNode& node) { wordRule(node); })},
               {"network", listOf([&](const YamlNode& node) { actionRule(node, rules_.network); })},
               {"processes",
                listOf([&](const YamlNode& node) { actionRule(node, rules_.processes); })},
           });
  }

  // What a built-in file says of one program.
  static void read(const Program& program, const RuleSet& rules) {
    const Source source{"built in", {}, program.packed_};
    RuleSet none;
    RuleReader reader(none, source, /*proven=*/true);
    reader.specs_ = &program.specs_;
    reader.spec(unpackYaml(program.packed_), program.id(), nullptr);
    resolveLanguages(rules, program.specs_);
  }

  // Names of languages used, with where, to be resolved when all files are read.
  struct Use {
    std::string name;
    Place place;
  };
  const std::vector<Use>& uses() const { return uses_; }
  const Source& source() const { return source_; }

 private:
  using Handlers = std::vector<std::pair<std::string_view, std::function<void(const YamlNode&)>>>;

  [[noreturn]] void fail(const YamlNode& node, const std::string& why,
                         std::string remedy = {}) const {
    throw source_.error(node.place, why, std::move(remedy));
  }

  // --- values ---

  void fields(const YamlNode& node, const Handlers& handlers) const {
    if (node.kind == Kind::kNull) return;
    if (node.kind != Kind::kMap) fail(node, "a map of keys and values is expected here");
    for (const auto& [key, value] : node.entries()) {
      const auto found =
          std::find_if(handlers.begin(), handlers.end(),
                       [&, &name = key.text](const auto& each) { return each.first == name; });
      if (found != handlers.end()) {
        found->second(value);
        continue;
      }
      std::vector<std::string_view> known;
      for (const auto& each : handlers) known.push_back(each.first);
      const std::string_view near = nearest(key.text, known);
      fail(key, "there is no key '" + key.text + "' here",
           near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
    }
  }

  const std::string& word(const YamlNode& node) const {
    if (node.kind != Kind::kScalar) fail(node, "a word is expected here");
    return node.text;
  }

  // A list; a single value is a list of one.
  static std::vector<std::reference_wrapper<const YamlNode>> list(const YamlNode& node) {
    if (node.kind == Kind::kNull) return {};
    if (node.kind != Kind::kList) return {node};
    return {node.items.begin(), node.items.end()};
  }

  std::vector<std::string> words(const YamlNode& node) const {
    std::vector<std::string> result;
    for (const YamlNode& each : list(node)) result.push_back(word(each));
    return result;
  }

  void append(std::vector<std::string>& to, const YamlNode& node) const {
    for (std::string& each : words(node)) to.push_back(std::move(each));
  }

  bool yes(const YamlNode& node) const {
    if (word(node) == "true") return true;
    if (word(node) == "false") return false;
    fail(node, "true or false is expected here");
  }

  std::optional<unsigned> number(std::string_view text) const {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
    return value;
  }

  ClassSet classes(const YamlNode& node) const {
    ClassSet set;
    for (const YamlNode& each : list(node)) {
      const std::optional<Class> found = classByName(word(each));
      if (!found) {
        const std::string_view near = nearest(
            each.text, std::vector<std::string_view>(kClassNames.begin(), kClassNames.end()));
        fail(each, "there is no class '" + each.text + "'",
             near.empty() ? "the classes are: " + ClassSet::all().text()
                          : "did you mean '" + std::string(near) + "'?");
      }
      set.add(*found);
    }
    return set;
  }

  std::unique_ptr<Regex> regex(const YamlNode& node) const {
    auto result = std::make_unique<Regex>(word(node));
    if (!proven_ && !result->get().ok()) {
      fail(node, "not a regular expression (RE2): " + result->get().error());
    }
    return result;
  }

  bool hasGroup(const Regex& regex) const {
    return proven_ || regex.get().NumberOfCapturingGroups() > 0;
  }

  std::unique_ptr<Regex> globs(const YamlNode& node) const {
    std::string pattern;
    for (const YamlNode& each : list(node)) {
      if (!pattern.empty()) pattern += '|';
      pattern += globRegex(word(each));
    }
    auto result = std::make_unique<Regex>(pattern);
    if (!proven_ && !result->get().ok()) fail(node, "these globs are too large");
    return result;
  }

  void matcher(const YamlNode& node, Matcher& matcher, Handlers more = {}) const {
    if (node.kind != Kind::kMap) {
      matcher.is = words(node);
      return;
    }
    more.insert(more.end(),
                {{"is", [&](const YamlNode& value) { matcher.is = words(value); }},
                 {"glob", [&](const YamlNode& value) { matcher.glob = globs(value); }},
                 {"regex", [&](const YamlNode& value) { matcher.regex = regex(value); }}});
    fields(node, more);
  }

  std::vector<OptionId> optionIds(const YamlNode& node, Spec& spec) const {
    std::vector<OptionId> ids;
    for (const YamlNode& each : list(node)) ids.push_back(spec.options.add(option(each)));
    return ids;
  }

  const std::string& option(const YamlNode& node) const {
    if (word(node).size() < 2 || (node.text[0] != '-' && node.text[0] != '+')) {
      fail(node, "'" + node.text + "' is not an option", "options begin with '-'");
    }
    return node.text;
  }

  Designators designators(const YamlNode& node, Spec& spec) const {
    Designators result;
    for (const YamlNode& each : list(node)) {
      const std::string& text = word(each);
      Designator next;
      if (text == "operands") {
        next.kind = Designator::Kind::kOperands;
      } else if (text == "last") {
        next.kind = Designator::Kind::kLast;
      } else if (text.starts_with('-')) {
        next.kind = Designator::Kind::kOption;
        next.option = spec.options.add(option(each));
      } else if (text.ends_with('=')) {
        next.kind = Designator::Kind::kPrefix;
        next.prefix = text;
      } else if (const std::optional<unsigned> index = number(text)) {
        next.kind = Designator::Kind::kIndex;
        next.index = *index;
      } else {
        fail(each, "'" + text + "' names no arguments",
             "write 'operands', 'last', the number of an operand, an option, or a prefix that "
             "ends in '='");
      }
      result.push_back(std::move(next));
    }
    return result;
  }

  std::string language(const YamlNode& node) {
    uses_.push_back({word(node), node.place});
    return node.text;
  }

  // --- programs ---

  // All but what is said of the programs.
  static YamlNode unpackFile(std::string_view packed) {
    YamlNode root = unpackYaml(packed, 1);
    for (size_t i = 0; i < root.keys.size(); ++i)
      root.items[i] = unpackYaml(root.items[i].packed, root.keys[i].text == "programs" ? 1 : kAllLevels);
    return root;
  }

  void programs(const YamlNode& node) {
    if (node.kind != Kind::kMap) fail(node, "programs are a map of names and rules");
    for (const auto& [key, value] : node.entries()) {
      rules_.all.push_back(std::make_unique<Program>(split(key.text, '|').front(), value.packed));
      const Program& added = *rules_.all.back();
      if (value.packed.empty()) {
        specs_ = &added.specs_;
        spec(value, added.id(), nullptr);
      }
      for (const std::string& name : names(key, value)) {
        if (name.empty()) fail(key, "a program's name is empty");
        if (isGlob(name)) {
          rules_.programGlobs.emplace_back(std::make_unique<Regex>(globRegex(name)), &added);
        } else {
          rules_.programs[name].push_back(&added);
        }
      }
    }
  }

  // The alternatives of the key, and what `names` adds.
  std::vector<std::string> names(const YamlNode& key, const YamlNode& value) const {
    std::vector<std::string> result = split(key.text, '|');
    const YamlNode unpacked = value.packed.empty() ? YamlNode() : unpackYaml(value.packed, 1);
    for (const auto& [field, list] : (value.packed.empty() ? value : unpacked).entries()) {
      if (field.text == "names") append(result, list.packed.empty() ? list : unpackYaml(list.packed));
    }
    return result;
  }

  const Spec* spec(const YamlNode& node, const std::string& id, const Spec* parent) {
    specs_->push_back(std::make_unique<Spec>());
    Spec& spec = *specs_->back();
    spec.id = spec.base.id = id;
    if (node.kind != Kind::kMap) {
      spec.base.classes = classes(node);
      if (parent != nullptr) inherit(spec, *parent);
      return &spec;
    }
    // Options first: what follows refers to them. Subcommands last: they inherit.
    const YamlNode* subcommandsNode = nullptr;
    Handlers handlers = {
        {"names", [](const YamlNode&) {}},
        {"options", [](const YamlNode&) {}},
        {"text", [&](const YamlNode& value) { spec.text = designators(value, spec); }},
        {"applets", [&](const YamlNode& value) { spec.applets = yes(value); }},
        {"assignments", [&](const YamlNode& value) { spec.assignments = yes(value); }},
        {"rules", [&](const YamlNode& value) { rules(value, spec, spec.rules); }},
        {"first", [&](const YamlNode& value) { rules(value, spec, spec.first); }},
        {"subcommands", [&](const YamlNode& value) { subcommandsNode = &value; }},
        {"otherwise", [&](const YamlNode& value) { spec.otherwise = classes(value); }},
    };
    addEffects(handlers, spec, spec.base);
    for (const auto& [key, value] : node.entries()) {
      if (key.text == "options") options(value, spec);
    }
    if (parent != nullptr) inherit(spec, *parent);
    fields(node, handlers);
    if (subcommandsNode != nullptr) subcommands(*subcommandsNode, spec);
    // A nested command's options are its own.
    const std::vector<const Run*> runs = runsOf(spec);
    const bool wrapper = std::any_of(runs.begin(), runs.end(), [](const Run* each) {
      return each->from == Run::From::kOperands;
    });
    if ((spec.hasSubcommands || wrapper) && !spec.everywhere) {
      spec.options.stopAfter = std::min(spec.options.stopAfter, 1u);
    }
    return &spec;
  }

  static std::vector<const Run*> runsOf(const Spec& spec) {
    std::vector<const Run*> runs;
    auto add = [&](const Rule& rule) {
      for (const Run& each : rule.runs) runs.push_back(&each);
    };
    add(spec.base);
    for (const Rule& rule : spec.rules) add(rule);
    for (const Rule& rule : spec.first) add(rule);
    return runs;
  }

  static void inherit(Spec& spec, const Spec& parent) {
    if (!parent.everywhere) return;
    spec.options.addAll(parent.options);
    spec.options.wholeWords |= parent.options.wholeWords;
    spec.everywhere = true;
  }

  void options(const YamlNode& node, Spec& spec) const {
    auto add = [&](OptionValue value) {
      return [this, &spec, value](const YamlNode& names) {
        for (const YamlNode& each : list(names)) spec.options.add(option(each), value);
      };
    };
    fields(node,
           {
               {"values", add(OptionValue::kRequired)},
               {"optional", add(OptionValue::kOptional)},
               {"flags", add(OptionValue::kNone)},
               {"words", [&](const YamlNode& value) { spec.options.wholeWords = yes(value); }},
               {"stop",
                [&](const YamlNode& value) {
                  const std::optional<unsigned> operands = number(word(value));
                  if (operands && *operands > 0) {
                    spec.options.stopAfter = *operands;
                  } else if (yes(value)) {
                    spec.options.stopAfter = 1;
                  }
                }},
               {"everywhere", [&](const YamlNode& value) { spec.everywhere = yes(value); }},
           });
  }

  void subcommands(const YamlNode& node, Spec& spec) {
    if (node.kind != Kind::kMap) fail(node, "subcommands are a map of names and rules");
    spec.hasSubcommands = true;
    for (const auto& [key, value] : node.entries()) {
      const Spec* added = this->spec(value, spec.id + ' ' + split(key.text, '|').front(), &spec);
      for (const std::string& name : names(key, value)) {
        if (isGlob(name)) {
          spec.subcommandGlobs.emplace_back(std::make_unique<Regex>(globRegex(name)), added);
        } else if (!spec.subcommands.emplace(name, added).second) {
          fail(key, "the subcommand '" + name + "' is there twice");
        }
      }
    }
  }

  void addEffects(Handlers& handlers, Spec& spec, Rule& rule) {
    handlers.insert(
        handlers.end(),
        {{"classes", [&](const YamlNode& value) { rule.classes = classes(value); }},
         {"reads", [&](const YamlNode& value) { rule.reads = designators(value, spec); }},
         {"writes", [&](const YamlNode& value) { rule.writes = designators(value, spec); }},
         {"deletes", [&](const YamlNode& value) { rule.deletes = designators(value, spec); }},
         {"runs", [&](const YamlNode& value) {
            for (const YamlNode& each : list(value)) rule.runs.push_back(run(each, spec));
          }}});
  }

  void rules(const YamlNode& node, Spec& spec, std::vector<Rule>& to) {
    const std::string kind = &to == &spec.first ? " first " : " rule ";
    for (const YamlNode& each : list(node)) {
      to.push_back(rule(each, spec, kind + std::to_string(to.size() + 1)));
    }
  }

  // `ordinal`: which of its list it is, to name it by if nothing else does.
  Rule rule(const YamlNode& node, Spec& spec, const std::string& ordinal) {
    Rule rule;
    if (node.kind != Kind::kMap) fail(node, "a rule is a map");
    std::string shownOption;
    Handlers handlers = {
        {"id", [&](const YamlNode& value) { rule.id = word(value); }},
        {"options",
         [&](const YamlNode& value) {
           rule.options = optionIds(value, spec);
           if (!rule.options.empty()) shownOption = words(value).front();
         }},
        {"without", [&](const YamlNode& value) { rule.without = optionIds(value, spec); }},
        {"operands", [&](const YamlNode& value) { operandCount(value, rule); }},
        {"operand",
         [&](const YamlNode& value) {
           rule.operand.emplace();
           matcher(value, *rule.operand, {{"at", [&](const YamlNode& at) {
                                             rule.at = number(word(at));
                                             if (!rule.at)
                                               fail(at, "'at' is the number of an operand, from 0");
                                           }}});
         }},
        {"value",
         [&](const YamlNode& value) {
           rule.value.emplace();
           matcher(value, *rule.value, {{"of", [&](const YamlNode& of) {
                                           rule.valueOf = optionIds(of, spec);
                                           shownOption = words(of).front();
                                         }}});
           if (rule.valueOf.empty())
             fail(value, "'value' needs 'of', the options whose value it is");
         }},
        {"input", [&](const YamlNode& value) { input(value, rule); }},
        {"empties", [&](const YamlNode& value) { rule.empties = yes(value); }},
    };
    addEffects(handlers, spec, rule);
    fields(node, handlers);
    if (rule.id.empty()) rule.id = spec.id + (shownOption.empty() ? ordinal : ' ' + shownOption);
    return rule;
  }

  // "2", "1+" or "0-2"
  void operandCount(const YamlNode& node, Rule& rule) const {
    std::string_view text = word(node);
    const size_t dash = text.find('-');
    if (text.ends_with('+')) {
      rule.least = number(text.substr(0, text.size() - 1));
    } else if (dash != std::string_view::npos) {
      rule.least = number(text.substr(0, dash));
      rule.most = number(text.substr(dash + 1));
    } else {
      rule.least = rule.most = number(text);
    }
    if (!rule.least || (!text.ends_with('+') && !rule.most)) {
      fail(node, "a number of operands is 2, 1+ or 0-2");
    }
  }

  void input(const YamlNode& node, Rule& rule) const {
    static constexpr std::array<std::string_view, 4> kNames = {"none", "pipe", "file", "here"};
    for (const YamlNode& each : list(node)) {
      const auto* found = std::find(kNames.begin(), kNames.end(), word(each));
      if (found == kNames.end()) fail(each, "standard input is none, pipe, file or here");
      rule.input.push_back(static_cast<InputKind>(found - kNames.begin()));
    }
  }

  Run run(const YamlNode& node, Spec& spec) {
    Run run;
    unsigned sources = 0;
    auto index = [&](const YamlNode& value) {
      if (word(value) == "last") return Run::kLastOperand;
      const std::optional<unsigned> parsed = number(value.text);
      if (!parsed) fail(value, "the number of an operand is expected here, from 0");
      return *parsed;
    };
    auto from = [&](Run::From kind) {
      run.from = kind;
      ++sources;
    };
    fields(node,
           {
               {"operands",
                [&](const YamlNode& value) {
                  from(Run::From::kOperands);
                  run.index = index(value);
                }},
               {"operand",
                [&](const YamlNode& value) {
                  from(Run::From::kOperand);
                  run.index = index(value);
                }},
               {"rest",
                [&](const YamlNode& value) {
                  from(Run::From::kRest);
                  run.index = index(value);
                }},
               {"values",
                [&](const YamlNode& value) {
                  from(Run::From::kValues);
                  run.options = optionIds(value, spec);
                }},
               {"after",
                [&](const YamlNode& value) {
                  from(Run::From::kAfter);
                  run.after = words(value);
                }},
               {"document",
                [&](const YamlNode& value) {
                  if (yes(value)) from(Run::From::kDocument);
                }},
               {"until", [&](const YamlNode& value) { run.until = words(value); }},
               {"capture",
                [&](const YamlNode& value) {
                  run.capture = regex(value);
                  if (!hasGroup(*run.capture)) fail(value, "'capture' needs a group");
                }},
               {"appends", [&](const YamlNode& value) { run.appends = yes(value); }},
               {"language", [&](const YamlNode& value) { run.languageName = language(value); }},
           });
    if (sources != 1) {
      fail(node, "'runs' needs one of operands, operand, rest, values, after and document");
    }
    const bool command = run.from == Run::From::kOperands || run.from == Run::From::kAfter;
    if (run.languageName.empty()) run.languageName = command ? "command" : "shell";
    return run;
  }

  // --- the other sections ---

  void languages(const YamlNode& node) {
    if (node.kind != Kind::kMap) fail(node, "languages are a map of names and patterns");
    for (const auto& [key, value] : node.entries()) {
      if (key.text == "command" || key.text == "shell" || rules_.languages.contains(key.text)) {
        fail(key, "the language '" + key.text + "' is there already");
      }
      auto language = std::make_unique<Language>();
      language->id = key.text;
      auto patterns = [&](std::vector<Language::Pattern>& to) {
        return [&](const YamlNode& each) {
          for (const YamlNode& item : list(each)) to.push_back(pattern(item));
        };
      };
      fields(value, {{"rules", patterns(language->rules)}, {"first", patterns(language->first)}});
      rules_.languages.emplace(key.text, std::move(language));
    }
  }

  Language::Pattern pattern(const YamlNode& node) {
    Language::Pattern result;
    fields(node, {
                     {"id", [&](const YamlNode& value) { result.id = word(value); }},
                     {"regex", [&](const YamlNode& value) { result.regex = regex(value); }},
                     {"classes", [&](const YamlNode& value) { result.classes = classes(value); }},
                     {"runs", [&](const YamlNode& value) { result.runsName = language(value); }},
                     {"file",
                      [&](const YamlNode& value) {
                        result.writes = word(value) == "write";
                        result.reads = word(value) == "read";
                        if (!result.writes && !result.reads) fail(value, "'file' is read or write");
                      }},
                 });
    if (result.regex == nullptr) fail(node, "a pattern needs a 'regex'");
    const bool group = !result.runsName.empty() || result.writes || result.reads;
    if (group && !hasGroup(*result.regex)) {
      fail(node, "'runs' and 'file' need a group in the regex");
    }
    if (result.id.empty()) fail(node, "a pattern of a language needs an 'id'");
    return result;
  }

  template <size_t N>
  uint8_t bits(const YamlNode& node, const std::array<std::string_view, N>& names) const {
    unsigned result = 0;
    for (const YamlNode& each : list(node)) {
      const auto* found = std::find(names.begin(), names.end(), word(each));
      if (found == names.end()) {
        std::string all;
        for (std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
        fail(each, "'" + each.text + "' is not one of: " + all);
      }
      result |= 1u << (found - names.begin());
    }
    return static_cast<uint8_t>(result);
  }

  void fileRule(const YamlNode& node, std::vector<std::pair<std::string, size_t>>& patterns) {
    static constexpr std::array<std::string_view, 4> kAccess = {"mention", "read", "write",
                                                                "delete"};
    static constexpr std::array<std::string_view, 3> kWhere = {"operand", "redirection", "action"};
    FileRule rule;
    std::vector<std::string> paths;
    fields(node, {
                     {"id", [&](const YamlNode& value) { rule.id = word(value); }},
                     {"paths", [&](const YamlNode& value) { paths = words(value); }},
                     {"except", [&](const YamlNode& value) { rule.except = globs(value); }},
                     {"access", [&](const YamlNode& value) { rule.access = bits(value, kAccess); }},
                     {"where", [&](const YamlNode& value) { rule.where = bits(value, kWhere); }},
                     {"classes", [&](const YamlNode& value) { rule.classes = classes(value); }},
                 });
    if (rule.id.empty()) fail(node, "a file rule needs an 'id'");
    if (paths.empty()) fail(node, "a file rule needs 'paths'");
    for (const std::string& path : paths)
      patterns.emplace_back(globRegex(path), rules_.files.size());
    rules_.files.push_back(std::move(rule));
  }

  void variableRule(const YamlNode& node) {
    VariableRule rule;
    fields(node, {
                     {"id", [&](const YamlNode& value) { rule.id = word(value); }},
                     {"names", [&](const YamlNode& value) { matcher(value, rule.names); }},
                     {"when",
                      [&](const YamlNode& value) {
                        rule.expansion = word(value) == "used";
                        if (!rule.expansion && value.text != "set")
                          fail(value, "'when' is set or used");
                      }},
                     {"unless", [&](const YamlNode& value) { rule.unless = regex(value); }},
                     {"classes", [&](const YamlNode& value) { rule.classes = classes(value); }},
                     {"runs", [&](const YamlNode& value) { rule.runsName = language(value); }},
                 });
    if (rule.id.empty()) fail(node, "a variable rule needs an 'id'");
    rules_.variables.push_back(std::move(rule));
  }

  void wordRule(const YamlNode& node) {
    WordRule rule;
    fields(node, {
                     {"id", [&](const YamlNode& value) { rule.id = word(value); }},
                     {"regex", [&](const YamlNode& value) { rule.regex = regex(value); }},
                     {"classes", [&](const YamlNode& value) { rule.classes = classes(value); }},
                 });
    if (rule.id.empty() || rule.regex == nullptr) fail(node, "a word rule needs 'id' and 'regex'");
    rules_.words.push_back(std::move(rule));
  }

  void actionRule(const YamlNode& node, std::vector<ActionRule>& to) {
    ActionRule rule;
    fields(node, {
                     {"id", [&](const YamlNode& value) { rule.id = word(value); }},
                     {"action", [&](const YamlNode& value) { matcher(value, rule.actions); }},
                     {"target", [&](const YamlNode& value) { matcher(value, rule.targets); }},
                     {"numbers",
                      [&](const YamlNode& value) {
                        for (const YamlNode& each : list(value)) {
                          const std::vector<std::string> ends = split(word(each), '-');
                          const std::optional<unsigned> low = number(ends.front()),
                                                        high = number(ends.back());
                          if (!low || !high || *low > *high || ends.size() > 2) {
                            fail(each, "a number or a range as 1-1023 is expected here");
                          }
                          rule.numbers.emplace_back(*low, *high);
                        }
                      }},
                     {"classes", [&](const YamlNode& value) { rule.classes = classes(value); }},
                 });
    if (rule.id.empty()) fail(node, "an action rule needs an 'id'");
    to.push_back(std::move(rule));
  }

  RuleSet& rules_;
  const Source& source_;
  bool proven_;
  std::vector<std::unique_ptr<Spec>>* specs_ = nullptr;  // where those of the program at hand go
  std::vector<Use> uses_;
};

namespace {

const Language* resolve(const RuleSet& rules, const std::string& name) {
  const auto found = rules.languages.find(name);
  return found == rules.languages.end() ? nullptr : found->second.get();
}

void resolveLanguages(const RuleSet& rules, std::vector<std::unique_ptr<Spec>>& specs) {
  auto resolveRuns = [&](Rule& rule) {
    for (Run& run : rule.runs) run.language = resolve(rules, run.languageName);
  };
  for (const auto& spec : specs) {
    resolveRuns(spec->base);
    for (Rule& rule : spec->rules) resolveRuns(rule);
    for (Rule& rule : spec->first) resolveRuns(rule);
  }
}

void resolveLanguages(RuleSet& rules) {
  for (auto& [name, language] : rules.languages) {
    for (auto* patterns : {&language->rules, &language->first}) {
      for (Language::Pattern& pattern : *patterns) pattern.runs = resolve(rules, pattern.runsName);
    }
  }
  for (VariableRule& rule : rules.variables) rule.runs = resolve(rules, rule.runsName);
}

}  // namespace

const Spec& Program::spec(const RuleSet& rules) const {
  std::call_once(once_, [&] {
    if (packed_.empty()) {
      resolveLanguages(rules, specs_);
    } else {
      RuleReader::read(*this, rules);
    }
  });
  return *specs_.front();
}

std::unique_ptr<const RuleSet> loadRules(const std::vector<Source>& files, size_t proven) {
  auto rules = std::make_unique<RuleSet>();
  std::vector<std::pair<std::string, size_t>> filePatterns;
  std::vector<RuleReader> readers;
  readers.reserve(files.size());
  for (const Source& file : files) {
    readers.emplace_back(*rules, file, readers.size() < proven).file(filePatterns);
  }
  for (const RuleReader& reader : readers) {
    for (const RuleReader::Use& use : reader.uses()) {
      if (use.name == "command" || use.name == "shell" || rules->languages.contains(use.name))
        continue;
      std::vector<std::string_view> known = {"command", "shell"};
      for (const auto& each : rules->languages) known.push_back(each.first);
      const std::string_view near = nearest(use.name, known);
      throw reader.source().error(use.place, "there is no language '" + use.name + "'",
                                  near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
    }
  }
  resolveLanguages(*rules);

  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(32 << 20);
  options.set_dot_nl(true);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  rules->filePaths = std::make_unique<re2::RE2::Set>(options, re2::RE2::ANCHOR_BOTH);
  for (const auto& [pattern, file] : filePatterns) {
    if (rules->filePaths->Add(pattern, nullptr) < 0) {
      throw Error(ExitCode::kPolicy, "the path '" + pattern + "' of a rule file is too large");
    }
    rules->fileOfPattern.push_back(static_cast<uint32_t>(file));
  }
  if (!rules->filePaths->Compile()) {
    throw Error(ExitCode::kPolicy, "the paths of the rule files are too many",
                "use fewer or simpler globs");
  }
  return rules;
}

}  // namespace airr::classify
