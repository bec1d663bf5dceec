// AIRR_SHIM and AIRR_SHIM_PROBE are the paths of libairr.so and of shim_probe.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/recorder/gated_program.h"

namespace airr {
namespace {

using Note = std::pair<int, std::string>;

const std::string kPreload = "LD_PRELOAD=" AIRR_SHIM;

test::GatedRun run(const std::vector<std::string>& arguments, uint64_t yieldAt = UINT64_MAX) {
  airr_gate_data data{};
  data.mode = AIRR_GATE_RECORD;
  data.limit = AIRR_GATE_CLOCKS;
  data.yield_at = yieldAt;
  std::vector<std::string> argv = {AIRR_SHIM_PROBE};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return test::runGated(argv, {kPreload}, data);
}

std::string runNatively(const std::string& environment, const std::string& arguments) {
  FILE* pipe =
      popen(("env " + environment + " " AIRR_SHIM_PROBE " " + arguments + " 2>&1").c_str(), "r");
  std::string output;
  for (std::array<char, 256> part; fgets(part.data(), part.size(), pipe) != nullptr;) {
    output += part.data();
  }
  EXPECT_EQ(pclose(pipe), 0);
  return output;
}

int64_t yields(const test::GatedRun& done) {
  return std::count(done.notes.begin(), done.notes.end(), Note(AIRR_NOTE_YIELD, ""));
}

constexpr const char* kNotesOutput =
    "early 0\n"
    "getaddrinfo 0\n"
    "dlopen 42\n"
    "dlopen null 1\n"
    "posix_spawnp 0\n"
    "status 0\n"
    "system 3\n"
    "popen from popen\n"
    "random 1\n"
    "1 2 3 4 5 6 7 8 9\n";

TEST(Shim, WithoutAMediatorChangesNothing) {
  for (const std::string& environment : {std::string("-u LD_PRELOAD"), kPreload}) {
    EXPECT_EQ(runNatively(environment, "notes"), kNotesOutput) << environment;
    EXPECT_EQ(runNatively(environment, "points 3"), "early 0\npoints 9\n") << environment;
    EXPECT_EQ(runNatively(environment, "threads 20"), "early 0\nthreads 1\n") << environment;
    EXPECT_EQ(runNatively(environment, "libraries"), "early 0\nlibraries 1 0\n") << environment;
  }
}

TEST(Shim, SaysWhatTheProgramDoes) {
  const auto done = run({"notes"});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.output, kNotesOutput);
  const std::vector<Note> expected = {
      {AIRR_NOTE_HELLO, AIRR_VERSION},
      {AIRR_NOTE_RESOLVE, "getaddrinfo 127.0.0.1 80"},
      {AIRR_NOTE_LOAD, "dlopen libshim_plugin.so"},
      {AIRR_NOTE_LOAD, "dlopen "},
      {AIRR_NOTE_SPAWN, "posix_spawnp true"},
      {AIRR_NOTE_SPAWN, "system exit 3"},
      {AIRR_NOTE_SPAWN, "popen echo from popen"},
      {AIRR_NOTE_RANDOM, "std::random_device"},
      {AIRR_NOTE_SPAWN, "execlp echo"},
  };
  std::vector<Note> said;
  for (const Note& note : done.notes) {
    // Each program that is started says hello too.
    if (note.first != AIRR_NOTE_HELLO || said.empty()) said.push_back(note);
  }
  EXPECT_EQ(said, expected);
}

TEST(Shim, CountsSchedulingPoints) {
  const auto none = run({"points", "0"}), ten = run({"points", "10"});
  EXPECT_EQ(ten.output, "early 0\npoints 30\n");
  EXPECT_EQ(ten.data.hook_count - none.data.hook_count, 80u);
  EXPECT_EQ(yields(ten), 0);
}

TEST(Shim, YieldsWhereItIsAskedTo) {
  const uint64_t total = run({"points", "10"}).data.hook_count;
  for (const uint64_t from : {total + 1, total, total - 2, uint64_t{0}}) {
    const auto done = run({"points", "10"}, from);
    EXPECT_EQ(done.output, "early 0\npoints 30\n");
    EXPECT_EQ(done.data.hook_count, total);
    EXPECT_EQ(yields(done), static_cast<int64_t>(from == 0 ? total : total + 1 - from)) << from;
  }
}

TEST(Shim, ThreadsWorkWhileEveryPointYields) {
  const auto done = run({"threads", "20"}, 0);
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.output, "early 0\nthreads 1\n");
  EXPECT_GE(done.data.hook_count, 64u);
  EXPECT_EQ(
      std::count(done.notes.begin(), done.notes.end(), Note(AIRR_NOTE_THREAD, "pthread_create")),
      1);
}

}  // namespace
}  // namespace airr
