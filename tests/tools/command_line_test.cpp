#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/tools/airr_command.h"

namespace airr {
namespace {

using nlohmann::json;

size_t lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(CommandLine, UsageErrorsAreOneParagraphAnd125) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"bogus"},
      {"--bogus"},
      {"record"},
      {"record", "ls"},
      {"record", "--"},
      {"record", "--bogus", "--", "ls"},
      {"record", "--shim", "/nowhere/libairr.so", "--", "ls"},
      {"record", "--shim", "x", "--no-shim", "--", "ls"},
      {"replay"},
      {"replay", "a", "b"},
      {"replay", "--materialize"},
      {"verify"},
      {"inspect"},
      {"inspect", "--process", "x", "trace"},
      {"inspect", "--process", "-1", "trace"},
      {"inspect", "--syscall", "no_such_call", "trace"},
      {"syscalls", "extra"},
      {"classify"},
      {"classify", "ls"},
      {"classify", "--"},
      {"classify", "--shell", "ls", "--", "ls"},
      {"doctor", "--bogus"},
  };
  for (const auto& arguments : wrong) {
    CommandResult result = runAirr(arguments);
    std::string name = testing::PrintToString(arguments);
    EXPECT_EQ(result.status, 125) << name;
    EXPECT_EQ(result.output, "") << name;
    EXPECT_EQ(result.error.substr(0, 6), "airr: ") << name;
    EXPECT_EQ(lines(result.error), 1u) << name << result.error;
    EXPECT_EQ(result.error.substr(result.error.size() - 2), ".\n") << name << result.error;
  }
}

TEST(CommandLine, MessagesNameTheMistakeAndTheWayOut) {
  EXPECT_NE(runAirr({"bogus"}).error.find("bogus"), std::string::npos);
  EXPECT_NE(runAirr({"record", "ls"}).error.find("after --"), std::string::npos);
  EXPECT_NE(runAirr({"replay", "a", "b"}).error.find("airr replay --help"), std::string::npos);
}

TEST(CommandLine, ControlCharactersInArgumentsAreEscapedInMessages) {
  CommandResult result = runAirr({"verify", "/nowhere/\x1b]0;title\x07\n\xff"});
  EXPECT_EQ(result.status, 121);
  EXPECT_EQ(result.error.find('\x1b'), std::string::npos);
  EXPECT_EQ(lines(result.error), 1u);
  EXPECT_NE(result.error.find("\\x1b]0;title\\x07\\n\\xff"), std::string::npos) << result.error;
}

TEST(CommandLine, VersionAndHelpSucceed) {
  EXPECT_EQ(runAirr({"--version"}).output, "airr " AIRR_VERSION "\n");
  EXPECT_EQ(runAirr({"--help"}).status, 0);
  for (const char* command :
       {"record", "replay", "verify", "inspect", "classify", "syscalls", "doctor"}) {
    CommandResult result = runAirr({command, "--help"});
    EXPECT_EQ(result.status, 0) << command;
    EXPECT_EQ(result.error, "") << command;
    EXPECT_NE(result.output.find(std::string("Usage: airr ") + command), std::string::npos);
  }
}

TEST(CommandLine, HelpAfterTheSeparatorIsTheProgramsOwn) {
  CommandResult result = runAirr({"record", "--shim", "/nowhere", "--", "ls", "--help"});
  EXPECT_EQ(result.status, 125);
  EXPECT_EQ(result.output, "");
}

TEST(CommandLine, OutputThatCannotBeWrittenIsAFailure) {
  EXPECT_EQ(runAirr({"syscalls"}, "/dev/full").status, 125);
  EXPECT_EQ(runAirr({"--help"}, "/dev/full").status, 125);
}

TEST(CommandLine, SyscallsListsTheModel) {
  json table = json::parse(runAirr({"syscalls", "--json"}).output);
  EXPECT_GE(table.size(), 300u);
  auto openat = std::find_if(table.begin(), table.end(),
                             [](const json& row) { return row.at("name") == "openat"; });
  ASSERT_NE(openat, table.end());
  EXPECT_EQ(openat->at("number"), 257);
  EXPECT_NE(runAirr({"syscalls"}).output.find("openat"), std::string::npos);
}

TEST(CommandLine, DoctorAnswersForEveryProbe) {
  CommandResult result = runAirr({"doctor", "--json"});
  json report = json::parse(result.output);
  EXPECT_EQ(result.status, report.at("able") ? 0 : 125);
  for (const char* probe : {"kernel", "ptrace", "seccomp", "rdtsc-trap", "cpuid-trap", "landlock",
                            "user-namespaces", "hardware-counters", "random-instructions"}) {
    ASSERT_TRUE(report.at("host").contains(probe)) << probe;
    EXPECT_NE(report["host"][probe]["detail"], "") << probe;
  }
  bool clone3 = false;
  for (const json& call : report.at("refused")) clone3 |= call.at("name") == "clone3";
  EXPECT_TRUE(clone3);
  EXPECT_NE(runAirr({"doctor"}).output.find("ptrace"), std::string::npos);
}

}  // namespace
}  // namespace airr
