#include "replayer/trace_reader.h"

#include "recorder/digest.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "tests/recorder/raw_trace.h"

namespace airr {
namespace {

class TraceReaderTest : public TraceTest {
 protected:
  const std::string file_ = path("trace.cap");
};

TEST_F(TraceReaderTest, HeaderRoundTrip) {
  {
    capnp::MallocMessageBuilder message;
    fillHeader(message);
    auto header = message.getRoot<schema::Header>();
    auto arguments = header.initArguments(2000);
    for (unsigned i = 0; i < arguments.size(); ++i) {
      arguments.set(i, "an argument that makes the message take several segments");
    }
    TraceWriter(file_, sessionKey(), message).seal();
  }
  const TraceReader reader(file_, &keys_);
  EXPECT_TRUE(reader.authenticated());
  EXPECT_EQ(reader.header().getStartedAt(), 1'700'000'000'000'000'000);
  EXPECT_EQ(reader.header().getArguments().size(), 2000u);
  const auto keyId = reader.header().getKeyId();
  EXPECT_TRUE(std::ranges::equal(keyId, sessionKey().rootId));
  EXPECT_FALSE(TraceReader(file_, nullptr).authenticated());
}

TEST_F(TraceReaderTest, EventsOfAllSizesInManyFrames) {
  std::vector<ByteVector> expected;
  {
    TraceWriter writer = create(file_);
    uint64_t seed = 0;
    for (size_t size : {0, 1, 100, 65'000, 65'536, 70'000, 3'000'000, 0, 10'000'000, 50}) {
      for (int i = 0; i < 20 && size * static_cast<size_t>(i) < 10'000'000; ++i) {
        expected.push_back(noise(size, ++seed));
        auto event = writer.begin();
        event.setTask(static_cast<uint32_t>(expected.size()));
        auto writes = event.initSyscall().initWrites(2);
        writes[0].setBytes(kj::arrayPtr(expected.back().data(), size));
        writes[1].setAddress(seed);
        writer.commit();
      }
    }
    writer.seal();
  }
  for (const KeyStore* keys : {&keys_, static_cast<KeyStore*>(nullptr)}) {
    TraceReader reader(file_, keys);
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t i = 0; i < expected.size(); ++i) {
        const auto event = reader.next();
        ASSERT_TRUE(event);
        ASSERT_EQ(reader.eventNumber(), i + 1);
        ASSERT_EQ(event->getTask(), i + 1);
        const auto writes = event->getSyscall().getWrites();
        ASSERT_TRUE(std::ranges::equal(writes[0].getBytes(), expected[i])) << i;
        ASSERT_EQ(writes[1].getAddress(), i + 1);
      }
      EXPECT_FALSE(reader.next());
      EXPECT_FALSE(reader.next());
      EXPECT_EQ(reader.end(), TraceEnd::kSealed);
      EXPECT_GT(reader.frameCount(), 20u);
      EXPECT_EQ(reader.validSize(), reader.fileSize());
      reader.rewind();
      EXPECT_THROW(reader.end(), Error);
    }
  }
}

TEST_F(TraceReaderTest, MultiSegmentEvents) {
  {
    TraceWriter writer = create(file_);
    for (unsigned count : {1, 40, 4000}) {
      auto pages = writer.begin().initExec().initPages(count);
      for (unsigned i = 0; i < count; ++i) pages[i].initBytes(4096)[17] = static_cast<uint8_t>(i);
      writer.commit();
    }
    writer.seal();
  }
  TraceReader reader(file_, &keys_);
  for (unsigned count : {1, 40, 4000}) {
    const auto event = reader.next();
    ASSERT_TRUE(event);
    const auto pages = event->getExec().getPages();
    ASSERT_EQ(pages.size(), count);
    for (unsigned i = 0; i < count; ++i) {
      ASSERT_EQ(pages[i].getBytes()[17], static_cast<uint8_t>(i));
    }
  }
  EXPECT_FALSE(reader.next());
}

TEST_F(TraceReaderTest, BlobsOfARecording) {
  std::vector<ByteVector> contents;
  {
    TraceWriter writer = create(file_);
    for (size_t i = 0; i < 40; ++i) {
      contents.push_back(noise(i * i * 500, i));
      auto event = writer.begin();
      const uint32_t number = writer.addBlob(contents[i].data(), contents[i].size());
      EXPECT_EQ(number, i);
      event.initSyscall().initWrites(1)[0].initBlob().setBlob(number);
      writer.commit();
      if (i % 7 == 0) writer.flush();
    }
    writer.seal();
  }
  TraceReader reader(file_, &keys_);
  for (size_t i = 0; i < contents.size(); ++i) {
    const auto event = reader.next();
    ASSERT_TRUE(event);
    const uint32_t blob = event->getSyscall().getWrites()[0].getBlob().getBlob();
    EXPECT_EQ(reader.blobInfo(blob).size, contents[i].size());
    EXPECT_EQ(reader.blobInfo(blob).digest, sha256(contents[i]));
    EXPECT_FALSE(reader.blobInfo(blob).redacted);
    EXPECT_EQ(reader.readBlob(blob, 0, contents[i].size()), contents[i]);
    reader.checkBlob(blob);
  }
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.end(), TraceEnd::kSealed);
  EXPECT_EQ(reader.blobCount(), contents.size());
}

// Blobs far behind the events that refer to them, parts with events between them, more than one
// zstd stream of events; asked for early, late, or never.
TEST_F(TraceReaderTest, ReadsAheadWithoutLosingEvents) {
  const ByteVector first = noise(100'000, 1), second = noise(50'000, 2);
  const ByteVector filler = noise(200'000, 3);
  uint64_t total = 0;
  {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    RawTrace trace(file_, sessionKey(), header);
    auto numbered = [&](size_t frames) {
      for (size_t i = 0; i < frames; ++i) {
        trace.events({[&](auto event) {
          event.setTime(++total);
          event.setClocks(kj::arrayPtr(filler.data(), filler.size()));
        }});
      }
    };
    numbered(30);  // 6 MB: beyond one restart of the stream
    trace.blob(first, {10, 5'000, 90'000}, [&] { numbered(10); });
    numbered(30);
    trace.blob(second, {30'000}, [&] { numbered(10); });
    trace.frames().sameBlob(sha256(first), first.size());
    numbered(5);
    trace.frames().seal();
  }
  const std::vector<ByteVector> contents = {first, second, first};
  for (const KeyStore* keys : {&keys_, static_cast<KeyStore*>(nullptr)}) {
    for (uint64_t askAt : {uint64_t{0}, uint64_t{1}, uint64_t{29}, uint64_t{35}, uint64_t{75},
                           uint64_t{97}, total}) {
      for (uint32_t blob : {0, 1, 2}) {
        TraceReader reader(file_, keys);
        for (uint64_t i = 0; i <= total; ++i) {
          if (i == askAt) {
            ASSERT_EQ(reader.readBlob(blob, 7, 9'000),
                      ByteVector(contents[blob].begin() + 7, contents[blob].begin() + 9'007));
          }
          const auto event = reader.next();
          ASSERT_EQ(event.has_value(), i < total);
          if (event) {
            ASSERT_EQ(event->getTime(), i + 1);
            ASSERT_TRUE(std::ranges::equal(event->getClocks(), filler));
          }
        }
        ASSERT_EQ(reader.end(), TraceEnd::kSealed);
        ASSERT_EQ(reader.blobCount(), 3u);
        for (uint32_t i = 0; i < 3; ++i) reader.checkBlob(i);
        ASSERT_EQ(reader.blobInfo(2).storedSize, 0u);
        reader.rewind();
        ASSERT_EQ(reader.next()->getTime(), 1u);
      }
    }
  }
}

TEST_F(TraceReaderTest, SaysThatTheTraceEndsBeforeABlob) {
  const ByteVector content = noise(1000, 1);
  for (bool sealed : {false, true}) {
    {
      capnp::MallocMessageBuilder header;
      fillHeader(header);
      RawTrace trace(file_, sessionKey(), header);
      trace.events({RawTrace::reference(1)});
      trace.blob(content);
      trace.events({RawTrace::note(1, "after")});
      if (sealed) trace.frames().seal();
    }
    TraceReader reader(file_, &keys_);
    ASSERT_TRUE(reader.next());
    for (int pass = 0; pass < 2; ++pass) {
      const Error error = errorOf([&] { reader.readBlob(1, 0, 1); });
      EXPECT_EQ(error.code(), sealed ? ExitCode::kUnreadable : ExitCode::kUnsealed);
      EXPECT_NE(std::string(error.what()).find(sealed ? "but has only 1" : "ends before blob 1"),
                std::string::npos)
          << error.what();
    }
    EXPECT_EQ(reader.readBlob(0, 0, 1000), content);
    const auto event = reader.next();
    ASSERT_TRUE(event && event->isNote());
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.end(), sealed ? TraceEnd::kSealed : TraceEnd::kUnsealed);
  }
}

TEST_F(TraceReaderTest, RangesOfBlobs) {
  const ByteVector bytes = noise(3'000'000, 1);
  {
    TraceWriter writer = create(file_);
    writer.addBlob(bytes.data(), bytes.size());
    writer.seal();
  }
  TraceReader reader(file_, &keys_);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.readBlob(0, 131'000, 200),
            ByteVector(bytes.begin() + 131'000, bytes.begin() + 131'200));
  EXPECT_EQ(reader.readBlob(0, bytes.size(), 0), ByteVector());
  for (auto [offset, length] : {std::pair<uint64_t, uint64_t>{3'000'000, 1},
                                {2'999'999, 2},
                                {UINT64_MAX, 2},
                                {1, UINT64_MAX}}) {
    EXPECT_EQ(errorOf([&] { reader.readBlob(0, offset, length); }).code(), ExitCode::kUnreadable);
  }
  EXPECT_EQ(errorOf([&] { reader.readBlob(1, 0, 0); }).code(), ExitCode::kUnreadable);
  EXPECT_EQ(errorOf([&] { reader.blobInfo(1); }).code(), ExitCode::kUnreadable);
}

// Larger than what the reader keeps in memory. Compresses well, so that the file is small.
TEST_F(TraceReaderTest, LargeFileIsStreamed) {
  const size_t size = 70 << 20;
  UniqueFd source(::open(path("source").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(source.get(), size), 0);
  ASSERT_EQ(::pwrite(source.get(), "needle", 6, 69 << 20), 6);
  {
    TraceWriter writer = create(file_);
    EXPECT_EQ(writer.addFile(source.get()), 0u);
    writer.seal();
  }
  TraceReader reader(file_, &keys_);
  EXPECT_FALSE(reader.next());
  UniqueFd copy(::open(path("copy").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  reader.writeBlob(0, copy.get());
  EXPECT_TRUE(readFile(path("copy")) == readFile(path("source")));
  EXPECT_EQ(reader.readBlob(0, (69 << 20) - 1, 8),
            (ByteVector{0, 'n', 'e', 'e', 'd', 'l', 'e', 0}));
}

// Exactly the bytes that docs/trace-format.md explains. If this fails, traces of earlier versions
// no longer open: raise the format version.
TEST_F(TraceReaderTest, ReadsTheDocumentedExample) {
  const char* kExample =
#include "tests/replayer/documented_trace.inc"
      ;
  ByteVector bytes;
  for (const char* at = kExample; *at != '\0'; at += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(at, 2), nullptr, 16)));
  }
  writeFile(file_, bytes);
  TraceReader reader(file_, &keys_);
  EXPECT_EQ(reader.header().getAirrVersion(), "0.1.0");
  auto event = reader.next();
  ASSERT_TRUE(event && event->isNote());
  EXPECT_EQ(event->getTask(), 1u);
  EXPECT_EQ(event->getTime(), 250u);
  EXPECT_EQ(event->getNote().getKind(), "tool");
  EXPECT_EQ(event->getNote().getText(), "ls");
  event = reader.next();
  ASSERT_TRUE(event && event->isSyscall());
  const auto range = event->getSyscall().getWrites()[0].getBlob();
  EXPECT_EQ(reader.readBlob(range.getBlob(), range.getOffset(), range.getLength()),
            (ByteVector{'h', 'e', 'l', 'l', 'o', '\n'}));
  event = reader.next();
  ASSERT_TRUE(event && event->isSessionEnd());
  EXPECT_EQ(event->getSessionEnd().getEvents(), 3u);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.end(), TraceEnd::kSealed);
}

}  // namespace
}  // namespace airr
