// How rules make a verdict, and what is refused when a policy is loaded.
#include "policies/policy.h"

#include <algorithm>
#include <random>

#include "policies/explain.h"
#include "policies/stock.h"
#include "policies/yaml_tree.h"
#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

const std::string kLayers = R"(
- rule: all
  condition: always
  verdict: allow
- rule: reading
  condition: path under /a
  verdict: read-only
- rule: asking
  condition: path under /a/b
  verdict: approve
  expires: 10m
- rule: few tools
  condition: path under /a/b/c
  verdict: restricted
  tools: [/usr/bin/ls]
- rule: none
  condition: path under /a/b/c/d
  verdict: blocked
  errno: ENOENT
  reason: nobody goes there
)";

TEST(Policy, TheStrictestOfAllMatchingRulesWins) {
  const Policy policy = policyOf(kLayers);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: /x}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: /a}"), Verdict::kReadOnly);
  const Decision approve = decide(policy, "{action: open-read, path: /a/b}");
  EXPECT_EQ(approve.verdict, Verdict::kApprove);
  EXPECT_EQ(approve.approval.expires, std::chrono::minutes(10));
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: /a/b/c}"), Verdict::kRestricted);
  const Decision none = decide(policy, "{action: open-read, path: /a/b/c/d/e}");
  EXPECT_EQ(none.verdict, Verdict::kBlocked);
  EXPECT_EQ(none.error, ENOENT);
  EXPECT_EQ(none.rules, std::vector<uint32_t>{4});
  EXPECT_EQ(policy.reason(none), "blocked by 'none' (p.yaml:17): nobody goes there");
}

TEST(Policy, WhatNoRuleMatchesIsBlocked) {
  const Policy policy = allowing("action = exec");
  const Decision decision = decide(policy, "{action: open-read, path: /x}");
  EXPECT_EQ(decision.verdict, Verdict::kBlocked);
  EXPECT_EQ(decision.ground, Decision::Ground::kNoRule);
}

TEST(Policy, WhatIsUnknownIsBlockedUnlessItMakesNoDifference) {
  const Policy policy = policyOf(R"(
- rule: all
  condition: action = exec
  verdict: allow
- rule: bad
  condition: digest = 00
  verdict: blocked
- rule: harmless
  condition: file.owner = 0
  verdict: allow
)");
  EXPECT_EQ(verdictOf(policy, "{action: exec, path: /x, digest: 11}"), Verdict::kAllow);
  const Decision decision = decide(policy, "{action: exec, path: /x, unknown: digest}");
  EXPECT_EQ(decision.verdict, Verdict::kBlocked);
  EXPECT_EQ(decision.ground, Decision::Ground::kUnanswered);
  EXPECT_EQ(decision.missing, only(Fact::kDigest));
  EXPECT_EQ(decision.rules, std::vector<uint32_t>{1});
  EXPECT_EQ(verdictOf(policy, "{action: exec, path: /x, unknown: file.owner}"), Verdict::kAllow);
  // Kleene: false and unknown is false.
  EXPECT_EQ(
      verdictOf(policyOf("- rule: a\n  condition: always\n  verdict: allow\n"
                         "- rule: b\n  condition: digest = 00 and path = /y\n  verdict: blocked\n"),
                "{action: exec, path: /x, unknown: digest}"),
      Verdict::kAllow);
  EXPECT_EQ(verdictOf(policyOf(kLayers), "{action: open-read, unknown: path}"), Verdict::kBlocked);
}

TEST(Policy, TheOrderOfRulesMeansNothing) {
  std::mt19937 random(7);
  std::vector<std::string> rules;
  const char* verdicts[] = {"allow", "read-only", "approve", "blocked"};
  const char* errors[] = {"EPERM", "EACCES", "ENOENT"};
  for (int i = 0; i < 40; ++i)
    rules.push_back("- rule: r" + std::to_string(i) + "\n  condition: path under /" +
                    std::string(1, static_cast<char>('a' + random() % 4)) +
                    (random() % 2 ? "" : " or path.name = x") + "\n  verdict: " +
                    verdicts[random() % 4] + "\n  errno: " + errors[random() % 3] + "\n");
  auto text = [&] {
    std::string all;
    for (const auto& rule : rules) all += rule;
    return all;
  };
  const Policy first = policyOf(text());
  for (int round = 0; round < 10; ++round) {
    std::shuffle(rules.begin(), rules.end(), random);
    const Policy other = policyOf(text());
    for (const char* path : {"/a", "/b/x", "/c/d", "/d", "/e/x", "/e"}) {
      const std::string action = std::string("{action: open-read, path: ") + path + "}";
      const Decision one = decide(first, action), two = decide(other, action);
      EXPECT_EQ(one.verdict, two.verdict);
      EXPECT_EQ(one.error, two.error);
      EXPECT_EQ(one.rules.size(), two.rules.size());
    }
  }
}

// The index only leaves out what cannot match: the verdict is that of asking every rule.
TEST(Policy, TheIndexChangesNoVerdict) {
  std::mt19937 random(11);
  auto pick = [&](std::initializer_list<const char*> of) {
    return *(of.begin() + random() % of.size());
  };
  auto test = [&]() -> std::string {
    switch (random() % 9) {
      case 0:
        return std::string("path under ") + pick({"/a", "/a/b", "/c", "/"});
      case 1:
        return std::string("path = ") + pick({"/a/b", "/c/d", "/a"});
      case 2:
        return std::string("path.name in (") + pick({"b", "d"}) + ", e)";
      case 3:
        return std::string("path glob ") + pick({"/a/*", "**/d", "/c/**", "**/*.x"});
      case 4:
        return std::string("action = ") + pick({"open-read", "create", "connect"});
      case 5:
        return std::string("host = ") + pick({"10.0.0.1", "10.0.0.2"});
      case 6:
        return std::string("host.name contains ") + pick({"a.example", "b.example"});
      case 7:
        return std::string("path startswith ") + pick({"/a/b", "/c"});
      default:
        return std::string("port ") + pick({"= 80", "< 100", "!= 80"});
    }
  };
  for (int round = 0; round < 60; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      std::string condition = test();
      for (unsigned n = random() % 3; n > 0; --n)
        condition = (random() % 4 == 0 ? "not (" : "(") + condition + ") " + pick({"and", "or"}) +
                    " " + test();
      text += "- rule: r" + std::to_string(i) + "\n  condition: " + condition +
              "\n  verdict: " + pick({"allow", "approve", "blocked"}) + "\n";
    }
    const Policy policy = policyOf(text);
    for (const char* facts :
         {"{action: open-read, path: /a/b}", "{action: create, path: /c/d}",
          "{action: create, path: /z}", "{action: open-read, path: /a/b/c/t.x}",
          "{action: connect, host: 10.0.0.1, port: 80}",
          "{action: connect, host: 10.0.0.2, port: 99, host.name: [a.example, c.example]}",
          "{action: open-read, unknown: path}",
          "{action: connect, unknown: [host, host.name], port: 80}"}) {
      const OwnedAction owned = actionOf(facts, policy);
      std::optional<Verdict> strictest;
      bool unknown = false;
      for (const Rule& rule : policy.rules()) {
        std::string scratch;
        const Truth truth = rule.condition->evaluate(owned.action(), scratch);
        if (truth == Truth::kUnknown) unknown = true;
        if (truth == Truth::kTrue && (!strictest || *rule.verdict > *strictest))
          strictest = rule.verdict;
      }
      const Decision decision = policy.evaluate(owned.action());
      if (unknown && decision.ground == Decision::Ground::kUnanswered) continue;
      EXPECT_EQ(decision.verdict, strictest.value_or(Verdict::kBlocked)) << text << facts;
    }
  }
}

TEST(Policy, ListsAndMacrosReferToEachOther) {
  const Policy policy = policyOf(R"(
- macro: guarded
  condition: secret and not path.name = known_hosts
- macro: secret
  condition: path under $all
- list: all
  items: [$keys, /etc/shadow]
- list: keys
  items: [~/.ssh]
- rule: r
  condition: action = open-read and not guarded
  verdict: allow
)");
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: ~/.ssh/id}"), Verdict::kBlocked);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: ~/.ssh/known_hosts}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: open-read, path: /etc/shadow}"), Verdict::kBlocked);
  EXPECT_NE(refusal("- policy: p\n- macro: a\n  condition: b\n- macro: b\n  condition: a\n")
                .find("refers to itself"),
            std::string::npos);
  EXPECT_NE(refusal("- policy: p\n- list: a\n  items: [$b]\n- list: b\n  items: [$a]\n")
                .find("refers to itself"),
            std::string::npos);
}

TEST(Policy, ExamplesAreCheckedAtLoad) {
  const std::string head =
      "- policy: p\n- rule: r\n  condition: path under ${workspace}\n  verdict: allow\n  "
      "examples:\n";
  EXPECT_NO_THROW(
      Policy::parse({"p.yaml", head + "    match: [{action: unlink, path: '${workspace}/x'}]\n"},
                    {"/elsewhere", "/h", "/t"}));
  const std::string said =
      refusal(head + "    no-match:\n      - {action: unlink, path: '${workspace}/x'}\n");
  EXPECT_TRUE(said.starts_with("p.yaml:7:9: an example that must not match rule 'r' does")) << said;
  EXPECT_NE(refusal(head + "    match: [{action: unlink, path: /x}]\n").find("must match"),
            std::string::npos);
  EXPECT_NE(refusal(head + "    match: [{action: unlink, pth: /x}]\n").find("did you mean 'path'?"),
            std::string::npos);
  EXPECT_NE(refusal(head + "    match: [{action: unlink, port: 1}]\n").find("has no 'port'"),
            std::string::npos);
}

TEST(Policy, SaysWhichKeyIsMisspelt) {
  EXPECT_NE(refusal("- policy: p\n- rule: r\n  conditon: always\n  verdict: allow\n")
                .find("p.yaml:3:3: a rule has no 'conditon'|did you mean 'condition'?"),
            std::string::npos);
  EXPECT_NE(refusal("- policy: p\n- rul: r\n").find("did you mean 'rule'?"), std::string::npos);
  EXPECT_NE(refusal("- policy: p\n- rule: r\n  condition: always\n  verdict: alow\n")
                .find("p.yaml:4:12: there is no verdict 'alow'|did you mean 'allow'?"),
            std::string::npos);
  EXPECT_NE(
      refusal("- policy: p\n- rule: r\n  condition: always\n  verdict: blocked\n  errno: EACES\n")
          .find("did you mean 'EACCES'?"),
      std::string::npos);
}

TEST(Policy, RefusesWhatHasNoMeaning) {
  const std::string rule = "- policy: p\n- rule: r\n  condition: always\n";
  for (const char* rest :
       {"", "  verdict: allow\n  expires: 1m\n", "  verdict: allow\n  tools: [/bin/ls]\n",
        "  verdict: restricted\n", "  verdict: restricted\n  tools: [ls]\n",
        "  verdict: approve\n  expires: 1y\n", "  verdict: allow\n  kill-session: true\n",
        "  verdict: blocked\n  kill-session: maybe\n", "  verdict: allow\n- rule: r\n",
        "  verdict: allow\n- policy: q\n", "  verdict: [allow]\n",
        "  verdict: allow\n  label: 'a b'\n"})
    refusal(rule + rest);
  for (const char* text :
       {"", "policy: p\n", "- policy: p\n---\n- policy: q\n",
        "- rule: r\n  condition: always\n  verdict: allow\n", "- policy: &a p\n",
        "- policy: p\n  desc: *a\n", "- policy: !!str p\n", "- policy: p\n  policy: q\n",
        "- policy: [", "- {policy: p", "\xff\xfe-\0p", "- policy: p\x01\n", "- policy: \xc3\x28\n",
        "- []\n", "- x\n"})
    refusal(text);
}

TEST(Policy, DegradationOnlyTightens) {
  const std::string degrading = "- rule: d\n  condition: action = system\n  degrade: hurt\n";
  const Policy policy = policyOf(degrading + R"(
- rule: run
  condition: action = exec
  verdict: allow
- rule: ask
  condition: degraded contains hurt
  verdict: approve
- rule: reach
  condition: action = connect and not degraded contains hurt
  verdict: allow
)");
  EXPECT_EQ(verdictOf(policy, "{action: exec, path: /x}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: exec, path: /x, degraded: hurt}"), Verdict::kApprove);
  // Nothing else permits it, so the rule that asks does not either.
  EXPECT_EQ(verdictOf(policy, "{action: unlink, path: /x, degraded: hurt}"), Verdict::kBlocked);
  EXPECT_EQ(verdictOf(policy, "{action: connect, port: 1}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: connect, port: 1, degraded: hurt}"), Verdict::kBlocked);
  const std::string head = "- policy: p\n" + degrading;
  EXPECT_NE(
      refusal(head + "- rule: x\n  condition: not degraded contains hurt\n  verdict: blocked\n")
          .find("may only allow"),
      std::string::npos);
  EXPECT_NE(refusal(head + "- rule: x\n  condition: degraded contains hurt or not degraded "
                           "exists\n  verdict: allow\n")
                .find("may only allow"),
            std::string::npos);
}

TEST(Policy, AVariableWithoutAValueIsRefused) {
  const Source source{
      "p.yaml", "- policy: p\n- rule: r\n  condition: path under ~/.ssh\n  verdict: blocked\n"};
  EXPECT_THROW(Policy::parse(source, {"/w", std::nullopt, "/tmp"}), Error);
  EXPECT_THROW(Policy::parse(source, {"/w", "relative", "/tmp"}), Error);
  Bindings root = exampleBindings();
  root.home = "/";
  EXPECT_EQ(
      verdictOf(policyOf("- rule: r\n  condition: path under ~/.ssh\n  verdict: allow\n", root),
                "{action: unlink, path: /.ssh/x}"),
      Verdict::kAllow);
}

TEST(Policy, AllowedSubtreesHaveNoExceptionInside) {
  const Policy policy = policyOf(R"(
- rule: reading
  condition: action in (open-read, load) and path under (/usr, /opt, /srv, /etc)
  verdict: allow
- rule: part
  condition: path under /srv/private
  verdict: blocked
- rule: labelled
  condition: action = open-read and path = /opt/key
  label: secret
- rule: conditional
  condition: path under /home and exe = /usr/bin/cat
  verdict: allow
- rule: writing
  condition: action in writes and path under /etc
  verdict: blocked
)");
  EXPECT_EQ(policy.allowedSubtrees(ActionKind::kOpenRead),
            (std::vector<std::string>{"/etc", "/usr"}));
  EXPECT_EQ(policy.allowedSubtrees(ActionKind::kLoad),
            (std::vector<std::string>{"/etc", "/opt", "/usr"}));
  EXPECT_TRUE(policy.allowedSubtrees(ActionKind::kUnlink).empty());
}

TEST(Policy, ATreeCanBeAllowedWhereALargerOneHasExceptions) {
  const Policy policy = policyOf(R"(
- rule: reading
  condition: action in (open-read, load)
  verdict: allow
- rule: credentials
  condition: >
    (path under /home/u/.ssh or (path.name in (id_rsa) and not path under (/usr, /srv))) and action in (open-read, load)
  verdict: blocked
- rule: keys
  condition: action = load and path glob **/*.key
  verdict: blocked
)");
  EXPECT_TRUE(policy.allowsIn(ActionKind::kOpenRead, "/usr"));
  EXPECT_TRUE(policy.allowsIn(ActionKind::kOpenRead, "/usr/lib"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenRead, "/usrlocal"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenRead, "/home/u"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenRead, "/home/u/.ssh/keys"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenRead, "/"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kLoad, "/usr"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kExec, "/usr"));
}

TEST(Policy, OneActionCanBeAllowedWhateverElseIsTrue) {
  const Policy policy = policyOf(R"(
- rule: reading
  condition: action = open-read
  verdict: allow
- rule: credentials
  condition: action = open-read and path.name = id_rsa
  verdict: blocked
- rule: of one program
  condition: action = open-read and path under /home/u/a and exe.name = cat
  verdict: blocked
- rule: large
  condition: action = open-read and path under /home/u/b and file.kind = regular
  verdict: approve
- rule: labelled
  condition: action = open-read and path glob **/.env
  label: secret
- rule: connecting
  condition: action = connect and host = 127.0.0.1
  verdict: blocked
)");
  const auto allows = [&](std::string_view path, ActionKind kind = ActionKind::kOpenRead) {
    Action action;
    action.kind = kind;
    action.setPath(path);
    return policy.alwaysAllows(action);
  };
  EXPECT_TRUE(allows("/home/u/x"));
  EXPECT_TRUE(allows("/home/u/id_rsa.pub"));
  EXPECT_FALSE(allows("/home/u/id_rsa"));
  EXPECT_FALSE(allows("/home/u/a/x"));  // it depends on who reads
  EXPECT_FALSE(allows("/home/u/b/x"));  // and on what it is then
  EXPECT_FALSE(allows("/home/u/.env"));  // something follows from it
  EXPECT_FALSE(allows("/home/u/x", ActionKind::kOpenWrite));
}

TEST(Policy, TheSystemsFilesAreReadFreelyUnderDeveloper) {
  const Policy policy = Policy::load("developer", exampleBindings());
  EXPECT_TRUE(policy.allowsIn(ActionKind::kOpenRead, "/usr"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenRead, "/"));
  EXPECT_FALSE(policy.allowsIn(ActionKind::kOpenWrite, "/usr"));
}

TEST(Policy, ExplainShowsHowEachTestCameOut) {
  const Policy policy = policyOf(kLayers);
  const OwnedAction owned = actionOf("{action: open-read, path: /a/b/q}", policy);
  const std::string text = explain(policy, owned.action());
  EXPECT_TRUE(text.starts_with("approve by 'asking' (p.yaml:")) << text;
  EXPECT_NE(text.find("yes      path under /a/b   (path: /a/b/q)"), std::string::npos) << text;
  EXPECT_NE(text.find("2 other rules do not match"), std::string::npos) << text;
}

class Stock : public testing::TestWithParam<std::string_view> {};

TEST_P(Stock, ItsTestsPass) {
  const Policy policy = Policy::load(std::string(GetParam()), exampleBindings());
  EXPECT_FALSE(policy.tests().empty());
  for (const PolicyTest& test : policy.tests()) EXPECT_EQ(failureOf(policy, test), "") << test.name;
}

TEST_P(Stock, EveryRuleHasExamples) {
  const Policy policy = Policy::load(std::string(GetParam()), exampleBindings());
  for (uint32_t i = 0; i < policy.rules().size(); ++i) {
    if (policy.rules()[i].condition->kind == Expression::Kind::kAlways) continue;
    for (bool side : {true, false})
      EXPECT_TRUE(std::ranges::any_of(policy.examples(), [&](const Example& example) {
        return example.rule == i && example.matches == side;
      })) << policy.rules()[i].name;
  }
}

TEST_P(Stock, HasTheTreeOfItsText) {
  const auto stock = std::ranges::find(stockPolicies(), GetParam(), &StockPolicy::name);
  ASSERT_NE(stock, stockPolicies().end());
  const YamlNode parsed = parseYaml({std::string(stock->name), std::string(stock->text)});
  ASSERT_FALSE(parsed.items.empty());
  EXPECT_TRUE(unpackYaml(stock->tree) == parsed);
  YamlNode other = parsed;
  other.items.back().entries.back().second.text += ' ';
  EXPECT_FALSE(unpackYaml(stock->tree) == other);
}

INSTANTIATE_TEST_SUITE_P(All, Stock, testing::ValuesIn(stockPolicyNames()), [](const auto& one) {
  std::string name(one.param);
  std::erase(name, '-');
  return name;
});

TEST(Stock, TheFiveAreThere) {
  EXPECT_EQ(stockPolicyNames(), (std::vector<std::string_view>{"observe", "developer", "read-only",
                                                               "offline", "strict"}));
  EXPECT_THROW(Policy::load("develper", exampleBindings()), Error);
}

}  // namespace
}  // namespace airr::policies
