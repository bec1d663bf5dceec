// Which files replayed tasks map: those of the host while they are what they were, else copies.
#include "replayer/blob_files.h"

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

class BlobFilesTest : public TraceTest {
 protected:
  // A trace with one blob, the content of a file.
  std::unique_ptr<TraceReader> record(const std::string& file, const ByteVector& content) {
    writeFile(file, content);
    settle();
    {
      TraceWriter writer = create(path("trace"));
      UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
      EXPECT_EQ(writer.addFile(fd.get()), 0u);
      writeNote(writer, 1, "one");
      writer.seal();
    }
    return std::make_unique<TraceReader>(path("trace"), &keys_);
  }

  const ByteVector content_ = noise(100'000, 7);
};

TEST_F(BlobFilesTest, AnUnchangedFileIsUsedItself) {
  const auto trace = record(path("file"), content_);
  BlobFiles files(*trace, &keys_);
  EXPECT_EQ(files.pathOf(0), path("file"));
  EXPECT_EQ(files.pathOf(0), path("file"));
}

TEST_F(BlobFilesTest, ASmallOneIsNot) {
  const auto trace = record(path("file"), noise(BlobCache::kSmallestFile - 1, 7));
  EXPECT_NE(BlobFiles(*trace, &keys_).pathOf(0), path("file"));
}

TEST_F(BlobFilesTest, WithoutTheKeyItIsNot) {
  record(path("file"), content_);
  const TraceReader trace(path("trace"), nullptr);
  BlobFiles files(trace, &keys_);
  EXPECT_NE(files.pathOf(0), path("file"));
  EXPECT_EQ(readFile(files.pathOf(0)), content_);
}

TEST_F(BlobFilesTest, AChangedOneIsNot) {
  const auto trace = record(path("file"), content_);
  writeFile(path("file"), noise(100'000, 8));
  BlobFiles files(*trace, &keys_);
  EXPECT_NE(files.pathOf(0), path("file"));
  EXPECT_EQ(readFile(files.pathOf(0)), content_);
}

TEST_F(BlobFilesTest, OneThatChangesMeanwhileIsNotAnyMore) {
  const auto trace = record(path("file"), content_);
  BlobFiles files(*trace, &keys_);
  EXPECT_EQ(files.pathOf(0), path("file"));
  std::filesystem::remove(path("file"));
  const std::string copy = files.pathOf(0);
  EXPECT_NE(copy, path("file"));
  EXPECT_EQ(readFile(copy), content_);
  EXPECT_EQ(files.pathOf(0), copy);
}

}  // namespace
}  // namespace airr
