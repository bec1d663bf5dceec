// The layout of policies.
#include "policies/format.h"

#include "policies/stock.h"
#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

std::string formatted(const std::string& text) { return format({"p.yaml", text}); }

TEST(Format, OrdersKeysWrapsTextAndKeepsComments) {
  const std::string untidy = R"(# What this is for.
- policy:    p
- rule: "r"   # behind
  # why it is blocked
  verdict:   blocked
  condition:   action   =  exec and(path under /usr
    or path.name in ( a,b ))
  examples: {match: [{action: exec, path: /usr/x}, {action: exec, path: "a b"}]}
# the end
)";
  const std::string tidy = R"(# What this is for.
- policy: p

# behind
- rule: r
  condition: action = exec and (path under /usr or path.name in (a, b))
  # why it is blocked
  verdict: blocked
  examples:
    match:
      - {action: exec, path: /usr/x}
      - {action: exec, path: a b}
# the end
)";
  EXPECT_EQ(formatted(untidy), tidy);
  EXPECT_EQ(formatted(tidy), tidy);
}

TEST(Format, QuotesWhatYamlWouldReadOtherwise) {
  const std::string text = R"(- list: l
  items: ["$x", "a: b", "-", --force, "#1", "x #y", "~", "", 'it''s', "tab\t", "${workspace}/a"]
)";
  const std::string once = formatted(text);
  EXPECT_EQ(formatted(once), once);
  const YamlNode before = parseYaml({"p", text}), after = parseYaml({"p", once});
  const auto& a = before.items[0].find("items")->items;
  const auto& b = after.items[0].find("items")->items;
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].text, b[i].text);
  EXPECT_TRUE(b[0].quoted);  // else it would name a list
}

TEST(Format, HashesInTextAreNoComments) {
  const std::string text = R"(- rule: r
  desc: |
    first # not a comment
      indented

    last
  condition: >-
    path.name = "a # b" and path.name = 'c # d'
  verdict: allow
)";
  EXPECT_EQ(formatted(text), formatted(formatted(text)));
  EXPECT_NE(formatted(text).find("first # not a comment"), std::string::npos);
  EXPECT_NE(formatted(text).find("'c # d'"), std::string::npos);
}

TEST(Format, StockPoliciesAreLaidOut) {
  for (std::string_view name : stockPolicyNames())
    EXPECT_EQ(formatted(std::string(*stockPolicy(name))), *stockPolicy(name)) << name;
}

}  // namespace
}  // namespace airr::policies
