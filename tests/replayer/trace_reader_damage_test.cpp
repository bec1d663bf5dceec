// What TraceReader makes of traces that are cut, altered, or not traces.

#include <algorithm>
#include <cstring>
#include <optional>

#include "recorder/digest.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "replayer/trace_reader.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

// All that a reader can say of a trace.
struct Reading {
  std::vector<ByteVector> events;
  std::vector<ByteVector> blobs;
  std::optional<Error> error;
  TraceEnd end = TraceEnd::kSealed;
  uint64_t validSize = 0;
  uint64_t frames = 0;
};

class DamageTest : public TraceTest {
 protected:
  struct Frame {
    uint64_t start, end;
    FrameType type;
    uint64_t events;  // up to its end
  };

  DamageTest() {
    {
      TraceWriter writer = create(file_);
      writeNote(writer, 1, "first");
      writeNote(writer, 2, "second");
      writer.flush();
      const std::string blob = "content of a blob, content of a blob, content of a blob";
      writer.addBlob(blob.data(), blob.size());
      writer.flush();
      writeNote(writer, 3, "third");
      writer.seal();
    }
    original_ = readFile(file_);
    uint32_t length;
    std::memcpy(&length, original_.data() + 12, sizeof length);
    headerEnd_ = kFilePrefixSize + length + kTagSize;
    uint64_t events = 0;
    for (uint64_t at = headerEnd_; at < original_.size();) {
      const FrameHeader header = FrameHeader::decode(
          std::span<const uint8_t, kFrameHeaderSize>(original_.data() + at, kFrameHeaderSize));
      const uint64_t end = at + kFrameHeaderSize + header.storedSize;
      events += header.eventCount;
      frames_.push_back({at, end, header.type, events});
      at = end;
    }
  }

  Reading read(const ByteVector& bytes, bool withKey = true) const {
    writeFile(file_, bytes);
    Reading reading;
    std::optional<TraceReader> reader;
    try {
      reader.emplace(file_, withKey ? &keys_ : nullptr);
      while (auto event = reader->next()) reading.events.push_back(canonical(*event));
      reading.end = reader->end();
      for (uint32_t i = 0; i < reader->blobCount(); ++i) {
        reading.blobs.push_back(reader->readBlob(i, 0, reader->blobInfo(i).size));
      }
    } catch (const Error& error) {
      reading.error = error;
    } catch (const kj::Exception& exception) {
      reading.error = Error(ExitCode::kUnreadable, exception.getDescription().cStr());
    }
    if (reader) reading.validSize = reader->validSize();
    if (reader) reading.frames = reader->frameCount();
    return reading;
  }

  ByteVector prefix(uint64_t size) const {
    return {original_.begin(), original_.begin() + static_cast<ptrdiff_t>(size)};
  }
  const Frame& frameAt(uint64_t offset) const {
    return *std::ranges::find_if(frames_, [&](const Frame& f) { return offset < f.end; });
  }

  const std::string file_ = path("trace.cap");
  ByteVector original_;
  uint64_t headerEnd_ = 0;
  std::vector<Frame> frames_;
};

TEST_F(DamageTest, UndamagedIsSealed) {
  const Reading reading = read(original_);
  EXPECT_FALSE(reading.error);
  EXPECT_EQ(reading.end, TraceEnd::kSealed);
  EXPECT_EQ(reading.events.size(), 3u);
  EXPECT_EQ(reading.blobs.size(), 1u);
  EXPECT_EQ(reading.frames, 4u);
  ASSERT_EQ(frames_.size(), 4u);
  EXPECT_EQ(frames_[1].type, FrameType::kBlob);
}

TEST_F(DamageTest, CutAnywhereItReadsUpToTheLastWholeFrame) {
  const Reading all = read(original_);
  for (uint64_t size = 0; size < original_.size(); ++size) {
    const Reading reading = read(prefix(size));
    if (size < headerEnd_) {
      ASSERT_TRUE(reading.error) << size;
      ASSERT_EQ(reading.error->code(), ExitCode::kUnreadable) << size;
      ASSERT_NE(std::string(reading.error->what()).find("ends inside its header"),
                std::string::npos);
      continue;
    }
    ASSERT_FALSE(reading.error) << size << ": " << reading.error->what();
    uint64_t whole = headerEnd_, events = 0, frames = 0;
    for (const Frame& frame : frames_) {
      if (frame.end <= size) whole = frame.end, events = frame.events, ++frames;
    }
    ASSERT_EQ(reading.end, size == whole ? TraceEnd::kUnsealed : TraceEnd::kTruncated) << size;
    ASSERT_EQ(reading.validSize, whole) << size;
    ASSERT_EQ(reading.frames, frames) << size;
    ASSERT_EQ(reading.events.size(), events) << size;
    ASSERT_TRUE(std::equal(reading.events.begin(), reading.events.end(), all.events.begin()));
  }
}

// A byte either is noticed or, within compressed data only, makes no difference to what is read:
// the chain covers content, and zstd has more than one way to write the same content.
TEST_F(DamageTest, AnyAlteredByteIsNoticed) {
  const Reading all = read(original_);
  size_t harmless = 0;
  for (uint64_t at = 0; at < original_.size(); ++at) {
    for (uint8_t flip : {0x01, 0x10, 0x80, 0xff}) {
      ByteVector bytes = original_;
      bytes[at] ^= flip;
      const Reading reading = read(bytes);
      if (reading.error) {
        if (at >= headerEnd_) {
          ASSERT_EQ(reading.error->code(), ExitCode::kTampered) << at;
          // A frame that is made longer may still be whole; the next is not where it should be
          // then.
          ASSERT_LE(reading.validSize, frameAt(at).end + 255) << at;
        }
        ASSERT_LE(reading.events.size(), all.events.size());
        ASSERT_TRUE(std::equal(reading.events.begin(), reading.events.end(), all.events.begin()));
        continue;
      }
      // An altered length may reach beyond the end of the file.
      if (reading.end == TraceEnd::kTruncated) {
        ASSERT_EQ(reading.validSize, frameAt(at).start) << at;
        continue;
      }
      ++harmless;
      ASSERT_EQ(reading.end, TraceEnd::kSealed);
      ASSERT_EQ(reading.events, all.events) << at;
      ASSERT_EQ(reading.blobs, all.blobs) << at;
      ASSERT_GE(at, frameAt(at).start + kFrameHeaderSize) << "in a frame header";
    }
  }
  EXPECT_LT(harmless, 16u);
}

TEST_F(DamageTest, AlteredBytesNeverBreakAReaderWithoutKey) {
  size_t unnoticed = 0;
  for (uint64_t at = 0; at < original_.size(); ++at) {
    for (uint8_t flip : {0x01, 0x10, 0x80, 0xff}) {
      ByteVector bytes = original_;
      bytes[at] ^= flip;
      const Reading reading = read(bytes, false);
      if (!reading.error) ++unnoticed;
    }
  }
  EXPECT_GT(unnoticed, 0u);  // the tags, at least: nobody checked them
}

TEST_F(DamageTest, SaysWhichFrameAndWhere) {
  ByteVector bytes = original_;
  bytes[frames_[2].start + kFrameHeaderSize - 1] ^= 1;  // last byte of the tag
  const Reading reading = read(bytes);
  ASSERT_TRUE(reading.error);
  EXPECT_EQ(std::string(reading.error->what()),
            "frame 3 (bytes " + std::to_string(frames_[2].start) + "-" +
                std::to_string(frames_[2].end) + ") of '" + file_ +
                "' was altered: its tag does not match");
  EXPECT_EQ(reading.events.size(), 2u);
  EXPECT_EQ(reading.validSize, frames_[2].start);
  EXPECT_EQ(reading.frames, 2u);
}

TEST_F(DamageTest, FailureIsRepeatedUntilRewind) {
  ByteVector bytes = original_;
  bytes[frames_[2].start + kFrameHeaderSize - 1] ^= 1;
  writeFile(file_, bytes);
  TraceReader reader(file_, &keys_);
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_TRUE(reader.next());
    EXPECT_TRUE(reader.next());
    EXPECT_THROW(reader.next(), Error);
    EXPECT_THROW(reader.next(), Error);
    reader.rewind();
  }
}

TEST_F(DamageTest, FramesCannotBeRemovedSwappedOrRepeated) {
  auto piece = [&](const Frame& frame) {
    return ByteVector(original_.begin() + static_cast<ptrdiff_t>(frame.start),
                      original_.begin() + static_cast<ptrdiff_t>(frame.end));
  };
  auto assembled = [&](std::vector<size_t> order) {
    ByteVector bytes = prefix(headerEnd_);
    for (size_t i : order) {
      const ByteVector frame = piece(frames_[i]);
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
    return bytes;
  };
  ASSERT_FALSE(read(assembled({0, 1, 2, 3})).error);
  for (const auto& order : std::vector<std::vector<size_t>>{{1, 2, 3},
                                                            {0, 2, 3},
                                                            {0, 1, 3},
                                                            {3},
                                                            {1, 0, 2, 3},
                                                            {0, 2, 1, 3},
                                                            {0, 0, 1, 2, 3},
                                                            {0, 1, 1, 2, 3},
                                                            {0, 1, 2, 3, 3},
                                                            {0, 1, 2, 3, 0}}) {
    for (bool withKey : {true, false}) {
      const Reading reading = read(assembled(order), withKey);
      ASSERT_TRUE(reading.error);
      EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
    }
  }
}

TEST_F(DamageTest, NothingMayFollowTheSeal) {
  ByteVector bytes = original_;
  bytes.push_back(0);
  const Reading reading = read(bytes);
  ASSERT_TRUE(reading.error);
  EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
  EXPECT_EQ(reading.events.size(), 3u);
}

TEST_F(DamageTest, ZerosAtTheEndAreATruncation) {
  for (size_t frames : {0, 2}) {
    const uint64_t whole = frames == 0 ? headerEnd_ : frames_[frames - 1].end;
    ByteVector bytes = prefix(whole);
    bytes.resize(bytes.size() + 1000);
    const Reading reading = read(bytes);
    ASSERT_FALSE(reading.error);
    EXPECT_EQ(reading.end, TraceEnd::kTruncated);
    EXPECT_EQ(reading.validSize, whole);
    bytes.back() = 1;
    EXPECT_TRUE(read(bytes).error);
  }
}

TEST_F(DamageTest, RedactionLeavesTheChainWhole) {
  const Frame& blob = frames_[1];
  ByteVector bytes = prefix(blob.start + kFrameHeaderSize + sizeof(Digest));
  FrameHeader header = FrameHeader::decode(
      std::span<const uint8_t, kFrameHeaderSize>(bytes.data() + blob.start, kFrameHeaderSize));
  header.encoding = Encoding::kRedacted;
  header.storedSize = sizeof(Digest);
  header.encode(std::span<uint8_t, kFrameHeaderSize>(bytes.data() + blob.start, kFrameHeaderSize));
  bytes.insert(bytes.end(), original_.begin() + static_cast<ptrdiff_t>(blob.end), original_.end());
  writeFile(file_, bytes);

  TraceReader reader(file_, &keys_);
  while (reader.next()) continue;
  EXPECT_EQ(reader.end(), TraceEnd::kSealed);
  EXPECT_EQ(reader.eventNumber(), 3u);
  EXPECT_TRUE(reader.blobInfo(0).redacted);
  const Error error = errorOf([&] { reader.readBlob(0, 0, 1); });
  EXPECT_EQ(error.code(), ExitCode::kUnreadable);
  EXPECT_NE(std::string(error.what()).find("redacted"), std::string::npos);
}

TEST_F(DamageTest, WrongKeyIsToldFromTampering) {
  const KeyStore other = KeyStore::load(path("other"), true);
  const Error error = errorOf([&] { TraceReader(file_, &other); });
  EXPECT_EQ(error.code(), ExitCode::kWrongKey);
  EXPECT_NE(std::string(error.what()).find(path("other")), std::string::npos);
}

TEST_F(DamageTest, OtherFilesAreNotTraces) {
  auto codeOf = [&](const ByteVector& bytes) {
    writeFile(file_, bytes);
    return errorOf([&] { TraceReader(file_, &keys_); }).code();
  };
  EXPECT_EQ(codeOf({'h', 'e', 'l', 'l', 'o'}), ExitCode::kUnreadable);
  EXPECT_EQ(codeOf(noise(5000, 1)), ExitCode::kUnreadable);
  EXPECT_EQ(codeOf({}), ExitCode::kUnreadable);
  EXPECT_EQ(errorOf([&] { TraceReader(directory_, &keys_); }).code(), ExitCode::kUnreadable);
  EXPECT_EQ(errorOf([&] { TraceReader(path("absent"), &keys_); }).code(), ExitCode::kUnreadable);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(errorOf([&] { TraceReader(path("fifo"), &keys_); }).code(), ExitCode::kUnreadable);

  ByteVector later = original_;
  later[8] = kFormatVersion + 1;
  writeFile(file_, later);
  const Error version = errorOf([&] { TraceReader(file_, nullptr); });
  EXPECT_EQ(version.code(), ExitCode::kVersion);
  EXPECT_NE(std::string(version.what()).find("version 2"), std::string::npos);
}

// Content that no writer makes, in frames whose headers are in order; without a key nothing else
// stands between it and Cap'n Proto.
class HostileContentTest : public DamageTest {
 protected:
  // The header of the original, then one events frame of these words.
  Reading readEvents(const std::vector<uint64_t>& words, uint32_t count) const {
    ByteVector bytes = prefix(headerEnd_);
    const Bytes raw(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8);
    EventCompressor compressor;
    FrameHeader header;
    const Bytes stored = compressor.compress(raw, header.encoding);
    header.sequence = header.firstEvent = 1;
    header.rawSize = raw.size();
    header.eventCount = count;
    header.storedSize = stored.size();
    bytes.resize(headerEnd_ + kFrameHeaderSize);
    header.encode(
        std::span<uint8_t, kFrameHeaderSize>(bytes.data() + headerEnd_, kFrameHeaderSize));
    bytes.insert(bytes.end(), stored.begin(), stored.end());
    return read(bytes, false);
  }
};

TEST_F(HostileContentTest, MessagesThatAreNotWhole) {
  constexpr uint64_t kNull = 0;                     // a null root pointer
  constexpr uint64_t kOneWord = uint64_t{1} << 32;  // a table: one segment of one word
  ASSERT_FALSE(readEvents({kOneWord, kNull}, 1).error);
  ASSERT_EQ(readEvents({kOneWord, kNull, kOneWord, kNull}, 2).events.size(), 2u);
  struct Case {
    std::vector<uint64_t> words;
    uint32_t count;
  };
  for (const Case& c : std::vector<Case>{
           {{kOneWord, kNull, kOneWord, kNull}, 1},          // more than the header says
           {{kOneWord, kNull, kOneWord, kNull, 0, 0}, 3},    // an empty segment
           {{uint64_t{2} << 32, kNull}, 1},                  // a segment beyond the end
           {{uint64_t{0xffffffff} << 32, kNull}, 1},         //
           {{0xffffffff, kNull}, 1},                         // 2^32 segments
           {{0xfffffffe, kNull}, 1},                         //
           {{511, kNull}, 1},                                // a table beyond the end
           {{kOneWord | 1, uint64_t{0xffffffff}, kNull}, 1}  // sum of two sizes
       }) {
    const Reading reading = readEvents(c.words, c.count);
    ASSERT_TRUE(reading.error);
    EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
  }
}

TEST_F(HostileContentTest, PointersThatLeadAstray) {
  constexpr uint64_t kOneWord = uint64_t{1} << 32;
  constexpr uint64_t kStruct = uint64_t{0x00010000} << 32;  // no data, one pointer
  for (uint64_t root : {
           kStruct | (uint64_t{1000} << 2),            // a struct beyond the end
           kStruct | (uint64_t{0x3fffffff} << 2),      // a struct that contains itself
           uint64_t{2} | (uint64_t{7} << 32),          // a far pointer into no segment
           uint64_t{1} | (uint64_t{0xffffffff} << 32)  // a list without end
       }) {
    const Reading reading = readEvents({kOneWord, root}, 1);
    ASSERT_TRUE(reading.error) << std::hex << root;
    EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
  }
}

TEST_F(HostileContentTest, ContentOtherThanItsSha256) {
  ByteVector bytes = original_;
  const Frame& blob = frames_[1];
  bytes[blob.start + kFrameHeaderSize] ^= 1;  // the digest itself
  const Reading reading = read(bytes, false);
  ASSERT_TRUE(reading.error);
  EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
  EXPECT_NE(std::string(reading.error->what()).find("SHA-256"), std::string::npos);
}

}  // namespace
}  // namespace airr
