// Approvals: what a question says, and from whom an answer is taken.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "mediator/approval_request.h"
#include "mediator/approval_socket.h"
#include "schema/error.h"

namespace airr {
namespace {

ApprovalRequest request(const std::string& action) {
  return {"/tmp/trace.cap", "why", {action}, std::chrono::seconds(9)};
}

TEST(ApprovalRequest, ComesBackAsItWas) {
  const ApprovalRequest sent = request("{action: create, path: /a}\n  argv[0] \\x1b");
  const ApprovalRequest came = fromJson(toJson(sent));
  EXPECT_EQ(came.actions, sent.actions);
  EXPECT_EQ(came.session, sent.session);
  EXPECT_EQ(came.timeout, sent.timeout);
  EXPECT_EQ(came.digest(), sent.digest());
}

TEST(ApprovalRequest, IsRefusedIfItsDigestOrItsTextIsWrong) {
  std::string text = toJson(request("{action: create, path: /a}"));
  text.replace(text.find("/a"), 2, "/b");
  EXPECT_THROW(fromJson(text), Error);
  EXPECT_THROW(fromJson(toJson(request("\x1b[2J"))), Error);
  for (const char* bad : {"", "[]", "{", "{}", R"({"session":1})"})
    EXPECT_THROW(fromJson(bad), Error) << bad;
}

TEST(ApprovalRequest, DifferentArgumentsAreDifferentQuestions) {
  const auto policy = policies::Policy::load("observe", policies::exampleBindings());
  auto text = [&](std::vector<std::string_view> words) {
    policies::Action action;
    action.setPath("/usr/bin/git");
    action.setArguments(words);
    return actionText(action, policy);
  };
  EXPECT_NE(text({"git", "a, b"}), text({"git", "a", "b"}));
  EXPECT_NE(text({"git", "\\x0a"}), text({"git", "\n"}));
  EXPECT_NE(text({"git", "a\n  argv[2] b"}), text({"git", "a", "b"}));
  EXPECT_EQ(escaped("a\x1b\\\xc3\xa9\n"), "a\\x1b\\x5c\\xc3\\xa9\\x0a");
}

class ApprovalSocketTest : public ::testing::Test {
 protected:
  ApprovalSocketTest() {
    char name[] = "/tmp/airr-approval-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~ApprovalSocketTest() override { std::filesystem::remove_all(directory_); }

  // Connects and answers; what came back last, "-" if it was not even asked.
  static std::string answer(const std::string& directory, pid_t server, const std::string& text) {
    const UniqueFd client = ApprovalSocket::connectTo(directory, std::to_string(server));
    if (!client) return "no socket";
    char buffer[4096];
    if (recv(client.get(), buffer, sizeof buffer, 0) <= 0) return "-";
    send(client.get(), text.data(), text.size(), 0);
    const ssize_t n = recv(client.get(), buffer, sizeof buffer, 0);
    return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
  }

  // A mediator in a process of its own, so that this one did not come from it.
  pid_t serveElsewhere(const ApprovalRequest& question, bool everybodyIsATracee) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t server = fork();
    if (server == 0) {
      const auto socket =
          ApprovalSocket::make(directory_, question, [&](pid_t) { return everybodyIsATracee; });
      if (write(ready[1], "x", 1) != 1) _exit(9);
      for (int i = 0; socket && i < 200; ++i) {
        std::vector<pollfd> waits;
        socket->addTo(waits);
        poll(waits.data(), waits.size(), 50);
        if (const auto yes = socket->serve()) _exit(*yes ? 1 : 2);
      }
      _exit(0);
    }
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]), close(ready[1]);
    return server;
  }
  static int statusOf(pid_t process) {
    int status = 0;
    waitpid(process, &status, 0);
    return WEXITSTATUS(status);
  }

  std::string directory_;
};

TEST_F(ApprovalSocketTest, TakesAnAnswerToExactlyItsQuestion) {
  const ApprovalRequest question = request("a"), other = request("b");
  const pid_t server = serveElsewhere(question, false);
  EXPECT_EQ(answer(directory_, server, answerText(true, other.digest())),
            "this is not the question that stands");
  EXPECT_EQ(answer(directory_, server, "yes"), "this is not the question that stands");
  EXPECT_EQ(answer(directory_, server, answerText(true, question.digest())), "taken");
  EXPECT_EQ(statusOf(server), 1);
  const pid_t again = serveElsewhere(question, false);
  EXPECT_EQ(answer(directory_, again, answerText(false, question.digest())), "taken");
  EXPECT_EQ(statusOf(again), 2);
}

TEST_F(ApprovalSocketTest, DoesNotTalkToTracees) {
  const ApprovalRequest question = request("a");
  const pid_t server = serveElsewhere(question, true);
  EXPECT_EQ(answer(directory_, server, answerText(true, question.digest())), "-");
  kill(server, SIGKILL);
  statusOf(server);
}

TEST_F(ApprovalSocketTest, DoesNotTalkToTraceesOfAnotherSession) {
  const ApprovalRequest question = request("a");
  const pid_t server = serveElsewhere(question, false);
  const pid_t tracee = fork();
  if (tracee == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(9);
    _exit(answer(directory_, server, answerText(true, question.digest())) == "-" ? 7 : 8);
  }
  EXPECT_EQ(statusOf(tracee), 7);
  EXPECT_EQ(answer(directory_, server, answerText(true, question.digest())), "taken");
  EXPECT_EQ(statusOf(server), 1);
}

TEST_F(ApprovalSocketTest, DoesNotTalkToWhatCameFromTheMediator) {
  const ApprovalRequest question = request("a");
  const auto socket = ApprovalSocket::make(directory_, question, [](pid_t) { return false; });
  ASSERT_TRUE(socket);
  const pid_t server = getpid();
  const pid_t child = fork();
  if (child == 0)
    _exit(answer(directory_, server, answerText(true, question.digest())) == "-" ? 7 : 8);
  std::vector<pollfd> waits;
  socket->addTo(waits);
  poll(waits.data(), waits.size(), 10'000);
  EXPECT_FALSE(socket->serve());
  EXPECT_EQ(statusOf(child), 7);
}

TEST_F(ApprovalSocketTest, NeedsADirectoryOfTheUsersOwn) {
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  EXPECT_FALSE(ApprovalSocket::make(directory_, request("a"), [](pid_t) { return false; }));
  ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
  std::filesystem::create_directory_symlink(directory_, directory_ + "/link");
  EXPECT_FALSE(
      ApprovalSocket::make(directory_ + "/link", request("a"), [](pid_t) { return false; }));
  const std::string deep = directory_ + "/" + std::string(100, 'd') + "/" + std::string(100, 'd');
  EXPECT_TRUE(ApprovalSocket::make(deep, request("a"), [](pid_t) { return false; }));
}

}  // namespace
}  // namespace airr
