// Runs the `airr` that was built, as a user would.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace airr {

struct CommandResult {
  int status = -1;  // exit status, or 128 + signal
  std::string output, error;
};

// `outputFile`: where standard output goes instead of into the result.
inline CommandResult runAirr(std::vector<std::string> arguments,
                             const std::string& outputFile = {}) {
  std::string scratch = testing::TempDir() + "airr-run-XXXXXX";
  scratch = ::mkdtemp(scratch.data());
  const std::string out = outputFile.empty() ? scratch + "/out" : outputFile;
  const std::string err = scratch + "/err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);

  arguments.insert(arguments.begin(), "airr");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  CommandResult result;
  pid_t child = -1;
  int error = posix_spawn(&child, AIRR_EXECUTABLE, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) {
    int status = 0;
    waitpid(child, &status, 0);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    auto content = [](const std::string& path) {
      std::ifstream file(path, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(file), {});
    };
    if (outputFile.empty()) result.output = content(out);
    result.error = content(err);
  }
  std::filesystem::remove_all(scratch);
  return result;
}

}  // namespace airr
