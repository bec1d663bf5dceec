// Judging traces that were written by hand.
#include "replayer/judge.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "policies/action_record.h"
#include "policies/policy.h"
#include "tests/recorder/trace_fixture.h"
#include "tests/tools/airr_command.h"

namespace airr {
namespace {

using policies::Verdict;
using Call = schema::Syscall::Builder;

const std::string kPolicy = R"(- policy: new
- rule: most
  condition: always
  verdict: allow
- rule: secrets
  condition: action = open-read and path under /secret
  verdict: blocked
  errno: EACCES
- rule: out
  condition: action = connect and labels contains tainted
  verdict: blocked
- rule: taint
  condition: action = open-read and path = /data/tainted
  label: tainted
- rule: pushing
  condition: action = exec and path.name = git and argv contains push
  verdict: approve
- rule: moving in
  condition: action = create and path under /guarded
  verdict: blocked
- rule: odd owners
  condition: action = unlink and path under /odd and file.owner = 0
  verdict: blocked
- rule: known host
  condition: action = connect and host.name contains good.example
  verdict: read-only
)";

class JudgeTest : public TraceTest {
 protected:
  JudgeTest() {
    ::setenv("AIRR_KEY_FILE", path("key").c_str(), 1);
    std::ofstream(path("new.yaml")) << kPolicy;
  }
  ~JudgeTest() override { ::unsetenv("AIRR_KEY_FILE"); }

  static void add(TraceWriter& writer, uint32_t task,
                  const std::function<void(schema::Event::Builder)>& fill) {
    auto event = writer.begin();
    event.setTask(task);
    event.setTime(writer.eventCount());
    fill(event);
    writer.commit();
  }
  static void exec(TraceWriter& writer, uint32_t task, const std::string& program,
                   const std::vector<std::string>& words) {
    add(writer, task, [&](auto event) {
      auto image = event.initExec();
      image.setPath(program);
      auto list = image.initArguments(static_cast<unsigned>(words.size()));
      for (unsigned i = 0; i < words.size(); ++i) list.set(i, words[i]);
    });
  }
  static void call(TraceWriter& writer, uint32_t task, int number,
                   const std::vector<uint64_t>& arguments, int64_t result, const std::string& named = {},
                   const std::function<void(Call)>& fill = {}) {
    add(writer, task, [&](auto event) {
      auto syscall = event.initSyscall();
      syscall.setNumber(static_cast<uint16_t>(number));
      syscall.setResult(result);
      if (!named.empty()) syscall.setPath(named);
      auto list = syscall.initArguments(static_cast<unsigned>(arguments.size()));
      for (unsigned i = 0; i < arguments.size(); ++i) list.set(i, arguments[i]);
      if (fill) fill(syscall);
    });
  }
  static void open(TraceWriter& writer, uint32_t task, const std::string& name, uint64_t flags, int64_t result) {
    call(writer, task, SYS_openat, {uint64_t(AT_FDCWD), 0x1000, flags, 0}, result, name);
  }
  static void bytes(Call syscall, const std::string& data) {
    auto write = syscall.initWrites(1)[0];
    write.setAddress(0x2000);
    write.setBytes({reinterpret_cast<const uint8_t*>(data.data()), data.size()});
  }

  Judgement judged(const std::function<void(TraceWriter&)>& session, unsigned threads = 1,
                   const std::string& policy = {}, const std::string& against = {}) {
    const std::string file = path("trace.cap");
    {
      TraceWriter writer = create(file);
      exec(writer, 1, "/usr/bin/agent", {"agent"});
      session(writer);
      writer.seal();
    }
    return judge(file, {policy.empty() ? path("new.yaml") : policy, against, threads});
  }
};

TEST_F(JudgeTest, ShowsWhatWouldBeBlockedAndFromWhereOnAllIsCounterfactual) {
  for (unsigned threads : {1u, 2u}) {
    const Judgement result = judged(
        [](TraceWriter& writer) {
          open(writer, 1, "/etc/hosts", O_RDONLY, 3);
          open(writer, 1, "/secret/a", O_RDONLY, -EACCES);  // as the policy would have it
          open(writer, 1, "/secret/b", O_RDONLY, 4);
          open(writer, 1, "/secret/c", O_RDWR, 5);
        },
        threads);
    EXPECT_TRUE(result.sealed);
    EXPECT_EQ(result.events, 5u);
    EXPECT_EQ(result.newlyBlocked, 3u);
    EXPECT_EQ(result.newlyAllowed, 0u);
    ASSERT_TRUE(result.firstDivergence);
    EXPECT_EQ(*result.firstDivergence, 4u);
    ASSERT_EQ(result.changes.size(), 3u);
    EXPECT_FALSE(result.changes[1].counterfactual);
    EXPECT_TRUE(result.changes[2].counterfactual);
    EXPECT_EQ(result.changes[1].rules, std::vector<std::string>{"secrets"});
    EXPECT_EQ(result.rules.at("secrets").changed, 3u);
  }
}

TEST_F(JudgeTest, SeesBothEndsOfARename) {
  const Judgement result = judged([](TraceWriter& writer) {
    call(writer, 1, SYS_rename, {1, 2}, 0, "/tmp/x",
         [](Call syscall) { syscall.setOtherPath("/guarded/../guarded/y"); });
  });
  ASSERT_EQ(result.changes.size(), 1u);
  EXPECT_NE(result.changes[0].action.find("path: /guarded/y, path.other: /tmp/x"), std::string::npos)
      << result.changes[0].action;
}

TEST_F(JudgeTest, FollowsProcessesTheirProgramsAndTheirLabels) {
  const Judgement result = judged([](TraceWriter& writer) {
    call(writer, 1, SYS_socket, {AF_INET, SOCK_STREAM, 0}, 7);
    call(writer, 1, SYS_fork, {}, 40, {}, [](Call syscall) { syscall.setChild(2); });
    open(writer, 2, "/data/tainted", O_RDONLY, 3);
    call(writer, 1, SYS_connect, {7, 0x1000, 16}, 0, "inet 10.0.0.1:80");  // not tainted
    call(writer, 2, SYS_fork, {}, 41, {}, [](Call syscall) { syscall.setChild(3); });
    exec(writer, 3, "/usr/bin/curl", {"curl"});
    call(writer, 3, SYS_connect, {7, 0x1000, 16}, 0, "inet 10.0.0.1:80");
  });
  ASSERT_EQ(result.changes.size(), 1u);
  const JudgedChange& change = result.changes[0];
  EXPECT_EQ(change.process, 3u);
  EXPECT_NE(change.action.find("lineage: [/usr/bin/curl, /usr/bin/agent"), std::string::npos) << change.action;
  EXPECT_NE(change.action.find("socket.type: stream"), std::string::npos) << change.action;
}

TEST_F(JudgeTest, AnExecIsJudgedByItsOwnArguments) {
  auto execute = [](TraceWriter& writer, const std::string& named, const std::string& program,
                    const std::vector<std::string>& words) {
    call(writer, 1, SYS_execve, {1, 2, 3}, 0, named,
         [](Call syscall) { syscall.setPhase(schema::Syscall::Phase::ENTER); });
    exec(writer, 1, program, words);
  };
  const Judgement result = judged([&](TraceWriter& writer) {
    execute(writer, "/usr/bin/git", "/usr/bin/git", {"git", "status"});
    execute(writer, "/opt/scripts/git", "/usr/bin/dash", {"/bin/sh", "/opt/scripts/git", "push"});
    execute(writer, "/bin/git", "/usr/bin/git", {"git", "push"});
  });
  ASSERT_EQ(result.otherwise, 2u);
  EXPECT_NE(result.changes[0].action.find("path: /opt/scripts/git, argv: [/opt/scripts/git, push]"), std::string::npos)
      << result.changes[0].action;
  EXPECT_NE(result.changes[1].action.find("path: /usr/bin/git, argv: [git, push]"), std::string::npos)
      << result.changes[1].action;
}

TEST_F(JudgeTest, WhatIsNotOnRecordIsCountedApart) {
  const Judgement result = judged([](TraceWriter& writer) {
    call(writer, 1, SYS_unlink, {1}, 0, "/odd/file");
    call(writer, 1, SYS_unlink, {1}, 0, "/even/file");
  });
  EXPECT_EQ(result.undecidable, 1u);
  EXPECT_EQ(result.changed(), 0u);
  EXPECT_FALSE(result.firstDivergence);
  EXPECT_EQ(result.missing, "file.owner");
}

// "\x81\x80": an answer to one question, with one address.
std::string answer(const std::string& first, const std::string& second, const std::string& address) {
  std::string text("\x12\x34\x81\x80\0\1\0\1\0\0\0\0", 12);
  text += static_cast<char>(first.size()) + first + static_cast<char>(second.size()) + second;
  text += std::string("\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 17);
  return text + address;
}

TEST_F(JudgeTest, BelievesNamesOnlyFromTheServersOfResolvConf) {
  auto session = [&](const char* server) {
    return judged([&](TraceWriter& writer) {
      open(writer, 1, "/etc/resolv.conf", O_RDONLY, 3);
      call(writer, 1, SYS_read, {3, 0x2000, 4096}, 22, {},
           [](Call syscall) { bytes(syscall, "nameserver 10.0.0.53\n"); });
      call(writer, 1, SYS_close, {3}, 0);
      call(writer, 1, SYS_socket, {AF_INET, SOCK_DGRAM, 0}, 3);
      call(writer, 1, SYS_connect, {3, 0x1000, 16}, 0, std::string("inet ") + server + ":53");
      call(writer, 1, SYS_recvfrom, {3, 0x2000, 4096, 0, 0, 0}, 46, {},
           [](Call syscall) { bytes(syscall, answer("Good", "example", "\x0a\x01\x02\x03")); });
      call(writer, 1, SYS_socket, {AF_INET, SOCK_STREAM, 0}, 4);
      call(writer, 1, SYS_connect, {4, 0x1000, 16}, 0, "inet 10.1.2.3:443");
    });
  };
  EXPECT_EQ(session("10.0.0.53").otherwise, 1u);
  EXPECT_EQ(session("10.0.0.54").otherwise, 0u);
}

TEST_F(JudgeTest, RecordedDecisionsHaveTheirFactsAndComeOutTheSame) {
  const auto policy = policies::Policy::load(path("new.yaml"), policies::exampleBindings());
  auto session = [&](TraceWriter& writer) {
    add(writer, 1, [&](auto event) {
      auto inForce = event.initPolicy();
      inForce.setName("new.yaml");
      inForce.setText(kPolicy);
    });
    policies::Action action;
    action.kind = policies::ActionKind::kUnlink;
    action.setPath("/odd/file");
    action.fileOwner = 0;
    action.set(policies::Fact::kFileOwner);
    add(writer, 1, [&](auto event) {
      auto decision = event.initDecision();
      decision.setSyscall(SYS_unlink);
      decision.setVerdict(schema::Decision::Verdict::BLOCKED);
      decision.setError(EPERM);
      policies::write(action, policy.evaluate(action), policy, decision.initActions(1)[0]);
      policies::setDigest(decision);
    });
    call(writer, 1, SYS_unlink, {1}, -EPERM, "/odd/file",
         [](Call syscall) { syscall.setHandling(schema::Syscall::Handling::REFUSED); });
  };
  const Judgement same = judged(session, 1, "recorded");
  EXPECT_EQ(same.changed() + same.undecidable, 0u);
  EXPECT_EQ(same.before[4], 1u);
  EXPECT_EQ(same.after[4], 1u);
  EXPECT_EQ(judged(session, 1, "observe").newlyAllowed, 1u);
}

TEST_F(JudgeTest, APolicyAgainstAnother) {
  const Judgement result = judged([](TraceWriter& writer) { open(writer, 1, "/secret/b", O_RDONLY, 4); }, 1,
                                  "observe", path("new.yaml"));
  EXPECT_EQ(result.newlyAllowed, 1u);
  EXPECT_EQ(result.againstName, "new");
}

TEST_F(JudgeTest, TheIndexGivesWhatTheTraceGives) {
  auto session = [](TraceWriter& writer) {
    call(writer, 1, SYS_execve, {1, 2, 3}, 0, "/bin/git",
         [](Call syscall) { syscall.setPhase(schema::Syscall::Phase::ENTER); });
    exec(writer, 1, "/usr/bin/git", {"git", "push"});
    for (int i = 0; i < 5'000; ++i) open(writer, 1, "/secret/" + std::to_string(i), O_RDONLY, 4);
    call(writer, 1, SYS_rename, {1, 2}, 0, "/tmp/x", [](Call syscall) { syscall.setOtherPath("/guarded/y"); });
  };
  const std::string trace = path("trace.cap"), index = trace + ".index";
  auto again = [&](bool fromIndex) {
    for (unsigned threads : {1u, 2u}) {
      const Judgement result = judge(trace, {path("new.yaml"), "", threads, true});
      EXPECT_EQ(result.fromIndex, fromIndex || threads == 2);
      EXPECT_TRUE(result.sealed);
      EXPECT_EQ(result.events, 5'004u);
      EXPECT_EQ(result.newlyBlocked, 5'001u);
      EXPECT_EQ(result.otherwise, 1u);
      ASSERT_EQ(result.changes.size(), 5'002u);
      EXPECT_EQ(result.changes[0].rules, std::vector<std::string>{"pushing"});
      EXPECT_NE(result.changes[0].action.find("argv: [git, push]"), std::string::npos) << result.changes[0].action;
      EXPECT_NE(result.changes.back().action.find("path: /guarded/y, path.other: /tmp/x"), std::string::npos);
    }
  };
  judged(session);
  EXPECT_FALSE(std::filesystem::exists(index));
  again(false);
  again(true);

  // Altered anywhere, cut short, or of another trace, it is made anew.
  const auto size = std::filesystem::file_size(index);
  for (const uint64_t at : {uint64_t{0}, uint64_t{30}, size / 2, size - 100, size - 1}) {
    std::fstream file(index, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char was = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(was ^ 1));
    file.close();
    again(false);
  }
  std::filesystem::resize_file(index, size - 8);
  again(false);
  judged(session);  // another session id
  again(false);
  const auto before = std::filesystem::last_write_time(index);
  again(true);
  EXPECT_EQ(std::filesystem::last_write_time(index), before);
}

TEST_F(JudgeTest, TheCommandGivesJsonSarifAndAStatus) {
  judged([](TraceWriter& writer) { open(writer, 1, "/secret/b", O_RDONLY, 4); });
  const std::string trace = path("trace.cap"), policy = path("new.yaml");
  EXPECT_EQ(runAirr({"judge", trace, "--policy", "observe"}).status, 0);
  const CommandResult text = runAirr({"judge", trace, "--policy", policy});
  EXPECT_EQ(text.status, 116) << text.error;
  EXPECT_NE(text.output.find("newly blocked 1"), std::string::npos) << text.output;
  const auto json = nlohmann::json::parse(runAirr({"judge", trace, "--policy", policy, "--json"}).output);
  EXPECT_EQ(json["newlyBlocked"], 1);
  EXPECT_EQ(json["changes"][0]["rules"][0], "secrets");
  const auto sarif = nlohmann::json::parse(
      runAirr({"judge", trace, trace, "--policy", policy, "--sarif", "--jobs", "2"}).output);
  EXPECT_EQ(sarif["version"], "2.1.0");
  ASSERT_EQ(sarif["runs"][0]["results"].size(), 2u);
  EXPECT_EQ(sarif["runs"][0]["results"][0]["ruleId"], "secrets");
  EXPECT_EQ(sarif["runs"][0]["results"][0]["level"], "error");
  EXPECT_EQ(runAirr({"judge", trace, "--policy", "recorded"}).status, 115);
}

TEST_F(JudgeTest, ALearnedPolicyAllowsWhatItWasLearnedFrom) {
  judged([](TraceWriter& writer) {
    for (int i = 0; i < 20; ++i) open(writer, 1, "/srv/data/f" + std::to_string(i), O_RDONLY, 3);
    open(writer, 1, "/etc/hosts", O_RDONLY, 3);
    open(writer, 1, "/srv/out/'odd'", O_RDONLY, 3);
    call(writer, 1, SYS_socket, {AF_INET, SOCK_STREAM, 0}, 7);
    call(writer, 1, SYS_connect, {7, 0x1000, 16}, 0, "inet 10.0.0.1:80");
    call(writer, 1, SYS_kill, {0, 15}, 0);
  });
  const CommandResult learned = runAirr({"policy", "learn", path("trace.cap")});
  ASSERT_EQ(learned.status, 0) << learned.error;
  EXPECT_NE(learned.error.find("1 actions"), std::string::npos) << learned.error;
  EXPECT_NE(learned.output.find("path under (/srv/data)"), std::string::npos) << learned.output;
  std::ofstream(path("learned.yaml")) << learned.output;
  const Judgement again = judge(path("trace.cap"), {path("learned.yaml"), "", 1});
  EXPECT_EQ(again.newlyBlocked, 1u);  // the odd one
  EXPECT_EQ(runAirr({"policy", "fmt", "--check", path("learned.yaml")}).status, 0);
}

}  // namespace
}  // namespace airr
