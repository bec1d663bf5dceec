// Edits of a large trace, as many and as odd as a patient forger without keys would try.

#include <sys/resource.h>

#include <algorithm>
#include <random>

#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

class TraceEditsTest : public EvidenceTest {
 protected:
  TraceEditsTest() {
    writeLarge(file_, 1, sessionKey());
    original_ = readFile(file_);
    frames_ = framesOf(original_);
    writeLarge(path("other"), 2, keys_.sessionKey(ByteVector(16, 9)));  // another session's key
    other_ = readFile(path("other"));
    otherFrames_ = framesOf(other_);
  }

  ByteVector prefix(const ByteVector& bytes, uint64_t size) const {
    return {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)};
  }
  static void append(ByteVector& to, const ByteVector& from, uint64_t start, uint64_t end) {
    to.insert(to.end(), from.begin() + static_cast<ptrdiff_t>(start),
              from.begin() + static_cast<ptrdiff_t>(end));
  }
  uint64_t below(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }
  const FrameAt& anyFrame() { return frames_[below(frames_.size())]; }

  static constexpr int kKinds = 12;

  ByteVector edited(int kind) {
    ByteVector bytes = original_;
    const uint64_t at = below(bytes.size());
    const uint64_t length = 1 + below(std::min<uint64_t>(300, bytes.size() - at));
    const auto place = bytes.begin() + static_cast<ptrdiff_t>(at);
    switch (kind) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1 << below(8));
        break;
      case 1:
        bytes.erase(place, place + static_cast<ptrdiff_t>(length));
        break;
      case 2:
        bytes.insert(place, length, static_cast<uint8_t>(random_()));
        break;
      case 3:  // duplicate
        bytes.insert(place, original_.begin() + static_cast<ptrdiff_t>(at),
                     original_.begin() + static_cast<ptrdiff_t>(at + length));
        break;
      case 4: {  // swap two frames
        size_t a = below(frames_.size()), b = below(frames_.size());
        if (a > b) std::swap(a, b);
        if (a == b) return edited(0);
        bytes = prefix(original_, frames_[a].start);
        append(bytes, original_, frames_[b].start, frames_[b].end);
        append(bytes, original_, frames_[a].end, frames_[b].start);
        append(bytes, original_, frames_[a].start, frames_[a].end);
        append(bytes, original_, frames_[b].end, original_.size());
        break;
      }
      case 5:
        bytes.resize(at);
        break;
      case 6: {  // splice: this one's beginning, the other session's rest
        const size_t i = below(std::min(frames_.size(), otherFrames_.size()));
        bytes = prefix(original_, frames_[i].start);
        append(bytes, other_, otherFrames_[i].start, other_.size());
        break;
      }
      case 7: {  // an old seal, or another session's, in place of the end
        const FrameAt& end = anyFrame();
        bytes = prefix(original_, end.end);
        const bool own = below(2) == 0 && end.end < frames_.back().start;
        const ByteVector& from = own ? original_ : other_;
        const FrameAt& seal = own ? frames_.back() : otherFrames_.back();
        append(bytes, from, seal.start, seal.end);
        break;
      }
      case 8: {  // a field of a frame header
        const FrameAt& frame = anyFrame();
        bytes[frame.start + below(kFrameHeaderSize)] ^= static_cast<uint8_t>(1 + below(255));
        break;
      }
      case 9:  // the file header
        bytes[below(frames_[0].start)] ^= static_cast<uint8_t>(1 + below(255));
        break;
      case 10: {  // a frame less
        const FrameAt& frame = anyFrame();
        if (frame.end == original_.size()) return edited(5);
        bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(frame.start),
                    bytes.begin() + static_cast<ptrdiff_t>(frame.end));
        break;
      }
      default: {  // a frame twice, or a checkpoint's frames in place of the next one's
        const FrameAt& frame = anyFrame();
        const FrameAt& to = anyFrame();
        bytes = prefix(original_, to.start);
        append(bytes, original_, frame.start, frame.end);
        append(bytes, original_, to.start, original_.size());
        break;
      }
    }
    return bytes;
  }

  static uint64_t peakMemory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<uint64_t>(usage.ru_maxrss) << 10;
  }

  const std::string file_ = path("trace.cap");
  ByteVector original_, other_;
  std::vector<FrameAt> frames_, otherFrames_;
  std::mt19937_64 random_{20'000};
};

TEST_F(TraceEditsTest, EveryOneOfManyIsDetected) {
  ASSERT_EQ(withRootKey(file_).verdict, ExitCode::kSuccess);
  ASSERT_GT(frames_.size(), 3000u);
  const uint64_t before = peakMemory();
  std::array<int, 256> verdicts{};
  for (int i = 0; i < 20'000; ++i) {
    const int kind = i % kKinds;
    const ByteVector bytes = edited(kind);
    ASSERT_NE(bytes, original_) << "edit " << i;
    writeFile(file_, bytes);
    const bool open = i / kKinds % 2 == 0;
    const ExitCode code = verdict([&] { return open ? withPublicKey(file_) : withRootKey(file_); });
    ASSERT_NE(code, ExitCode::kSuccess) << "edit " << i << " of kind " << kind;
    ASSERT_NE(code, ExitCode::kFailure) << "edit " << i << " of kind " << kind;
    ++verdicts[static_cast<size_t>(code)];
  }
  EXPECT_LT(peakMemory() - before, 256u << 20);
  EXPECT_GT(verdicts[static_cast<size_t>(ExitCode::kTampered)], 10'000);
  EXPECT_GT(verdicts[static_cast<size_t>(ExitCode::kUnsealed)], 1'000);
}

// The same for who reads the events: nothing false is given out, and nothing crashes.
TEST_F(TraceEditsTest, ReadersGiveOutOnlyWhatWasWritten) {
  std::vector<ByteVector> events;
  {
    TraceReader reader(file_, &keys_);
    while (auto event = reader.next()) events.push_back(canonical(*event));
  }
  for (int i = 0; i < 600; ++i) {
    writeFile(file_, edited(i % kKinds));
    size_t next = 0;
    try {
      TraceReader reader(file_, &keys_);
      while (auto event = reader.next()) {
        ASSERT_LT(next, events.size());
        ASSERT_EQ(canonical(*event), events[next++]) << i;
      }
    } catch (const Error& error) {
      ASSERT_NE(error.code(), ExitCode::kFailure) << error.what();
    }
  }
}

}  // namespace
}  // namespace airr
