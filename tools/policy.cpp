// airr policy: what a policy says, whether it is well-formed, and why it decides as it does.
#include "policies/policy.h"


#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "policies/action_text.h"
#include "policies/explain.h"
#include "policies/format.h"
#include "policies/stock.h"
#include "replayer/judge.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/subcommands.h"
#include "tools/identity_option.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

using policies::Policy;

struct Options {
  std::vector<std::string> policies, traces, identities;
  std::string policy, action;
  bool strict = false, checkOnly = false;
};

Policy load(const std::string& name) { return Policy::load(name, policies::bindingsHere()); }

// Rules without an example on either side.
std::vector<std::string> warningsOf(const Policy& policy) {
  std::vector<std::string> warnings;
  std::vector<unsigned> seen(policy.rules().size());
  for (const auto& example : policy.examples()) seen[example.rule] |= example.matches ? 1 : 2;
  for (size_t i = 0; i < seen.size(); ++i) {
    const policies::Rule& rule = policy.rules()[i];
    const bool always = rule.condition->kind == policies::Expression::Kind::kAlways;
    if (seen[i] == 3 || always) continue;
    warnings.push_back(policy.source().name + ":" + std::to_string(rule.place.line) + ": rule '" +
                       rule.name + "' has no example that must " +
                       (seen[i] & 1 ? "not match" : "match"));
  }
  return warnings;
}

int check(const Options& options) {
  int status = 0;
  for (const std::string& name : options.policies) {
    const Policy policy = load(name);
    const auto warnings = warningsOf(policy);
    for (const std::string& warning : warnings) std::cerr << printable(warning) << "\n";
    if (options.strict && !warnings.empty()) status = static_cast<int>(ExitCode::kPolicy);
    std::cout << printable(policy.source().name) << ": policy '" << policy.name() << "', "
              << plural(policy.rules().size(), "rule") << ", "
              << plural(policy.examples().size(), "example") << ", "
              << plural(policy.tests().size(), "test") << "\n";
  }
  return status;
}

int test(const Options& options) {
  size_t failures = 0, count = 0;
  for (const std::string& name : options.policies) {
    const Policy policy = load(name);  // checks the examples
    count += policy.examples().size();
    const Policy bound = Policy::parse(policy.source(), policies::exampleBindings());
    for (const auto& one : bound.tests()) {
      ++count;
      const std::string failure = failureOf(bound, one);
      if (failure.empty()) continue;
      ++failures;
      std::cout << "FAILED " << printable(bound.source().name) << ":" << one.place.line << ": "
                << printable(one.name) << ": " << printable(failure) << "\n";
    }
  }
  std::cout << plural(count, "check") << ", " << plural(failures, "failure") << "\n";
  return failures == 0 ? 0 : static_cast<int>(ExitCode::kPolicyTest);
}

int explain(const Options& options) {
  const Policy policy = load(options.policy);
  const policies::Source source{"action", options.action};
  const auto owned = policies::OwnedAction::parse(policies::parseYaml(source), source,
                                                  policies::bindingsHere(), policy);
  const std::string text = policies::explain(policy, owned.action());
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    std::cout << printable(text.substr(at, end - at)) << "\n";
    at = end + 1;
  }
  return 0;
}

int reformat(const Options& options) {
  int status = 0;
  for (const std::string& path : options.policies) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw systemError("cannot read '" + path + "'");
    policies::Source source{path, {std::istreambuf_iterator<char>(in), {}}};
    const std::string text = policies::format(source);
    if (text == source.text) continue;
    if (options.checkOnly) {
      std::cout << printable(path) << "\n";
      status = static_cast<int>(ExitCode::kPolicyTest);
      continue;
    }
    // Beside it first, so that a full disk leaves the old one.
    const std::string beside = path + ".new";
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out || std::rename(beside.c_str(), path.c_str()) != 0)
      throw systemError("cannot write '" + path + "'");
  }
  return status;
}

int learnFrom(const Options& options) {
  policies::Learner learner;
  policies::Bindings bindings;
  for (const std::string& trace : options.traces) {
    policies::Bindings own = learn(trace, learner, options.identities);
    if (trace == options.traces[0]) bindings = own;
    // A variable stands for one thing only.
    if (own.workspace != bindings.workspace) bindings.workspace.reset();
    if (own.home != bindings.home) bindings.home.reset();
    if (own.temporary != bindings.temporary) bindings.temporary.reset();
  }
  std::cout << learner.text("learned", bindings);
  if (learner.leftOut() != 0)
    std::cerr << "airr: " << learner.leftOut() << " actions without a path or of an odd name are left out.\n";
  return 0;
}

int list() {
  for (std::string_view name : policies::stockPolicyNames()) {
    const Policy policy = Policy::load(std::string(name), policies::exampleBindings());
    std::cout << name << std::string(12 - std::min<size_t>(name.size(), 11), ' ')
              << policy.description() << "\n";
  }
  return 0;
}

int show(const Options& options) {
  std::cout << load(options.policy).source().text;
  return 0;
}

int facts() {
  for (const policies::FactInfo& fact : policies::allFacts()) {
    std::string kinds;
    if (fact.kinds != policies::kEveryAction)
      for (unsigned i = 0; i < policies::kActionKinds; ++i)
        if (fact.kinds >> i & 1)
          kinds += (kinds.empty() ? "" : " ") +
                   std::string(toString(static_cast<policies::ActionKind>(i)));
    std::printf("%-18s %s\n", fact.name, fact.meaning);
    if (!kinds.empty()) std::printf("%-18s   of: %s\n", "", kinds.c_str());
    std::string values;
    for (const char* value : policies::valueNames(fact.fact))
      values += (values.empty() ? "" : " ") + std::string(value);
    if (!values.empty()) std::printf("%-18s   one of: %s\n", "", values.c_str());
  }
  std::fflush(stdout);
  return 0;
}

}  // namespace

Command addPolicy(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Subcommands<Options> commands(app, options);
  constexpr const char* kWhich = "A stock policy's name, or a file (with a '/' or a '.')";
  auto several = [&](CLI::App* sub, const char* what) {
    sub->add_option("policy", options->policies, what)->type_name("POLICY")->required();
  };
  CLI::App* checking =
      commands.add("check", "Say whether policies are well-formed and their examples hold.", check);
  several(checking, kWhich);
  checking->add_flag("--strict", options->strict, "Also fail for rules without examples");
  several(commands.add("test", "Run the tests and examples in policies.", test), kWhich);
  CLI::App* explaining = commands.add("explain", "Say why an action gets its verdict.", explain);
  explaining->add_option("policy", options->policy, kWhich)->type_name("POLICY")->required();
  explaining
      ->add_option("action", options->action,
                   "Facts in YAML, as '{action: open-read, path: /etc/passwd}'")
      ->type_name("ACTION")
      ->required();
  CLI::App* formatting =
      commands.add("fmt", "Lay out policy files in the one way; rewrites them.", reformat);
  several(formatting, "Files");
  formatting->add_flag("--check", options->checkOnly, "Only name the files that would change");
  CLI::App* learning =
      commands.add("learn", "Propose a policy that allows what recorded sessions did.", learnFrom);
  addIdentityOption(*learning, options->identities);
  learning->add_option("trace", options->traces, "Traces to learn from")
      ->type_name("TRACE")
      ->required();
  commands.add("list", "Name the stock policies.", [](const Options&) { return list(); });
  CLI::App* showing = commands.add("show", "Print a policy.", show);
  showing->add_option("policy", options->policy, kWhich)->type_name("POLICY")->required();
  commands.add("facts", "List the facts that conditions can test.", [](const Options&) { return facts(); });
  app.footer(
      "docs/policy.md is the reference of the language. Exit statuses: 115 for a policy that\n"
      "cannot be used, 117 for a failed test or a file that fmt --check would change.");
  return commands.command();
}

}  // namespace airr::tools
