#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "policies/classify/classifier.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

using classify::Class;
using classify::Classification;
using classify::ClassSet;
using nlohmann::json;

struct Options {
  std::string script;
  std::vector<std::string> ruleFiles;
  bool asJson = false;
};

classify::Source readRules(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  classify::Source source{path, {std::istreambuf_iterator<char>(file), {}}};
  if (!file) throw Error(ExitCode::kPolicy, "the rule file " + inQuotes(path) + " cannot be read");
  return source;
}

json names(ClassSet set) {
  json list = json::array();
  for (size_t i = 0; i < classify::kClassNames.size(); ++i) {
    if (set.has(static_cast<Class>(i))) list.push_back(classify::kClassNames[i]);
  }
  return list;
}

void printJson(const Classification& result) {
  json why = json::array();
  for (const classify::Signal& signal : result.why) {
    why.push_back({{"classes", names(signal.classes)},
                   {"rule", signal.rule},
                   {"words", jsonText(signal.words)}});
  }
  std::cout << dump({{"classes", names(result.classes)}, {"why", why}}) << '\n';
}

void print(const Classification& result) {
  std::cout << result.classes.text() << '\n';
  for (const classify::Signal& signal : result.why) {
    std::cout << "  " << signal.classes.text() << ": " << printable(signal.rule);
    if (!signal.words.empty()) std::cout << ", by " << inQuotes(signal.words);
    std::cout << '\n';
  }
}

}  // namespace

Command addClassify(CLI::App& app, const std::vector<std::string>& program) {
  auto options = std::make_shared<Options>();
  app.footer("The command goes after --, as in: airr classify -- git push origin main");
  CLI::Option* script = app.add_option("--shell", options->script, "Classify a shell script");
  app.add_option("--rules", options->ruleFiles, "A rule file beside the built-in ones; repeatable")
      ->allow_extra_args(false);
  app.add_flag("--json", options->asJson, "Print one JSON object");
  return [options, script, &program] {
    const bool hasScript = script->count() > 0;
    if (hasScript == !program.empty()) {
      throw Error(ExitCode::kFailure, "classify needs a command after -- or a script after --shell",
                  "as in: airr classify -- git push");
    }
    std::vector<classify::Source> more;
    for (const std::string& path : options->ruleFiles) more.push_back(readRules(path));
    const classify::Classifier classifier(more);
    const Classification result = hasScript ? classifier.classifyScript(options->script)
                                            : classifier.classify({program, {}, {}});
    options->asJson ? printJson(result) : print(result);
    return 0;
  };
}

}  // namespace airr::tools
