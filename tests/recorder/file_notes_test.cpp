#include "recorder/file_notes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace airr {
namespace {

class FileNotesTest : public testing::Test {
 protected:
  FileNotesTest() {
    setenv("AIRR_CACHE_DIR", place().c_str(), 1);
    std::filesystem::remove_all(place());
    key_.fill(7);
  }
  ~FileNotesTest() override {
    std::filesystem::remove_all(place());
    unsetenv("AIRR_CACHE_DIR");
  }
  static std::string place() { return testing::TempDir() + "file-notes"; }
  // A version that is old enough to be settled.
  static FileVersion version(uint64_t inode, int64_t changed = 1) { return {1, inode, 100, 1, changed}; }

  std::array<uint8_t, 32> key_{};
};

TEST_F(FileNotesTest, FindsWhatWasKeptForThatVersion) {
  const std::vector<uint8_t> note{1, 2, 3};
  FileNotes(key_, "sites").keep(version(5), note);
  FileNotes notes(key_, "sites");
  EXPECT_EQ(notes.find(version(5)), note);
  EXPECT_EQ(notes.find(version(5, 2)), std::nullopt);
  EXPECT_EQ(notes.find(version(6)), std::nullopt);
  EXPECT_EQ(FileNotes(key_, "other").find(version(5)), std::nullopt);
}

TEST_F(FileNotesTest, KeepsAnEmptyNote) {
  FileNotes notes(key_, "sites");
  notes.keep(version(5), {});
  EXPECT_EQ(notes.find(version(5)), std::vector<uint8_t>());
}

TEST_F(FileNotesTest, DoesNotBelieveAnotherKeyOrAChangedByte) {
  FileNotes notes(key_, "sites");
  notes.keep(version(5), std::vector<uint8_t>{1, 2, 3});
  std::array<uint8_t, 32> other{};
  EXPECT_EQ(FileNotes(other, "sites").find(version(5)), std::nullopt);
  const std::string file = place() + "/" + version(5).cacheName() + ".sites";
  for (int at : {0, 31, 32, 34}) {
    notes.keep(version(5), std::vector<uint8_t>{1, 2, 3});
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(stream.seekg(at));
    const char byte = static_cast<char>(stream.get() ^ 1);
    stream.seekp(at);
    stream.put(byte);
    stream.close();
    EXPECT_EQ(notes.find(version(5)), std::nullopt) << at;
  }
}

TEST_F(FileNotesTest, KeepsNothingOfAFileThatMayStillChangeUnseen) {
  std::ofstream(place() + ".file") << "content";
  struct stat status;
  ASSERT_EQ(stat((place() + ".file").c_str(), &status), 0);
  FileNotes notes(key_, "sites");
  notes.keep(FileVersion::of(status), std::vector<uint8_t>{1});
  EXPECT_EQ(notes.find(FileVersion::of(status)), std::nullopt);
  EXPECT_TRUE(std::filesystem::is_empty(place()));
}

}  // namespace
}  // namespace airr
