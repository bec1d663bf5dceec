// Landlock: what is compiled from policies, and that the kernel holds to it.
#include "mediator/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>

namespace airr {
namespace {

constexpr int kNewest = 7;
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDirectory = 1 << 3, kRefer = 1 << 13, kTruncate = 1 << 14;

policies::Policy stock(const char* name) { return policies::Policy::load(name, policies::exampleBindings()); }
policies::Policy parse(const std::string& rules) {
  return policies::Policy::parse(policies::Source{"test.yaml", "- policy: test\n" + rules}, policies::exampleBindings());
}

TEST(Landlock, IsCompiledFromWhatAPolicyCannotPermit) {
  const LandlockRules rules = compileLandlock(stock("developer"), kNewest);
  EXPECT_NE(rules.files & kWriteFile, 0u);
  EXPECT_EQ(rules.files & kReadFile, 0u);  // reads everywhere
  EXPECT_NE(rules.scoped, 0u);
  EXPECT_NE(rules.trees.at("/home/user/project") & kWriteFile, 0u);
  EXPECT_EQ(rules.trees.at("/"), kRefer);
  EXPECT_NE(describe(rules).find("writing, truncating, making, removing: "), std::string::npos);
  const LandlockRules strict = compileLandlock(stock("strict"), kNewest);
  EXPECT_EQ(strict.files & kReadFile, 0u);  // "/" can be listed, and a right for it is one for all below
  EXPECT_NE(strict.files & kWriteFile, 0u);
  EXPECT_FALSE(strict.trees.contains("/usr"));
  const LandlockRules executing = compileLandlock(
      parse("- rule: a\n  condition: action = exec and path under /usr/bin\n  verdict: allow\n"), kNewest);
  EXPECT_EQ(executing.trees.at("/usr/bin"), kExecute | kReadFile | kReadDirectory);
}

TEST(Landlock, LeavesOutWhatAKernelDoesNotHave) {
  const auto policy = stock("developer");
  EXPECT_TRUE(compileLandlock(policy, 0).empty());
  EXPECT_TRUE(compileLandlock(policy, 1).empty());  // no process could move between directories
  EXPECT_EQ(compileLandlock(policy, 2).files & kTruncate, 0u);
  EXPECT_NE(compileLandlock(policy, 3).files & kTruncate, 0u);
  EXPECT_EQ(compileLandlock(policy, 5).scoped, 0u);
}

TEST(Landlock, ForbidsNothingThatThePolicyCouldPermit) {
  EXPECT_TRUE(compileLandlock(stock("observe"), kNewest).empty());
  // Under Landlock nothing could be mounted.
  const std::string writes = "- rule: a\n  condition: action in writes and path under /a\n  verdict: allow\n";
  EXPECT_FALSE(compileLandlock(parse(writes), kNewest).empty());
  EXPECT_TRUE(compileLandlock(parse(writes + "- rule: b\n  condition: action = system\n  verdict: approve\n"), kNewest).empty());
}

class LandlockKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (landlockAbi() < 3) GTEST_SKIP() << "this kernel has no Landlock of ABI 3";
    char name[] = "/tmp/airr-landlock-XXXXXX";
    directory_ = mkdtemp(name);
    for (const char* tree : {"/in", "/out"}) ASSERT_EQ(mkdir((directory_ + tree).c_str(), 0700), 0);
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  // The errno of what a bound process does, 0 for success.
  static int bound(const LandlockRules& rules, const std::function<int()>& act) {
    const UniqueFd ruleset = makeRuleset(rules);
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      if (restrictSelf(ruleset.get()) != 0) _exit(255);
      _exit(act() >= 0 ? 0 : errno);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
  int make(const std::string& name) const { return open((directory_ + name).c_str(), O_CREAT | O_WRONLY, 0600); }

  std::string directory_;
};

TEST_F(LandlockKernelTest, BindsAProcessToTheTrees) {
  const auto policy =
      parse("- rule: a\n  condition: action in writes and path under " + directory_ + "/in\n  verdict: allow\n");
  const LandlockRules rules = compileLandlock(policy, landlockAbi());
  EXPECT_EQ(bound(rules, [&] { return make("/in/a"); }), 0);
  EXPECT_EQ(bound(rules, [&] { return make("/out/a"); }), EACCES);
  EXPECT_EQ(bound(rules, [&] { return unlink((directory_ + "/in/a").c_str()); }), 0);
  ASSERT_GE(make("/out/a"), 0);
  EXPECT_EQ(bound(rules, [&] { return unlink((directory_ + "/out/a").c_str()); }), EACCES);
  EXPECT_EQ(bound(rules, [&] { return truncate((directory_ + "/out/a").c_str(), 0); }), EACCES);
  EXPECT_EQ(bound(rules, [&] { return open((directory_ + "/out/a").c_str(), O_RDONLY); }), EACCES);  // no rule reads
}

TEST_F(LandlockKernelTest, ATreeThatIsNotThereCanBeMade) {
  const auto policy = parse("- rule: a\n  condition: action in writes and path under " + directory_ +
                            "/later/on\n  verdict: allow\n");
  const LandlockRules rules = compileLandlock(policy, landlockAbi());
  EXPECT_EQ(bound(rules, [&] { return mkdir((directory_ + "/later").c_str(), 0700); }), 0);
  EXPECT_EQ(bound(rules, [&] { return make("-beside"); }), EACCES);
}

TEST_F(LandlockKernelTest, SignalsStayInside) {
  const LandlockRules rules = compileLandlock(stock("developer"), landlockAbi());
  if (rules.scoped == 0) GTEST_SKIP() << "this kernel has no Landlock of ABI 6";
  const pid_t outside = getpid();
  EXPECT_EQ(bound(rules, [&] { return kill(outside, 0); }), EPERM);
  EXPECT_EQ(bound(rules, [&] { return kill(getpid(), 0); }), 0);
}

}  // namespace
}  // namespace airr
