// What actions leave behind for later ones.
#include "policies/session_state.h"

#include "tests/policies/policy_fixture.h"

namespace airr::policies {
namespace {

const std::string kPolicy = R"(
- rule: everything
  condition: always
  verdict: allow
- rule: secrets
  condition: action = open-read and path under /secret
  label: secret
- rule: no way out
  condition: action = connect and labels contains secret
  verdict: blocked
- rule: of a tainted file
  condition: action = open-read and object.labels contains secret and exe.name = mailer
  verdict: blocked
- rule: session
  condition: action = bind and session.labels contains secret
  verdict: blocked
- rule: attempt
  condition: action = system
  verdict: blocked
  degrade: hurt
- rule: hurt
  condition: action = signal and degraded contains hurt
  verdict: blocked
- rule: shell
  condition: action = exec and path = /bin/limited
  verdict: restricted
  tools: [/bin/limited, /usr/bin/**]
- rule: viewer
  condition: action = exec and path = /bin/viewer
  verdict: read-only
  read-only: overlay
)";

class Session : public testing::Test {
 protected:
  Decision act(uint32_t process, const std::string& facts) {
    OwnedAction owned = actionOf(facts, policy_);
    state_.prepare(process, owned.action());
    const Decision decision = policy_.evaluate(owned.action());
    state_.apply(process, owned.action(), decision, decision.runs());
    return decision;
  }
  Verdict verdict(uint32_t process, const std::string& facts) {
    return act(process, facts).verdict;
  }

  const Policy policy_ = policyOf(kPolicy);
  SessionState state_{policy_};
};

TEST_F(Session, LabelsFollowTheProcessItsChildrenAndItsFiles) {
  const std::string connect = "{action: connect, host: 10.0.0.1, port: 80}";
  EXPECT_EQ(verdict(1, connect), Verdict::kAllow);
  EXPECT_EQ(verdict(1, "{action: open-read, path: /secret/key}"), Verdict::kAllow);
  EXPECT_EQ(verdict(1, connect), Verdict::kBlocked);
  EXPECT_EQ(verdict(2, connect), Verdict::kAllow);  // another process
  state_.spawned(1, 3);
  EXPECT_EQ(verdict(3, connect), Verdict::kBlocked);
  EXPECT_EQ(verdict(3, "{action: create, path: /tmp/copy}"), Verdict::kAllow);
  EXPECT_EQ(verdict(3, "{action: rename, path: /tmp/copy, path.other: /tmp/innocent}"),
            Verdict::kAllow);
  state_.ended(3);
  EXPECT_EQ(verdict(4, "{action: open-read, path: /tmp/innocent, exe: /bin/mailer}"),
            Verdict::kBlocked);
  EXPECT_EQ(verdict(4, connect), Verdict::kAllow);  // it was kept from reading
  EXPECT_EQ(verdict(4, "{action: open-read, path: /tmp/innocent}"), Verdict::kAllow);
  EXPECT_EQ(verdict(4, connect), Verdict::kBlocked);
}

TEST_F(Session, SaysWhichFilesGetLabels) {
  std::vector<std::string> labelled;
  state_.onLabel = [&](std::string_view path) { labelled.emplace_back(path); };
  act(1, "{action: open-read, path: /secret/key}");
  labelled.clear();
  EXPECT_FALSE(state_.carriesLabels("/tmp/copy"));
  act(1, "{action: create, path: /tmp/copy}");
  act(1, "{action: open-write, path: /tmp/copy}");
  act(1, "{action: rename, path: /tmp/copy, path.other: /tmp/innocent}");
  act(2, "{action: create, path: /tmp/free}");
  EXPECT_EQ(labelled, (std::vector<std::string>{"/tmp/copy", "/tmp/innocent"}));
  EXPECT_TRUE(state_.carriesLabels("/tmp/innocent"));
  EXPECT_FALSE(state_.carriesLabels("/tmp/free"));
}

TEST_F(Session, TheSessionRemembersWhatAnyProcessCarried) {
  EXPECT_EQ(verdict(1, "{action: bind, port: 1}"), Verdict::kAllow);
  act(2, "{action: open-read, path: /secret/key}");
  EXPECT_EQ(verdict(1, "{action: bind, port: 1}"), Verdict::kBlocked);
}

TEST_F(Session, AnAttemptDegradesThoughItWasBlocked) {
  EXPECT_EQ(verdict(1, "{action: signal, signal: 9}"), Verdict::kAllow);
  EXPECT_EQ(verdict(1, "{action: system}"), Verdict::kBlocked);
  EXPECT_EQ(verdict(2, "{action: signal, signal: 9}"), Verdict::kBlocked);
  EXPECT_EQ(policy_.namesOf(state_.degraded(), policy_.degradations()), "hurt");
}

TEST_F(Session, ARestrictedProcessStartsOnlyItsTools) {
  EXPECT_EQ(verdict(1, "{action: exec, path: /opt/x}"), Verdict::kAllow);
  EXPECT_EQ(verdict(1, "{action: exec, path: /bin/limited}"), Verdict::kRestricted);
  state_.spawned(1, 2);
  const Decision decision = act(2, "{action: exec, path: /opt/x}");
  EXPECT_EQ(decision.verdict, Verdict::kBlocked);
  EXPECT_EQ(decision.ground, Decision::Ground::kRestriction);
  EXPECT_EQ(verdict(2, "{action: exec, path: /usr/bin/ls}"), Verdict::kAllow);
  EXPECT_EQ(verdict(2, "{action: exec, path: /usr/binx/ls}"), Verdict::kBlocked);
}

TEST_F(Session, AReadOnlyProgramWritesNothing) {
  EXPECT_EQ(verdict(1, "{action: exec, path: /bin/viewer}"), Verdict::kReadOnly);
  state_.spawned(1, 2);
  const Decision decision = act(2, "{action: open-write, path: /x}");
  EXPECT_EQ(decision.verdict, Verdict::kReadOnly);
  EXPECT_EQ(decision.readOnly, ReadOnlyMode::kOverlay);
  EXPECT_EQ(verdict(2, "{action: open-read, path: /x}"), Verdict::kAllow);
  EXPECT_EQ(verdict(3, "{action: open-write, path: /x}"), Verdict::kAllow);
}

}  // namespace
}  // namespace airr::policies
