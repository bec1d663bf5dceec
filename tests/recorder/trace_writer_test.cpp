#include "recorder/trace_writer.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>

#include "recorder/digest.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "tests/recorder/raw_trace.h"

namespace airr {
namespace {

class TraceWriterTest : public TraceTest {
 protected:
  const std::string file_ = path("trace.cap");

  static std::vector<int> openDescriptors() {
    std::vector<int> numbers;
    for (auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      numbers.push_back(std::stoi(entry.path().filename()));
    }
    return numbers;
  }

  // The texts of all notes, and how the trace ends.
  std::vector<std::string> notes(TraceEnd end) const {
    TraceReader reader(file_, &keys_);
    std::vector<std::string> texts;
    while (auto event = reader.next()) texts.push_back(event->getNote().getText());
    EXPECT_EQ(reader.end(), end);
    return texts;
  }
};

// Limits the size of files that this process writes, for a scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &former_);
    const rlimit limit{bytes, former_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &former_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit former_;
};

TEST_F(TraceWriterTest, FlushedEventsSurviveAndTheRestDoesNotPretend) {
  TraceWriter writer = create(file_);
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{});
  writeNote(writer, 1, "a");
  EXPECT_EQ(writer.eventCount(), 1u);
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{});
  writer.flush();
  writer.flush();
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{"a"});
  writeNote(writer, 1, "b");
  writer.seal();
  EXPECT_EQ(notes(TraceEnd::kSealed), (std::vector<std::string>{"a", "b"}));
}

TEST_F(TraceWriterTest, DestructionWithoutSealKeepsTheEvents) {
  {
    TraceWriter writer = create(file_);
    writeNote(writer, 1, "a");
  }
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{"a"});
}

TEST_F(TraceWriterTest, NothingFollowsTheSeal) {
  TraceWriter writer = create(file_);
  writer.seal();
  const auto size = std::filesystem::file_size(file_);
  EXPECT_THROW(writer.begin(), Error);
  EXPECT_THROW(writer.addBlob("x", 1), Error);
  EXPECT_THROW(writer.seal(), Error);
  EXPECT_EQ(std::filesystem::file_size(file_), size);
}

TEST_F(TraceWriterTest, ReplacesAFileWithoutTouchingItsContent) {
  writeFile(file_, noise(100, 1), 0644);
  UniqueFd former(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  create(file_).seal();
  EXPECT_EQ(notes(TraceEnd::kSealed).size(), 0u);
  ByteVector bytes(100);
  ASSERT_EQ(readWhole(former.get(), bytes, 0), 100);
  EXPECT_EQ(bytes, noise(100, 1));
  struct stat status;
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(TraceWriterTest, RefusesPlacesThatAreNone) {
  const Error directory = errorOf([&] { create(directory_); });
  EXPECT_EQ(directory.code(), ExitCode::kFailure);
  EXPECT_NE(std::string(directory.what()).find(directory_), std::string::npos);
  EXPECT_EQ(errorOf([&] { create(path("absent/trace.cap")); }).code(), ExitCode::kFailure);
}

TEST_F(TraceWriterTest, RefusesASessionIdOfAnotherLength) {
  capnp::MallocMessageBuilder header;
  fillHeader(header);
  header.getRoot<schema::Header>().setSessionId(kj::arrayPtr(kSessionId.data(), 15));
  EXPECT_THROW(TraceWriter(file_, sessionKey(), header), Error);
}

TEST_F(TraceWriterTest, DescriptorsAreHighAndCloseOnExec) {
  const std::vector<int> before = openDescriptors();
  TraceWriter writer = create(file_);
  writeNote(writer, 1, "a");
  writer.flush();
  int own = 0;
  for (int fd : openDescriptors()) {
    if (::fcntl(fd, F_GETFD) < 0 || std::ranges::count(before, fd) > 0) continue;
    ++own;
    EXPECT_GE(fd, kFirstOwnFd);
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(own, 2);  // the trace and the cache's directory
}

TEST_F(TraceWriterTest, FullDeviceIsTheAnswerFromTheStart) {
  const Error error = errorOf([&] { create("/dev/full"); });
  EXPECT_EQ(error.code(), ExitCode::kFailure);
  EXPECT_NE(std::string(error.what()).find("'/dev/full': No space left"), std::string::npos)
      << error.what();
}

TEST_F(TraceWriterTest, FailedWriteStopsEverythingAndLeavesAWholeTrace) {
  TraceWriter writer = create(file_);
  writeNote(writer, 1, "kept");
  writer.flush();
  const auto whole = std::filesystem::file_size(file_);
  std::string first;
  {
    FileSizeLimit limit(whole + 1000);
    auto event = writer.begin();
    const ByteVector bytes = noise(5000, 1);
    event.setClocks(kj::arrayPtr(bytes.data(), bytes.size()));
    writer.commit();
    const Error error = errorOf([&] { writer.flush(); });
    EXPECT_EQ(error.code(), ExitCode::kFailure);
    EXPECT_FALSE(error.remedy().empty());
    first = error.what();
    EXPECT_NE(first.find("File too large"), std::string::npos) << first;
  }
  // There is room again, but what failed to be recorded cannot be made good.
  EXPECT_EQ(errorOf([&] { writer.begin(); }).what(), first);
  EXPECT_EQ(errorOf([&] { writer.flush(); }).what(), first);
  EXPECT_EQ(errorOf([&] { writer.addBlob("x", 1); }).what(), first);
  EXPECT_EQ(errorOf([&] { writer.seal(); }).what(), first);
  EXPECT_EQ(std::filesystem::file_size(file_), whole);
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{"kept"});
}

TEST_F(TraceWriterTest, BlobThatCannotBeWrittenStopsEverything) {
  TraceWriter writer = create(file_);
  writeNote(writer, 1, "kept");
  writer.flush();
  FileSizeLimit limit(std::filesystem::file_size(file_) + 1000);
  const ByteVector blob = noise(5000, 1);
  const Error error = errorOf([&] {
    writer.addBlob(blob.data(), blob.size());
    writer.seal();  // at the latest: the blob is written beside the session
  });
  EXPECT_NE(std::string(error.what()).find("File too large"), std::string::npos) << error.what();
  EXPECT_EQ(errorOf([&] { writer.begin(); }).what(), std::string(error.what()));
  EXPECT_EQ(errorOf([&] { writer.flush(); }).what(), std::string(error.what()));
  EXPECT_EQ(errorOf([&] { writer.addBlob("x", 1); }).what(), std::string(error.what()));
  EXPECT_EQ(notes(TraceEnd::kUnsealed), std::vector<std::string>{"kept"});
}

// Events neither wait for a blob that comes before them nor for its parts.
TEST_F(TraceWriterTest, EventsOvertakeBlobs) {
  const ByteVector blob = noise(60 << 20, 1);
  {
    TraceWriter writer = create(file_);
    writer.addBlob(blob.data(), blob.size());
    writeNote(writer, 1, "at once");
    writer.flush();
    TraceReader reader(file_, &keys_);
    ASSERT_TRUE(reader.next());
    while (reader.next()) continue;
    EXPECT_EQ(reader.blobCount(), 0u);
    while (std::filesystem::file_size(file_) < blob.size()) {
      writeNote(writer, 1, "in between");
      writer.flush();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    writer.seal();
  }
  const auto frames = framesOf(readFile(file_));
  auto isPart = [](const FrameAt& frame) { return frame.header.type == FrameType::kPart; };
  const auto first = std::ranges::find_if(frames, isPart);
  const auto last = std::ranges::find_if(
      frames, [](const FrameAt& frame) { return frame.header.type == FrameType::kBlob; });
  EXPECT_GT(std::count_if(first, last, isPart), 100);
  EXPECT_GT(std::count_if(first, last, std::not_fn(isPart)), 0);
  TraceReader reader(file_, &keys_);
  EXPECT_TRUE(reader.readBlob(0, 0, blob.size()) == blob);
}

TEST_F(TraceWriterTest, DestructionWithoutSealKeepsTheBlobs) {
  const ByteVector blob = noise(3'000'000, 1);
  {
    TraceWriter writer = create(file_);
    writer.addBlob(blob.data(), blob.size());
  }
  TraceReader reader(file_, &keys_);
  EXPECT_TRUE(reader.readBlob(0, 0, blob.size()) == blob);
}

TEST_F(TraceWriterTest, AFullFrameThatCannotBeWrittenIsReportedBeforeWhatFollows) {
  TraceWriter writer = create(file_);
  FileSizeLimit limit(std::filesystem::file_size(file_));
  const ByteVector text = noise(140'000, 1);
  auto event = writer.begin();
  event.setClocks(kj::arrayPtr(text.data(), text.size()));
  const auto follow = [&] {
    writer.commit();
    writer.flush();
  };
  EXPECT_THROW(follow(), Error);
  EXPECT_THROW(writer.begin(), Error);
}

TEST_F(TraceWriterTest, FullFramesAreInTheFileInTheirOrderWhenFlushReturns) {
  TraceWriter writer = create(file_);
  constexpr uint32_t kEvents = 3000;
  const ByteVector text = noise(1000, 1);
  for (uint32_t task = 1; task <= kEvents; ++task) {
    auto event = writer.begin();
    event.setTask(task);
    event.setClocks(kj::arrayPtr(text.data(), text.size()));
    writer.commit();
    if (task % 700 != 0 && task != kEvents) continue;
    writer.flush();
    TraceReader reader(file_, &keys_);
    uint32_t seen = 0;
    while (auto next = reader.next()) EXPECT_EQ(next->getTask(), ++seen);
    EXPECT_EQ(seen, task);
  }
}

TEST_F(TraceWriterTest, RefusesAnEventBeyondTheBoundOfAFrame) {
  TraceWriter writer = create(file_);
  writer.begin().initClocks(kMaxEventsFrame);
  EXPECT_THROW(writer.commit(), Error);
}

TEST_F(TraceWriterTest, AFileThatCannotBeTakenLeavesTheWriterAsItWas) {
  TraceWriter writer = create(file_);
  UniqueFd sparse(::open(path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(sparse.get(), 5ll << 30), 0);
  EXPECT_THROW(writer.addFile(sparse.get()), Error);
  writeNote(writer, 1, "a");
  writer.seal();
  EXPECT_EQ(notes(TraceEnd::kSealed), std::vector<std::string>{"a"});
}

// An event that was begun and given up must not show through in the next.
TEST_F(TraceWriterTest, AbandonedEventLeavesNoTrace) {
  {
    TraceWriter writer = create(file_);
    writer.begin().initExec().setPath("abandoned");
    auto event = writer.begin();
    event.initTaskExit();
    writer.commit();
    writer.seal();
  }
  TraceReader reader(file_, &keys_);
  const auto event = reader.next();
  ASSERT_TRUE(event && event->isTaskExit());
  EXPECT_EQ(event->getTaskExit().getStatus(), 0);
  EXPECT_FALSE(event->getTaskExit().hasWrites());
  EXPECT_FALSE(reader.next());
}

TEST_F(TraceWriterTest, WritesTheSameBytesForTheSameSession) {
  auto record = [&](const std::string& name) {
    TraceWriter writer = create(path(name));
    const ByteVector blob = noise(100'000, 4);
    for (uint32_t i = 0; i < 5000; ++i) {
      if (i % 1000 == 0) writer.addBlob(blob.data(), blob.size() - i);
      writeNote(writer, i, "note " + std::to_string(i));
      if (i % 1000 == 999) writer.flush();
    }
    writer.seal();
    return readFile(path(name));
  };
  // Blobs may come earlier or later, as the compressing thread gets on; nothing else may differ.
  EXPECT_EQ(record("a").size(), record("b").size());
}

}  // namespace
}  // namespace airr
