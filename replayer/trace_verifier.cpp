#include "replayer/trace_verifier.h"

#include <sched.h>

#include <algorithm>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "recorder/witness.h"
#include "replayer/checkpoint_chain.h"
#include "replayer/frame_scanner.h"
#include "replayer/segment_hasher.h"
#include "replayer/trace_reader_file.h"

namespace airr {
namespace {

// What one thread takes at a time: large enough that handing it over costs little, small enough to
// stay in a cache between being read and being hashed.
constexpr uint64_t kSegmentBytes = 1 << 20;

// Puts the segments together in their order.
class Combiner {
 public:
  Combiner(const TraceFile& file, bool hasRootKey, const std::optional<PublicKey>& redactor,
           Verification& result)
      : hasRootKey_(hasRootKey),
        redactor_(redactor),
        result_(result),
        chain_(file.digest(), file.epochKey()) {
    result_.proved.bytes = result_.signedPart.bytes = file.firstFrame();
    result_.whole.bytes = file.firstFrame();
  }

  // False: something is wrong, and what follows does not matter.
  bool take(const Segment& segment, HashedSegment hashed) {
    for (size_t i = 0; i < hashed.digests.size(); ++i) {
      if (!take(segment.frames[i], hashed.digests[i], hashed)) return false;
    }
    if (hashed.fault.empty()) return true;
    const ScannedFrame& frame = segment.frames[hashed.digests.size()];
    fail(frame, frame.header.sequence, hashed.fault);
    return false;
  }

 private:
  bool take(const ScannedFrame& frame, const Digest& digest, HashedSegment& hashed) {
    const FrameHeader& header = frame.header;
    if (header.isSigned()) {
      const HashedSegment::Signed one = std::move(hashed.signedFrames.front());
      hashed.signedFrames.pop_front();
      if (!one.checkpoint) return takeRedaction(frame, digest, one);
      if (const char* fault = chain_.check(*one.checkpoint, digest, header.tag, one.signature)) {
        // The checkpoint is good if its tag is; then what is wrong lies in it. Without the root
        // key, it may be any frame that it covers.
        fail(frame, hasRootKey_ ? header.sequence : result_.signedPart.frames + 1, fault);
        return false;
      }
    } else {
      chain_.add(digest);
    }
    Verification::Extent& whole = result_.whole;
    if (header.state != BodyState::kWritten) {
      Altered altered{frame, std::nullopt};
      if (header.state == BodyState::kReencrypted) {
        ++reencrypted_;
        altered.body = hashed.reencrypted.front();
        hashed.reencrypted.pop_front();
      } else {
        ++removed_;
      }
      altered_[whole.blobs].push_back(altered);  // a part is of the next blob
    }
    if (header.type == FrameType::kBlob) ++whole.blobs;
    whole.bytes = frame.stop;
    whole.frames = header.sequence;
    whole.events += header.eventCount;
    if (header.endsEpoch()) {
      result_.checkpoints.push_back({chain_.epoch() - 1, result_.signedPart.frames + 1,
                                     header.sequence, result_.signedPart.bytes, frame.stop,
                                     digest});
      result_.signedPart = whole;
    }
    if (hasRootKey_ || header.endsEpoch()) {
      result_.proved = whole;
      result_.removed = removed_;
      result_.reencrypted = reencrypted_;
    }
    return true;
  }

  bool takeRedaction(const ScannedFrame& frame, const Digest& digest,
                     const HashedSegment::Signed& one) {
    const uint64_t sequence = frame.header.sequence;
    const auto record = decodeRedaction(sequence, one.redaction);
    if (!record) {
      fail(frame, sequence, "its message is malformed");
      return false;
    }
    if (record->publicKey != result_.publicKey && record->publicKey != redactor_) {
      fail(frame, sequence,
           "it was signed with the key " + fingerprint(record->publicKey) +
               ", which is neither the recorder's nor that of a redactor who was named");
      return false;
    }
    if (!verifies(record->publicKey, signedRedaction(digest), one.signature)) {
      fail(frame, sequence, "its signature does not match");
      return false;
    }
    for (const auto& [blob, redacted] : record->blobs) explain(blob, redacted.bodies);
    result_.redactions.push_back(*record);
    result_.whole.bytes = frame.stop;
    result_.whole.frames = sequence;
    if (result_.proved.frames + 1 == sequence) {
      result_.proved.bytes = frame.stop;
      result_.proved.frames = sequence;
    }
    return true;
  }

 public:
  // After the last frame: bodies that are not what was written without a redaction that says so.
  void finish() {
    if (result_.fault || altered_.empty()) return;
    const Altered& first = altered_.begin()->second.front();
    fail(first.frame, first.frame.header.sequence,
         first.body ? "its body was replaced, and no redaction says that it is this"
                    : "its body was taken out, and no redaction says so");
  }

 private:
  // A body that is not there as it was written; if it was encrypted, the SHA-256 of what is.
  struct Altered {
    ScannedFrame frame;
    std::optional<Digest> body;
  };

  // A redaction says that all of the blob's bodies are these, or, without any, that they were taken
  // out.
  void explain(uint32_t blob, const std::vector<Digest>& bodies) {
    const auto altered = altered_.find(blob);
    if (altered == altered_.end()) return;
    const auto& frames = altered->second;
    const bool is = bodies.empty()
                        ? std::ranges::none_of(frames, [](const Altered& one) { return !!one.body; })
                        : std::ranges::equal(frames, bodies, [](const Altered& one, const Digest& body) {
                            return one.body == body;
                          });
    if (is) altered_.erase(altered);
  }

  void fail(const ScannedFrame& frame, uint64_t firstFrame, const std::string& why) {
    const bool one = firstFrame == frame.header.sequence;
    result_.fault = {firstFrame, frame.header.sequence,
                     one ? frame.start : result_.signedPart.bytes, frame.stop, why};
  }

  const bool hasRootKey_;
  const std::optional<PublicKey> redactor_;
  Verification& result_;
  CheckpointChain chain_;
  uint64_t removed_ = 0, reencrypted_ = 0;
  std::map<uint32_t, std::vector<Altered>> altered_;  // by blob
};

unsigned availableThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0
             ? static_cast<unsigned>(std::max(1, CPU_COUNT(&set)))
             : 1;
}

PublicKey checkHeader(const TraceFile& file, const VerifyWith& with) {
  const PublicKey key = file.publicKey();
  const PublicKey expected = with.publicKey ? *with.publicKey : with.keys->publicKey();
  if (key != expected) {
    throw Error(ExitCode::kWrongKey,
                "'" + file.path() + "' was signed with the key " + fingerprint(key) +
                    ", and the public key at hand is " + fingerprint(expected),
                "use the public key of the user who recorded it ('airr key export-public' there)");
  }
  if (!verifies(key, signedHeader(file.digest(), file.tag()), file.signature())) {
    throw Error(ExitCode::kTampered,
                "the header " + byteRange(0, file.firstFrame()) + " of '" + file.path() +
                    "' was altered: its signature does not match",
                "nothing in this file can be relied on; use an unaltered copy");
  }
  return key;
}

// Whether the trace is the one that the witness has seen, and all of it.
void askWitness(const TraceFile& file, const std::string& witness, Verification& result) {
  std::array<uint8_t, kSessionIdSize> session;
  std::ranges::copy(file.header().getSessionId(), session.begin());
  const std::vector<Head> heads = headsOf(witness, session);
  auto& fault = result.witnessFault;
  if (heads.empty())
    fault = "it has not seen this session: the trace was rebuilt, or had no witness";
  for (const Head& head : heads) {
    if (!fault.empty()) break;
    const std::string name = head.epochs == 0
                                 ? "the header"
                                 : "the checkpoint of epoch " + std::to_string(head.epochs - 1);
    if (head.epochs > result.checkpoints.size()) {
      fault = "it has seen " + name + " (frame " + std::to_string(head.frames) +
              "), before which the trace was cut";
    } else if (head.digest !=
               (head.epochs == 0 ? file.digest() : result.checkpoints[head.epochs - 1].digest)) {
      fault = "it has seen another " + name.substr(4) + ": the trace was rebuilt or forked";
    } else {
      ++result.witnessed;
    }
  }
  if (!fault.empty()) result.verdict = ExitCode::kWitness;
}

}  // namespace

Verification verifyTrace(const std::string& path, const VerifyWith& with) {
  const TraceFile file(path, with.publicKey ? nullptr : with.keys);
  Verification result;
  result.fileSize = file.size();
  result.publicKey = checkHeader(file, with);
  const unsigned threads = with.threads > 0 ? with.threads : availableThreads();

  struct Pending {
    std::unique_ptr<Segment> segment;
    std::future<HashedSegment> hashed;
  };
  std::deque<Pending> pending;
  SegmentHashers hashers(file, threads);
  Combiner combiner(file, file.key().has_value(), with.redactor, result);
  bool good = true;
  auto combineOldest = [&] {
    HashedSegment hashed = pending.front().hashed.get();
    good = good && combiner.take(*pending.front().segment, std::move(hashed));
    pending.pop_front();
  };

  FrameScanner scanner(file);
  Digest tag = file.tag();
  std::optional<EpochKey> key;
  if (file.key()) key.emplace(file.key()->hmac);
  std::optional<ScannedFrame> frame;
  bool more = true;
  while (more && good) {
    auto segment = std::make_unique<Segment>(Segment{{}, tag, key});
    uint64_t size = 0;
    while (size < kSegmentBytes) {
      try {
        frame = scanner.next();
      } catch (const Error&) {
        if (!scanner.fault()) throw;
        frame.reset();
      }
      if (!frame) {
        more = false;
        break;
      }
      size += frame->stop - frame->start;
      tag = frame->header.tag;
      if (key && frame->header.endsEpoch()) key->advance();
      segment->frames.push_back(*frame);
    }
    std::future<HashedSegment> hashed = hashers.hash(*segment);
    pending.push_back({std::move(segment), std::move(hashed)});
    if (pending.size() >= (threads > 1 ? 2 * threads : 1)) combineOldest();
  }
  while (!pending.empty()) combineOldest();

  if (!result.fault) result.fault = scanner.fault();
  combiner.finish();
  if (result.fault) {
    result.verdict = ExitCode::kTampered;
    return result;
  }
  result.end = *scanner.end();
  result.verdict = result.end == TraceEnd::kSealed ? ExitCode::kSuccess : ExitCode::kUnsealed;
  if (!with.witness.empty()) askWitness(file, with.witness, result);
  return result;
}

}  // namespace airr
