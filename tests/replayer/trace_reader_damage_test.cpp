// What TraceReader makes of traces that are cut, altered, or not traces.

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "recorder/digest.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "replayer/trace_reader.h"
#include "tests/recorder/raw_trace.h"

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
    uint64_t blobs;   // up to its end
  };

  // Frames 1 to 7: events, two parts with events between them, their blob, one that repeats it, the
  // seal.
  DamageTest() {
    {
      capnp::MallocMessageBuilder header;
      fillHeader(header);
      RawTrace trace(file_, sessionKey(), header);
      trace.events({RawTrace::note(1, "first"), RawTrace::reference(0)});
      std::string text = "content of a blob, content of a blob, content that is another";
      content_.assign(text.begin(), text.end());
      bool more = true;
      trace.blob(content_, {10, 20}, [&] {
        if (std::exchange(more, false)) trace.events({RawTrace::reference(1)});
      });
      trace.frames().sameBlob(sha256(content_), content_.size());
      trace.frames().seal();
    }
    original_ = readFile(file_);
    uint64_t events = 0, blobs = 0;
    for (const FrameAt& frame : framesOf(original_)) {
      events += frame.header.eventCount;
      if (frame.header.type == FrameType::kBlob) ++blobs;
      frames_.push_back({frame.start, frame.end, frame.header.type, events, blobs});
    }
    headerEnd_ = frames_.at(0).start;
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

  // The trace with one blob's own frame, or a part, without its content.
  ByteVector redacted(ByteVector bytes, const Frame& frame) const {
    const std::span<uint8_t, kFrameHeaderSize> at(bytes.data() + frame.start, kFrameHeaderSize);
    FrameHeader header = FrameHeader::decode(at);
    header.state = BodyState::kRemoved;
    header.encode(at);
    const auto start = bytes.begin() + static_cast<ptrdiff_t>(frame.start);
    bytes.erase(start + static_cast<ptrdiff_t>(kFrameHeaderSize + header.storedSize()),
                start + static_cast<ptrdiff_t>(frame.end - frame.start));
    return bytes;
  }

  const std::string file_ = path("trace.cap");
  ByteVector content_;
  ByteVector original_;
  uint64_t headerEnd_ = 0;
  std::vector<Frame> frames_;
};

TEST_F(DamageTest, UndamagedIsSealed) {
  const Reading reading = read(original_);
  EXPECT_FALSE(reading.error);
  EXPECT_EQ(reading.end, TraceEnd::kSealed);
  EXPECT_EQ(reading.events.size(), 3u);
  EXPECT_EQ(reading.blobs, (std::vector<ByteVector>{content_, content_}));
  EXPECT_EQ(reading.frames, 7u);
  std::vector<FrameType> types;
  for (const Frame& frame : frames_) types.push_back(frame.type);
  EXPECT_EQ(types, (std::vector<FrameType>{FrameType::kEvents, FrameType::kPart, FrameType::kEvents,
                                           FrameType::kPart, FrameType::kBlob, FrameType::kBlob,
                                           FrameType::kSeal}));
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
    uint64_t whole = headerEnd_, events = 0, frames = 0, blobs = 0;
    for (const Frame& frame : frames_) {
      if (frame.end > size) break;
      whole = frame.end, events = frame.events, blobs = frame.blobs, ++frames;
    }
    ASSERT_EQ(reading.end, size == whole ? TraceEnd::kUnsealed : TraceEnd::kTruncated) << size;
    ASSERT_EQ(reading.validSize, whole) << size;
    ASSERT_EQ(reading.frames, frames) << size;
    ASSERT_EQ(reading.events.size(), events) << size;
    ASSERT_TRUE(std::equal(reading.events.begin(), reading.events.end(), all.events.begin()));
    ASSERT_EQ(reading.blobs, std::vector<ByteVector>(blobs, content_)) << size;

    // The same when the blobs are asked for before the events were read.
    TraceReader ahead(file_, &keys_);
    for (uint32_t blob = 0; blob < 2; ++blob) {
      if (blob < blobs) {
        ASSERT_EQ(ahead.readBlob(blob, 0, content_.size()), content_) << size;
        continue;
      }
      const Error error = errorOf([&] { ahead.readBlob(blob, 0, 1); });
      ASSERT_EQ(error.code(), ExitCode::kUnsealed) << size;
      ASSERT_NE(std::string(error.what()).find("ends before blob"), std::string::npos);
    }
    size_t left = 0;
    while (ahead.next()) ++left;
    ASSERT_EQ(left, events) << size;
    ASSERT_EQ(ahead.end(), reading.end) << size;
  }
}

// A byte either is noticed or makes no difference to what is read: the compressed data of a blob,
// of whose content there is more than one way to write it, and signatures, which readers with the
// root key do not need. (verifyTrace() notices all.)
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
        }
        // A blob's content is no frame's: all frames are good then.
        if (at >= headerEnd_ && !std::string(reading.error->what()).starts_with("blob ")) {
          // A frame that is made longer may still be whole; the next is not where it should be
          // then.
          ASSERT_LE(reading.validSize, frameAt(at).end + 256) << at;
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
      ASSERT_EQ(reading.end, TraceEnd::kSealed);
      ASSERT_EQ(reading.events, all.events) << at;
      ASSERT_EQ(reading.blobs, all.blobs) << at;
      if (at < headerEnd_) {
        ASSERT_GE(at, headerEnd_ - sizeof(Signature));
        continue;
      }
      const Frame& frame = frameAt(at);
      if (frame.type == FrameType::kSeal) {
        ASSERT_GE(at, frame.end - sizeof(Signature));
        continue;
      }
      ASSERT_TRUE(frame.type == FrameType::kPart || frame.type == FrameType::kBlob) << at;
      ASSERT_GE(at, frame.start + kFrameHeaderSize) << "in a frame header";
      ++harmless;
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
  ASSERT_FALSE(read(assembled({0, 1, 2, 3, 4, 5, 6})).error);
  std::vector<std::vector<size_t>> orders = {{6}};
  const std::vector<size_t> whole = {0, 1, 2, 3, 4, 5, 6};
  for (size_t i = 0; i < whole.size(); ++i) {
    orders.push_back(whole);
    orders.back().push_back(i);
    orders.push_back(whole);
    orders.back().insert(orders.back().begin() + static_cast<ptrdiff_t>(i), i);
    if (i + 1 == whole.size()) continue;  // without the seal it is only cut
    orders.push_back(whole);
    std::swap(orders.back()[i], orders.back()[i + 1]);
    orders.push_back(whole);
    orders.back().erase(orders.back().begin() + static_cast<ptrdiff_t>(i));
  }
  for (const auto& order : orders) {
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
  // A part alone; all of the content, from the end so that offsets hold.
  const std::vector<std::vector<size_t>> cases = {{3}, {4, 3, 1}};
  for (const auto& frames : cases) {
    ByteVector bytes = original_;
    for (size_t frame : frames) bytes = redacted(std::move(bytes), frames_[frame]);
    writeFile(file_, bytes);
    TraceReader reader(file_, &keys_);
    while (reader.next()) continue;
    EXPECT_EQ(reader.end(), TraceEnd::kSealed);
    EXPECT_EQ(reader.eventNumber(), 3u);
    for (uint32_t blob = 0; blob < 2; ++blob) {
      EXPECT_TRUE(reader.blobInfo(blob).redacted);
      const Error error = errorOf([&] { reader.readBlob(blob, 0, 1); });
      EXPECT_EQ(error.code(), ExitCode::kUnreadable);
      EXPECT_NE(std::string(error.what()).find("redacted"), std::string::npos);
    }
  }
}

TEST_F(DamageTest, ReadingAheadFindsWhatWasAltered) {
  ByteVector bytes = original_;
  bytes[frames_[2].start + kFrameHeaderSize - 1] ^= 1;  // the tag of the events between the parts
  writeFile(file_, bytes);
  TraceReader reader(file_, &keys_);
  for (int pass = 0; pass < 2; ++pass) {
    const Error error = errorOf([&] { reader.readBlob(0, 0, 1); });
    EXPECT_EQ(error.code(), ExitCode::kTampered);
    EXPECT_TRUE(std::string(error.what()).starts_with("frame 3 ")) << error.what();
  }
  EXPECT_TRUE(reader.next());
  EXPECT_TRUE(reader.next());
  EXPECT_EQ(errorOf([&] { reader.next(); }).code(), ExitCode::kTampered);
}

// Frames in an order that no writer makes, rightly chained.
TEST_F(DamageTest, PartsThatBelongToNoBlob) {
  const ByteVector some = noise(100, 1);
  auto write = [&](const std::function<void(FrameWriter&)>& more) {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    FrameWriter frames(file_, sessionKey(), header);
    more(frames);
    frames.seal();
    return read(readFile(file_)).error;
  };
  for (const auto& more : std::vector<std::function<void(FrameWriter&)>>{
           [&](auto& f) { f.part(Encoding::kZstdStart, hashed(some)); },
           [&](auto& f) { f.part(Encoding::kZstdContinue, hashed(some)); },
           [&](auto& f) { f.blob(sha256(some), 100, Encoding::kZstdContinue, hashed(some)); },
           [&](auto& f) { f.sameBlob(sha256(some), 100); },
           [&](auto& f) {
             f.part(Encoding::kZstdStart, hashed(some));
             f.part(Encoding::kZstdStart, hashed(some));
           },
           [&](auto& f) {
             f.part(Encoding::kZstdStart, hashed(some));
             f.blob(sha256(some), 100, Encoding::kZstdStart, hashed(some));
           },
           [&](auto& f) {
             for (int i = 0; i < 20; ++i) {
               f.part(i == 0 ? Encoding::kZstdStart : Encoding::kZstdContinue, hashed(some));
             }
             f.blob(sha256(some), 100, Encoding::kZstdContinue, hashed(some));
           }}) {
    const auto error = write(more);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ExitCode::kTampered) << error->what();
  }
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
  later[8] = kEncryptedVersion + 1;
  writeFile(file_, later);
  const Error version = errorOf([&] { TraceReader(file_, nullptr); });
  EXPECT_EQ(version.code(), ExitCode::kVersion);
  EXPECT_NE(std::string(version.what()).find("version 6"), std::string::npos);
  later[8] = 2;
  writeFile(file_, later);
  EXPECT_EQ(errorOf([&] { TraceReader(file_, nullptr); }).code(), ExitCode::kVersion);
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
    header.bodySize = stored.size();
    header.directorySize = Leaf::kSize;
    bytes.resize(headerEnd_ + kFrameHeaderSize + Leaf::kSize);
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
  // The digest itself, in both frames.
  for (size_t frame : {4, 5}) bytes[frames_[frame].start + kFrameHeaderSize] ^= 1;
  const Reading reading = read(bytes, false);
  ASSERT_TRUE(reading.error);
  EXPECT_EQ(reading.error->code(), ExitCode::kTampered);
  EXPECT_NE(std::string(reading.error->what()).find("SHA-256"), std::string::npos);
}

}  // namespace
}  // namespace airr
