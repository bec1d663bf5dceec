#include "replayer/trace_verifier.h"

#include <algorithm>

#include "recorder/epoch.h"
#include "recorder/frame_tree.h"
#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

class TraceVerifierTest : public EvidenceTest {
 protected:
  TraceVerifierTest() {
    writeSmall(file_);
    original_ = readFile(file_);
    frames_ = framesOf(original_);
  }

  void put(const ByteVector& bytes) { writeFile(file_, bytes); }

  const std::string file_ = path("trace.cap");
  ByteVector original_;
  std::vector<FrameAt> frames_;
};

TEST_F(TraceVerifierTest, SealedTraceIsProvedByEitherKey) {
  for (const Verification& proof :
       {withRootKey(file_), withPublicKey(file_), withRootKey(file_, 4)}) {
    EXPECT_EQ(proof.verdict, ExitCode::kSuccess);
    EXPECT_EQ(proof.end, TraceEnd::kSealed);
    EXPECT_FALSE(proof.fault);
    EXPECT_EQ(proof.fileSize, original_.size());
    EXPECT_EQ(proof.proved.bytes, original_.size());
    EXPECT_EQ(proof.signedPart.bytes, original_.size());
    EXPECT_EQ(proof.proved.frames, frames_.size());
    EXPECT_EQ(proof.proved.events, 5u);
    EXPECT_EQ(proof.proved.blobs, 2u);
    EXPECT_EQ(proof.publicKey, keys_.publicKey());
    ASSERT_EQ(proof.checkpoints.size(), 3u);
    uint64_t next = 1, at = frames_[0].start;
    for (const auto& covered : proof.checkpoints) {
      EXPECT_EQ(covered.firstFrame, next);
      EXPECT_EQ(covered.start, at);
      next = covered.lastFrame + 1;
      at = covered.stop;
    }
    EXPECT_EQ(at, original_.size());
  }
}

TEST_F(TraceVerifierTest, EveryBitMatters) {
  for (size_t at = 0; at < original_.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      ByteVector bytes = original_;
      bytes[at] ^= static_cast<uint8_t>(1 << bit);
      put(bytes);
      ASSERT_NE(verdict([&] { return withRootKey(file_); }), ExitCode::kSuccess)
          << at << "." << bit;
      ASSERT_NE(verdict([&] { return withPublicKey(file_); }), ExitCode::kSuccess)
          << at << "." << bit;
    }
  }
}

TEST_F(TraceVerifierTest, SaysWhichFrameAndWhatIsStillProved) {
  ByteVector bytes = original_;
  const FrameAt& frame = frames_[3];
  ASSERT_EQ(frame.header.type, FrameType::kEvents);
  bytes[frame.end - 1] ^= 1;
  put(bytes);
  const Verification root = withRootKey(file_);
  EXPECT_EQ(root.verdict, ExitCode::kTampered);
  ASSERT_TRUE(root.fault);
  EXPECT_EQ(root.fault->firstFrame, 4u);
  EXPECT_EQ(root.fault->lastFrame, 4u);
  EXPECT_EQ(root.fault->start, frame.start);
  EXPECT_EQ(root.fault->stop, frame.end);
  EXPECT_EQ(root.proved.frames, 3u);
  EXPECT_EQ(root.proved.bytes, frame.start);
  EXPECT_EQ(root.signedPart.frames, 2u);
  // Without the root key the checkpoint says that one of its frames was altered.
  const Verification open = withPublicKey(file_);
  EXPECT_EQ(open.verdict, ExitCode::kTampered);
  ASSERT_TRUE(open.fault);
  EXPECT_EQ(open.fault->firstFrame, 3u);
  EXPECT_GE(open.fault->lastFrame, 4u);
  EXPECT_EQ(open.fault->start, frames_[1].end);
  EXPECT_EQ(open.proved.frames, 2u);
}

TEST_F(TraceVerifierTest, CutAnywhereItIsUnsealedUpToTheLastWholeFrame) {
  for (size_t size = 0; size < original_.size(); ++size) {
    put({original_.begin(), original_.begin() + static_cast<ptrdiff_t>(size)});
    if (size < frames_[0].start) {
      ASSERT_EQ(verdict([&] { return withRootKey(file_); }), ExitCode::kUnreadable) << size;
      continue;
    }
    const Verification root = withRootKey(file_), open = withPublicKey(file_);
    ASSERT_EQ(root.verdict, ExitCode::kUnsealed) << size;
    ASSERT_EQ(open.verdict, ExitCode::kUnsealed) << size;
    uint64_t whole = frames_[0].start, covered = whole;
    for (const FrameAt& frame : frames_) {
      if (frame.end > size) break;
      whole = frame.end;
      if (frame.header.isSigned()) covered = whole;
    }
    ASSERT_EQ(root.proved.bytes, whole) << size;
    ASSERT_EQ(root.signedPart.bytes, covered) << size;
    ASSERT_EQ(open.whole.bytes, whole) << size;
    ASSERT_EQ(open.proved.bytes, covered) << size;
    ASSERT_EQ(root.end, whole == size ? TraceEnd::kUnsealed : TraceEnd::kTruncated);
  }
}

TEST_F(TraceVerifierTest, AnotherKeyIsToldFromTampering) {
  const KeyStore other = KeyStore::load(path("other"), true);
  EXPECT_EQ(verdict([&] { return verifyTrace(file_, {.keys = &other}); }), ExitCode::kWrongKey);
  EXPECT_EQ(verdict([&] { return verifyTrace(file_, {.publicKey = other.publicKey()}); }),
            ExitCode::kWrongKey);
}

TEST_F(TraceVerifierTest, RemovedBodiesWantARedaction) {
  ByteVector bytes = original_;
  uint64_t removed = 0;
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    if (!frame->header.isRemovable() || frame->header.bodySize == 0) continue;
    FrameHeader header = frame->header;
    header.state = BodyState::kRemoved;
    header.encode(
        std::span<uint8_t, kFrameHeaderSize>(bytes.data() + frame->start, kFrameHeaderSize));
    const auto start = bytes.begin() + static_cast<ptrdiff_t>(frame->start);
    bytes.erase(start + static_cast<ptrdiff_t>(kFrameHeaderSize + header.storedSize()),
                start + static_cast<ptrdiff_t>(frame->end - frame->start));
    ++removed;
  }
  put(bytes);
  for (const Verification& proof : {withRootKey(file_), withPublicKey(file_)}) {
    EXPECT_EQ(proof.verdict, ExitCode::kTampered);
    EXPECT_EQ(proof.removed, removed);
    ASSERT_TRUE(proof.fault);
    EXPECT_NE(proof.fault->why.find("no redaction"), std::string::npos) << proof.fault->why;
    EXPECT_EQ(proof.proved.bytes, bytes.size());
  }
}

// Whoever took the keys of an epoch out of the mediator's memory, and knows the format.
class Forger {
 public:
  Forger(ByteVector trace, const Digest& firstKey, uint64_t epoch, const SigningKey& signer)
      : bytes_(std::move(trace)), key_(firstKey), epoch_(epoch), signer_(signer) {
    for (uint64_t i = 0; i < epoch; ++i) key_.advance();
  }

  // Flips a bit of a frame's body, gives it and all that follow in its epoch new tags with the key
  // at hand, and the epoch's checkpoint a new root and signature.
  ByteVector alter(size_t target) {
    const auto frames = framesOf(bytes_);
    bytes_[frames[target].end - 1] ^= 1;
    size_t first = target;
    while (first > 0 && !frames[first - 1].header.isSigned()) --first;
    FrameTree tree;
    FrameHash hash;
    Digest tag = first == 0 ? tagOfHeader(frames[0].start) : frames[first - 1].header.tag;
    for (size_t i = first; i < frames.size(); ++i) {
      const FrameAt& frame = frames[i];
      const size_t at = frame.start + kFrameHeaderSize;
      FrameHeader header = frame.header;
      std::span<uint8_t, kFrameHeaderSize> raw(bytes_.data() + frame.start, kFrameHeaderSize);
      const std::span<uint8_t> body(bytes_.data() + at + header.directorySize, header.bodySize);
      if (header.isSigned()) {
        const Digest root = tree.root();
        std::ranges::copy(root, body.begin() + 48);
      }
      const Digest digest =
          hash.frame(raw, tag, Bytes(bytes_.data() + at, header.directorySize), body);
      header.tag = tag = key_.tag(digest);
      header.encode(raw);
      if (!header.isSigned()) {
        tree.add(digest);
        continue;
      }
      const Signature signature = signer_.sign(signedCheckpoint(digest, header.tag));
      std::ranges::copy(signature, bytes_.begin() + static_cast<ptrdiff_t>(frame.end - 64));
      break;
    }
    return bytes_;
  }

 private:
  Digest tagOfHeader(uint64_t firstFrame) const {
    Digest tag;
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(firstFrame - 96), 32, tag.begin());
    return tag;
  }

  ByteVector bytes_;
  EpochKey key_;
  uint64_t epoch_;
  const SigningKey& signer_;
};

// Randomness whose seeds the test keeps, to play who reads the mediator's memory.
class KnownRandomness : public System {
 public:
  void randomize(std::span<uint8_t> bytes) override {
    System::randomize(bytes);
    if (bytes.size() == sizeof(Seed)) {
      Seed seed;
      std::ranges::copy(bytes, seed.begin());
      seeds.push_back(seed);
    }
  }
  std::vector<Seed> seeds;  // of epochs 0, then 1, 16, 256, then 2, …
};

TEST_F(TraceVerifierTest, TheCurrentEpochsKeysAlterNoEarlierEpochUnseen) {
  KnownRandomness system;
  {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    FrameWriter frames(file_, sessionKey(), header, {.system = &system});
    EventCompressor compressor;
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (int i = 0; i < 4; ++i) {
        const ByteVector raw(16, static_cast<uint8_t>(i));
        const Leaf leaf{1, sha256(raw)};
        Encoding encoding;
        const Bytes stored = compressor.compress(raw, encoding);
        frames.events(raw.size(), {&leaf, 1}, encoding, stored);
      }
      if (epoch < 2) frames.checkpoint();
    }
    frames.seal();
  }
  ASSERT_EQ(withRootKey(file_).verdict, ExitCode::kSuccess);
  ASSERT_EQ(system.seeds.size(), 5u);
  const ByteVector whole = readFile(file_);
  const size_t inEpoch[] = {1, 6, 11};
  const size_t seedOf[] = {0, 1, 4};
  for (uint64_t taken = 0; taken < 3; ++taken) {
    for (uint64_t altered = 0; altered < 3; ++altered) {
      const SigningKey signer(system.seeds[seedOf[taken]]);
      put(Forger(whole, sessionKey().hmac, taken, signer).alter(inEpoch[altered]));
      const Verification root = withRootKey(file_), open = withPublicKey(file_);
      if (taken != altered) {
        EXPECT_EQ(root.verdict, ExitCode::kTampered) << taken << " " << altered;
        EXPECT_EQ(open.verdict, ExitCode::kTampered) << taken << " " << altered;
        ASSERT_TRUE(root.fault && open.fault);
        EXPECT_LE(root.fault->firstFrame, inEpoch[altered] + 1);
        EXPECT_LE(open.fault->firstFrame, inEpoch[altered] + 1);
        continue;
      }
      // With the right keys the epoch itself can be forged (or the test would show nothing); what
      // follows it cannot, unless it was the last.
      if (taken == 2) {
        EXPECT_EQ(root.verdict, ExitCode::kSuccess);
        EXPECT_EQ(open.verdict, ExitCode::kSuccess);
      } else {
        EXPECT_EQ(root.verdict, ExitCode::kTampered);
        EXPECT_EQ(open.verdict, ExitCode::kTampered);
        ASSERT_TRUE(root.fault && open.fault);
        EXPECT_GT(root.fault->firstFrame, inEpoch[altered] + 1);
        EXPECT_GT(open.fault->firstFrame, inEpoch[altered] + 1);
      }
    }
  }
}

TEST_F(TraceVerifierTest, WritersEndEpochsByThemselves) {
  {
    TraceWriter writer = create(file_);
    for (uint32_t i = 0; i < 2 * FrameWriter::kEpochFrames + 10; ++i) {
      writeNote(writer, 1, "a");
      writer.flush();
    }
    const ByteVector blob = noise(9 << 20, 1);
    writer.addBlob(blob.data(), blob.size());
    writer.seal();
  }
  for (unsigned threads : {1, 3}) {
    const Verification proof = withPublicKey(file_, threads);
    EXPECT_EQ(proof.verdict, ExitCode::kSuccess);
    EXPECT_GE(proof.checkpoints.size(), 5u);  // of frames 2, of bytes 2, the seal
  }
}

// A session that waits and then is killed has its checkpoints all the same.
TEST_F(TraceVerifierTest, TimeEndsAnEpoch) {
  class Clock : public System {
   public:
    int64_t ticks() override { return now; }
    int64_t now = 0;
  } clock;
  capnp::MallocMessageBuilder header;
  fillHeader(header);
  TraceWriter writer(file_, sessionKey(), header, {.system = &clock});
  writeNote(writer, 1, "a");
  writer.flush();
  EXPECT_EQ(withPublicKey(file_).proved.events, 0u);
  clock.now = FrameWriter::kEpochTime;
  writeNote(writer, 1, "b");
  writer.flush();
  EXPECT_EQ(withPublicKey(file_).proved.events, 2u);
}

TEST_F(TraceVerifierTest, HeaderNamesAllThatItShould) {
  const TraceReader reader(file_, &keys_);
  const auto publicKey = reader.header().getPublicKey();
  EXPECT_TRUE(std::ranges::equal(publicKey, keys_.publicKey()));
  EXPECT_EQ(reader.header().getEpochKey().size(), 32u);
}

}  // namespace
}  // namespace airr
