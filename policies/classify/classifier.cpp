#include "policies/classify/classifier.h"

#include <algorithm>

#include "policies/classify/evaluation.h"
#include "policies/classify/rule_set.h"

namespace airr::classify {
namespace {

bool matchesAll(const Matcher& matcher) {
  return matcher.is.empty() && matcher.glob == nullptr && matcher.regex == nullptr;
}

Classification byRules(const std::vector<ActionRule>& rules, std::string_view action,
                       std::string_view target, unsigned number) {
  Classification result;
  for (const ActionRule& rule : rules) {
    if (!matchesAll(rule.actions) && !rule.actions.matches(action)) continue;
    if (!matchesAll(rule.targets) && !rule.targets.matches(target)) continue;
    const bool inRange = std::any_of(
        rule.numbers.begin(), rule.numbers.end(),
        [&](const auto& range) { return range.first <= number && number <= range.second; });
    if (!rule.numbers.empty() && !inRange) continue;
    result.classes.add(rule.classes);
    std::string words(action);
    words += ' ';
    words += target;
    if (number != 0) words += ' ' + std::to_string(number);
    result.why.push_back({rule.classes, rule.id, std::move(words)});
  }
  if (result.classes.empty()) {
    result.classes.add(Class::kUnknown);
    result.why.push_back({{Class::kUnknown}, "unknown-action", std::string(action)});
  }
  return result;
}

}  // namespace

Classifier::Classifier(const std::vector<Source>& more) {
  std::vector<Source> files = builtinRules();
  const size_t proven = files.size();
  files.insert(files.end(), more.begin(), more.end());
  rules_ = loadRules(files, proven);
}

Classifier::~Classifier() = default;

Classification Classifier::classify(const Invocation& invocation) const {
  Classification result;
  Evaluation evaluation(*rules_, result);
  for (const std::string& entry : invocation.environment) {
    const size_t equals = std::min(entry.find('='), entry.size());
    const std::string_view text = entry;
    evaluation.assignment(text.substr(0, equals), {text.substr(std::min(equals + 1, text.size()))});
  }
  std::vector<Argument> arguments;
  arguments.reserve(invocation.arguments.size());
  for (const std::string& argument : invocation.arguments) arguments.push_back({argument});
  evaluation.invocation(arguments.data(), arguments.size(), {invocation.executable});
  evaluation.finish();
  return result;
}

Classification Classifier::classifyScript(std::string_view script) const {
  Classification result;
  Evaluation evaluation(*rules_, result);
  evaluation.script(script, {});
  evaluation.finish();
  return result;
}

Classification Classifier::classifyFile(std::string_view path, FileUse use) const {
  Classification result;
  Evaluation evaluation(*rules_, result);
  static constexpr Access kAccess[] = {Access::kRead, Access::kWrite, Access::kDelete};
  evaluation.path(path, kAccess[static_cast<size_t>(use)], FileContext::kAction);
  evaluation.finish();
  return result;
}

Classification Classifier::classifyNetwork(const NetworkAction& action) const {
  return byRules(rules_->network, action.action, action.host, action.port);
}

Classification Classifier::classifyProcess(const ProcessAction& action) const {
  return byRules(rules_->processes, action.action, action.target, action.signal);
}

}  // namespace airr::classify
