// Small policies and actions for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "policies/action_text.h"
#include "policies/policy.h"

namespace airr::policies {

inline Policy policyOf(const std::string& items, const Bindings& bindings = exampleBindings()) {
  return Policy::parse({"p.yaml", "- policy: test\n" + items}, bindings);
}

// One rule that allows what the condition matches.
inline Policy allowing(const std::string& condition) {
  return policyOf("- rule: only\n  condition: " + condition + "\n  verdict: allow\n");
}

inline OwnedAction actionOf(const std::string& facts, const Policy& policy) {
  const Source source{"action", facts};
  return OwnedAction::parse(parseYaml(source), source, exampleBindings(), policy);
}

inline Decision decide(const Policy& policy, const std::string& facts) {
  return policy.evaluate(actionOf(facts, policy).action());
}
inline Verdict verdictOf(const Policy& policy, const std::string& facts) {
  return decide(policy, facts).verdict;
}
inline bool matches(const std::string& condition, const std::string& facts) {
  return verdictOf(allowing(condition), facts) == Verdict::kAllow;
}

// The message of the Error with which the text is refused.
inline std::string refusal(const std::string& text) {
  try {
    Policy::parse({"p.yaml", text}, exampleBindings());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kPolicy) << error.what();
    return std::string(error.what()) + "|" + error.remedy();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 200);
  return {};
}

}  // namespace airr::policies
