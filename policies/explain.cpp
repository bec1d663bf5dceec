#include "policies/explain.h"

#include <algorithm>

#include "policies/action_text.h"

namespace airr::policies {
namespace {

const char* toString(Truth truth) {
  return truth == Truth::kTrue ? "yes" : truth == Truth::kFalse ? "no" : "unknown";
}

void addTests(const Expression& condition, const Action& action, const Policy& policy,
              unsigned depth, std::string& text) {
  std::string scratch;
  const std::string indent(2 * depth, ' ');
  const std::string answer = toString(condition.evaluate(action, scratch));
  switch (condition.kind) {
    case Expression::Kind::kAlways:
      text += indent + "yes      always\n";
      return;
    case Expression::Kind::kTest: {
      const Fact fact = condition.test.fact;
      std::string value = action.isUnknown(fact) ? "unknown" : Test::valueOf(fact, action);
      if (info(fact).type == FactType::kNames) {
        const NameSet set = fact == Fact::kLabels         ? action.labels
                            : fact == Fact::kObjectLabels ? action.objectLabels
                            : fact == Fact::kDegraded     ? action.degraded
                                                          : action.sessionLabels;
        value =
            policy.namesOf(set, fact == Fact::kDegraded ? policy.degradations() : policy.labels());
      } else if (!action.has(fact) && !action.isUnknown(fact)) {
        value = "absent";
      }
      text += indent + answer + std::string(9 - answer.size(), ' ') + condition.text + "   (" +
              info(fact).name + ": " + value + ")\n";
      return;
    }
    case Expression::Kind::kNot:
      text += indent + answer + std::string(9 - answer.size(), ' ') + "not:\n";
      break;
    case Expression::Kind::kAnd:
      text += indent + answer + std::string(9 - answer.size(), ' ') + "all of:\n";
      break;
    case Expression::Kind::kOr:
      text += indent + answer + std::string(9 - answer.size(), ' ') + "one of:\n";
      break;
  }
  for (const auto& part : condition.parts) addTests(*part, action, policy, depth + 1, text);
}

}  // namespace

std::string explain(const Policy& policy, const Action& action) {
  const Decision decision = policy.evaluate(action);
  std::string text = policy.reason(decision) + "\n\naction   " + describe(action, policy) + "\n";
  if (decision.labels != 0)
    text += "labels   " + policy.namesOf(decision.labels, policy.labels()) + "\n";
  if (decision.degrade != 0)
    text += "degrades " + policy.namesOf(decision.degrade, policy.degradations()) + "\n";
  if (decision.killSession) text += "ends the session\n";
  std::string scratch;
  size_t silent = 0;
  for (uint32_t number = 0; number < policy.rules().size(); ++number) {
    const Rule& rule = policy.rules()[number];
    const Truth truth = (rule.kinds & only(action.kind)) == 0
                            ? Truth::kFalse
                            : rule.condition->evaluate(action, scratch);
    const bool decides = std::ranges::find(decision.rules, number) != decision.rules.end();
    if (truth == Truth::kFalse && !decides) {
      ++silent;
      continue;
    }
    text += "\nrule '" + rule.name + "' (line " + std::to_string(rule.place.line) +
            "): " + (rule.verdict ? policies::toString(*rule.verdict) : "no verdict") +
            (decides ? ", decides" : "") + "\n";
    addTests(*rule.condition, action, policy, 1, text);
  }
  if (silent != 0) text += "\n" + std::to_string(silent) + " other rules do not match\n";
  return text;
}

}  // namespace airr::policies
