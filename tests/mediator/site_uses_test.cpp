// What is learnt of the call sites that an executable's processes use, and what later sessions find of it.
#include "mediator/site_uses.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace airr {
namespace {

class SiteUsesTest : public testing::Test {
 protected:
  SiteUsesTest() {
    setenv("AIRR_CACHE_DIR", place().c_str(), 1);
    std::filesystem::remove_all(place());
    key_.fill(7);
    for (uint64_t offset : {100, 200, 300}) library_.sites.push_back({.offset = offset});
    executable_.sites = library_.sites;
  }
  ~SiteUsesTest() override {
    std::filesystem::remove_all(place());
    unsetenv("AIRR_CACHE_DIR");
  }
  static std::string place() { return testing::TempDir() + "site-uses"; }
  static FileVersion version(uint64_t inode) { return {1, inode, 100, 1, 1}; }  // long settled

  // A session in which the executable's processes use the sites of the library, each so many times.
  void session(std::initializer_list<size_t> sites, int times = 1) {
    SiteUses uses(key_);
    SiteUses::Executable& executable = uses.of(executable_);
    for (size_t site : sites)
      for (int i = 0; i < times; ++i) executable.note(library_, library_.sites[site]);
    uses.keep();
  }
  // How often a session that begins now takes a site of the library to have been used.
  uint32_t found(const ProgramFile& executable, size_t site) {
    SiteUses uses(key_);
    return uses.of(executable).of(library_)[&library_.sites[site]].uses;
  }

  std::array<uint8_t, 32> key_{};
  ProgramFile executable_{version(5), {}}, library_{version(6), {}};
};

TEST_F(SiteUsesTest, SaysWhenASiteHasBeenUsedOftenEnough) {
  SiteUses uses(key_);
  SiteUses::Executable& executable = uses.of(executable_);
  EXPECT_FALSE(executable.note(library_, library_.sites[1]));
  EXPECT_TRUE(executable.note(library_, library_.sites[1]));
  EXPECT_FALSE(executable.note(library_, library_.sites[1]));
  EXPECT_EQ(&uses.of(executable_), &executable);
}

TEST_F(SiteUsesTest, LaterSessionsFindWhatEarlierOnesUsed) {
  session({0, 1}, 5);
  EXPECT_EQ(found(executable_, 0), SiteUses::kEnough);
  EXPECT_EQ(found(executable_, 1), SiteUses::kEnough);
  EXPECT_EQ(found(executable_, 2), 0u);
}

TEST_F(SiteUsesTest, OneUseInEachOfTwoSessionsIsEnough) {
  session({2});
  EXPECT_EQ(found(executable_, 2), 1u);
  session({2});
  EXPECT_EQ(found(executable_, 2), SiteUses::kEnough);
}

TEST_F(SiteUsesTest, ASessionThatUsesOthersForgetsNothing) {
  session({0}, 2);
  session({1}, 2);
  EXPECT_EQ(found(executable_, 0), SiteUses::kEnough);
  EXPECT_EQ(found(executable_, 1), SiteUses::kEnough);
  // Nor one that does not map the library.
  SiteUses uses(key_);
  uses.of(executable_).note(executable_, executable_.sites[0]);
  uses.keep();
  EXPECT_EQ(found(executable_, 0), SiteUses::kEnough);
}

TEST_F(SiteUsesTest, AnotherExecutableOrVersionHasItsOwn) {
  session({0}, 2);
  EXPECT_EQ(found({version(7), {}}, 0), 0u);
  library_.version = version(8);
  EXPECT_EQ(found(executable_, 0), 0u);
}

TEST_F(SiteUsesTest, NotedSitesThatTheFileHasNotAreLeftOut) {
  session({0, 1, 2}, 2);
  library_.sites.erase(library_.sites.begin() + 1);
  SiteUses uses(key_);
  EXPECT_EQ(uses.of(executable_).of(library_).size(), 2u);
}

TEST_F(SiteUsesTest, ADamagedNoteIsNone) {
  const FileNotes notes(key_, "uses1");
  for (const std::vector<uint8_t>& note : {std::vector<uint8_t>(47, 0xff), std::vector<uint8_t>(200, 0xff), std::vector<uint8_t>()}) {
    notes.keep(executable_.version, note);
    EXPECT_EQ(found(executable_, 0), 0u);
  }
}

}  // namespace
}  // namespace airr
