// Policies that are meant to hurt: each is refused or handled, in little memory. How long it takes is
// not asserted; the suite's time limit is a bound.
#include <sys/resource.h>

#include <random>

#include "policies/explain.h"
#include "policies/format.h"
#include "policies/stock.h"
#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

const std::string kHead = "- policy: p\n";

std::string rules(size_t count, const std::string& condition) {
  std::string text = kHead;
  for (size_t i = 0; i < count; ++i)
    text += "- rule: r" + std::to_string(i) + "\n  condition: " + condition + "\n  verdict: allow\n";
  return text;
}

std::string repeated(const std::string& text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

// Peak memory so far, bytes.
size_t peak() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

TEST(Hostile, TenMebibytesOfTextAreHandledAndMoreIsRefused) {
  const size_t before = peak();
  std::string text = kHead;
  while (text.size() < kMaxPolicyBytes - 200)
    text += "- list: l" + std::to_string(text.size()) + "\n  items: [" + std::string(150, 'a') + "]\n";
  EXPECT_NO_THROW(Policy::parse({"p.yaml", text}, exampleBindings()));
  EXPECT_LT(peak() - before, size_t{1} << 30);
  // As many bytes, but more values than there may be.
  std::string many = kHead + "- list: l\n  items:\n";
  while (many.size() < kMaxPolicyBytes - 100) many += "  - a\n";
  EXPECT_NE(refusal(many).find("values"), std::string::npos);
  refusal(text + std::string(kMaxPolicyBytes, ' '));
}

TEST(Hostile, TenThousandRulesAreTakenAndNoMore) {
  std::string text = kHead;
  for (size_t i = 0; i < kMaxRules; ++i)
    text += "- rule: r" + std::to_string(i) + "\n  condition: path under /t" + std::to_string(i) +
            "\n  verdict: allow\n";
  const Policy policy = Policy::parse({"p.yaml", text}, exampleBindings());
  EXPECT_EQ(verdictOf(policy, "{action: unlink, path: /t9999/x}"), Verdict::kAllow);
  EXPECT_EQ(verdictOf(policy, "{action: unlink, path: /t10000/x}"), Verdict::kBlocked);
  EXPECT_NE(refusal(rules(kMaxRules + 1, "always")).find("at most 10000 rules"), std::string::npos);
}

TEST(Hostile, Nesting) {
  for (const char* open : {"[", "{a: ", "- ", "? ", "[{", "{["})
    refusal(repeated(open, 100'000));
  refusal(kHead + "- rule: r\n  condition: " + repeated("(", 20'000) + "\n  verdict: allow\n");
  refusal(kHead + "- rule: r\n  condition: " + repeated("not ", 10'000) + "always\n  verdict: allow\n");
  std::string deep = kHead;
  for (int i = 0; i < 3'000; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  refusal(deep);
}

TEST(Hostile, MacrosAndListsThatDouble) {
  std::string macros = kHead + "- macro: m0\n  condition: path = /x or path = /y\n";
  std::string lists = kHead + "- list: l0\n  items: [a, b]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string n = std::to_string(i), last = std::to_string(i - 1);
    macros += "- macro: m" + n + "\n  condition: m" + last + " or m" + last + "\n";
    lists += "- list: l" + n + "\n  items: [$l" + last + ", $l" + last + "]\n";
  }
  EXPECT_NE(refusal(macros).find("tests"), std::string::npos);
  EXPECT_NE(refusal(lists).find("too long"), std::string::npos);
  // A list that is long, in many rules.
  std::string many = kHead + "- list: l\n  items: [";
  for (int i = 0; i < 5'000; ++i) many += "i" + std::to_string(i) + ", ";
  many += "x]\n" + rules(5'000, "path.name in $l").substr(kHead.size());
  std::string folded;
  for (size_t at = 0; at < many.size(); at += 1) folded += many[at], folded += many[at] == ',' ? "\n  " : "";
  EXPECT_NE(refusal(folded).find("values"), std::string::npos);
}

TEST(Hostile, RegularExpressions) {
  auto with = [](const std::string& regex) {
    return kHead + "- rule: r\n  condition: path regex '" + regex + "'\n  verdict: allow\n";
  };
  refusal(with("((a{1000}){1000}){1000}"));
  refusal(with("(" + repeated("a|", 2'000) + ")"));
  refusal(with("(?=a)b"));
  refusal(with("\\1"));
  refusal(with(repeated("(", 900)));
  const Policy slow = Policy::parse({"p.yaml", with("^(/a*)*(a|aa)+$")}, exampleBindings());
  EXPECT_EQ(verdictOf(slow, "{action: unlink, path: /" + repeated("a", 50'000) + "b}"), Verdict::kBlocked);
  std::string many = kHead;
  for (unsigned i = 0; i <= kMaxPatterns; ++i)
    many += "- rule: r" + std::to_string(i) + "\n  condition: path regex 'x" + std::to_string(i) + "'\n  verdict: allow\n";
  EXPECT_NE(refusal(many).find("patterns"), std::string::npos);
}

TEST(Hostile, GlobsDoNotExplode) {
  const Policy policy = allowing("path glob /" + repeated("*a", 200) + "/" + repeated("**/a*/", 60) + "x");
  EXPECT_EQ(verdictOf(policy, "{action: unlink, path: /" + repeated("a", 4'000) + repeated("/aa", 1'000) + "}"),
            Verdict::kBlocked);
}

TEST(Hostile, LongLinesAndOtherEncodings) {
  refusal(kHead + "- list: l\n  items: [" + repeated("x", 70'000) + "]\n");
  refusal(std::string("\xff\xfe-\0 \0p\0", 8));
  refusal(std::string("- policy: p\0\n", 13));
  refusal("- policy: \xed\xa0\x80\n");
}

// Whatever is done to a policy, it is taken or refused with the policy's error; what is taken can be
// evaluated and explained.
TEST(Hostile, MutatedPoliciesAreTakenOrRefused) {
  std::vector<std::string> seeds;
  for (std::string_view name : stockPolicyNames()) seeds.emplace_back(*stockPolicy(name));
  const std::vector<std::string> words = {"- ", ": ", "[", "]", "{", "}", "\"", "'", "#", "\n", "  ", "$", "${",
                                          "${home}", "not ", " and ", "(", ")", ",", "*", "&a", "!!str ", "|\n", ">\n",
                                          "path", "under", "regex '('", "always", "label: x", "\t", "\xc3", "%", "---\n"};
  std::mt19937 random(20240601);
  size_t taken = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text.erase(at, random() % 40); break;
        case 1: text.insert(at, words[random() % words.size()]); break;
        case 2: text[at] = static_cast<char>(random()); break;
        case 3: text.insert(at, text.substr(random() % text.size(), random() % 200)); break;
      }
    }
    try {
      const Policy policy = Policy::parse({"p.yaml", text}, exampleBindings());
      ++taken;
      const OwnedAction owned = actionOf("{action: create, path: /home/user/project/.git/hooks/x}", policy);
      explain(policy, owned.action());
      format({"p.yaml", text});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kPolicy) << error.what();
    }
  }
  EXPECT_GT(taken, 20u);
}

}  // namespace
}  // namespace airr::policies
