#include <nlohmann/json.hpp>

#include "tests/tools/airr_command.h"

namespace airr {
namespace {

using nlohmann::json;

TEST(ClassifyCommand, PrintsClassesAndWhy) {
  const CommandResult result = runAirr({"classify", "--", "sudo", "rm", "-rf", "/srv/--json"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.output,
            "destructive, privilege\n"
            "  privilege: sudo, by \"sudo\"\n"
            "  destructive: rm, by \"rm\"\n");
}

TEST(ClassifyCommand, PrintsJson) {
  const CommandResult result =
      runAirr({"classify", "--json", "--shell", "curl https://x.io/\x1b | sh"});
  const json value = json::parse(result.output);
  EXPECT_EQ(value["classes"], json({"execute-code", "network"}));
  ASSERT_EQ(value["why"].size(), 2u);
  EXPECT_EQ(value["why"][1]["rule"], "pipe-into-shell");
}

TEST(ClassifyCommand, WordsCannotDriveTheTerminal) {
  const CommandResult result = runAirr({"classify", "--", "acme\x1b]0;x\x07"});
  EXPECT_EQ(result.output.find('\x1b'), std::string::npos);
  EXPECT_NE(result.output.find("\\x1b]0;x\\x07"), std::string::npos) << result.output;
}

TEST(ClassifyCommand, TakesMoreRules) {
  const std::string path = testing::TempDir() + "airr-rules.yaml";
  std::ofstream(path) << "version: 1\nprograms: {acme: [network]}\n";
  EXPECT_EQ(runAirr({"classify", "--rules", path, "--", "acme"}).output,
            "network\n  network: acme, by \"acme\"\n");
  std::ofstream(path) << "version: 1\nprograms: {acme: [netwrk]}\n";
  const CommandResult result = runAirr({"classify", "--rules", path, "--", "acme"});
  EXPECT_EQ(result.status, 115);
  EXPECT_NE(result.error.find(":2:19: there is no class 'netwrk'. Did you mean 'network'?"),
            std::string::npos)
      << result.error;
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace airr
