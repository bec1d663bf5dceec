// Bounds of policies: outside of them nothing can run, whatever the facts are.
#include "policies/bounds.h"

#include <gtest/gtest.h>

#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

using Trees = std::vector<std::string>;

Policy parse(const std::string& rules) {
  return policyOf(rules);
}
std::string rule(const std::string& condition, const std::string& verdict = "allow") {
  static int number = 0;
  return "- rule: r" + std::to_string(++number) + "\n  condition: " + condition + "\n  verdict: " + verdict + "\n";
}

TEST(Bounds, AreTheTreesOfAllThatPermits) {
  const Policy policy = parse(rule("action = create and path under (/a, /b/c) and exe.name = x") +
                              rule("(path = /d/e or path startswith /f/g) and action in writes", "approve") +
                              rule("action = create and path glob /h/*/x") +
                              rule("action = create and path under /a/inside") +
                              rule("action = create and path under /no", "blocked"));
  EXPECT_EQ(boundsOf(policy, ActionKind::kCreate), (Trees{"/a", "/b/c", "/d/e", "/f", "/h"}));
  EXPECT_EQ(boundsOf(policy, ActionKind::kUnlink), (Trees{"/d/e", "/f"}));
  EXPECT_EQ(boundsOf(policy, ActionKind::kExec), Trees{});
}

TEST(Bounds, AreNotKnownIfAnythingPermitsElsewhere) {
  const std::string bounded = rule("action = create and path under /a");
  for (const char* condition :
       {"always", "action = create", "action = create and not path under /a", "path.name = x",
        "action = create and (path under /a or exe.name = x)", "path under /", "path glob '**/x'",
        "path glob /*", "path regex ^/a/", "path != /a", "path exists"})
    EXPECT_EQ(boundsOf(parse(bounded + rule(condition)), ActionKind::kCreate), std::nullopt) << condition;
}

TEST(Bounds, ReadOnlyPermitsNoWrite) {
  const Policy policy = parse(rule("action in (create, exec)", "read-only"));
  EXPECT_EQ(boundsOf(policy, ActionKind::kCreate), Trees{});
  EXPECT_EQ(boundsOf(policy, ActionKind::kExec), std::nullopt);
}

TEST(Bounds, OfStockPolicies) {
  for (const char* name : {"developer", "offline", "read-only", "strict"}) {
    const Policy policy = Policy::load(name, exampleBindings());
    const auto bounds = boundsOf(policy, ActionKind::kCreate);
    ASSERT_TRUE(bounds) << name;
    for (const char* path : {"/etc/passwd", "/home/user/.bashrc", "/usr/bin/x"})
      for (const std::string& tree : *bounds) EXPECT_FALSE(isUnder(path, tree)) << name << ": " << tree;
  }
  EXPECT_EQ(boundsOf(Policy::load("observe", exampleBindings()), ActionKind::kCreate), std::nullopt);
}

TEST(Bounds, WhatCanBePermittedWithSomeFacts) {
  Action action;
  action.kind = ActionKind::kSignal;
  action.inside = false;
  action.set(Fact::kInside);
  EXPECT_FALSE(canPermit(parse(rule("action = signal and inside")), action));
  EXPECT_TRUE(canPermit(parse(rule("action = signal and exe.name = x")), action));
  EXPECT_TRUE(canPermit(parse(rule("always", "approve")), action));
  EXPECT_FALSE(canPermit(parse(rule("always") + rule("action = signal", "blocked")), action));
}

}  // namespace
}  // namespace airr::policies
