#include "replayer/trace_verifier.h"

#include <sched.h>

#include <algorithm>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "recorder/epoch.h"
#include "recorder/witness.h"
#include "replayer/checkpoint_chain.h"
#include "replayer/frame_scanner.h"
#include "replayer/trace_reader_file.h"

namespace airr {
namespace {

// What one thread takes at a time: large enough that handing it over costs little, small enough to
// stay in a cache between being read and being hashed.
constexpr uint64_t kSegmentBytes = 1 << 20;

// Memory that is used again, so that it is neither cleared nor mapped anew each time.
struct Buffer {
  std::unique_ptr<uint8_t[]> bytes;
  size_t capacity = 0;

  std::span<uint8_t> room(size_t size) {
    if (size > capacity) {
      bytes = std::make_unique_for_overwrite<uint8_t[]>(size);
      capacity = size;
    }
    return {bytes.get(), size};
  }
};

struct Segment {
  Buffer buffer;
  std::vector<ScannedFrame> frames;
  Digest tagBefore{};
  std::optional<EpochKey> key;  // where it begins
};

// What hashing a segment gives.
struct Hashed {
  struct Signed {
    std::optional<Checkpoint> checkpoint;
    std::vector<uint8_t> redaction;
    Signature signature;
  };
  std::vector<Digest> digests;  // of the frames up to the first that is wrong
  std::deque<Signed> signedFrames;
  std::string fault;  // of the frame after them; empty if there is none
};

// Reads a segment's bytes and checks all that needs no other segment.
class SegmentHasher {
 public:
  SegmentHasher(const TraceFile& file, Segment& segment) : file_(file), segment_(segment) {}

  Hashed run() {
    Hashed result;
    if (segment_.frames.empty()) return result;
    start_ = segment_.frames.front().start;
    bytes_ = segment_.buffer.room(segment_.frames.back().stop - start_);
    file_.read(start_, bytes_);
    std::optional<EpochKey> key = segment_.key;
    Digest tag = segment_.tagBefore;
    for (const ScannedFrame& frame : segment_.frames) {
      const FrameHeader& header = frame.header;
      const Bytes directory = at(frame.directory, header.directorySize);
      const Bytes body = at(frame.body, header.removed ? 0 : header.bodySize);
      const Digest digest = hash_.frame(frame.bytes, tag, directory, body);
      if (header.type == FrameType::kRedaction) {
        if (header.tag != Digest{}) result.fault = "a redaction has no tag";
      } else if (key && !equal(key->tag(digest), header.tag)) {
        result.fault = "its tag does not match";
      } else if (const char* fault = contentFault(header, directory, body)) {
        result.fault = fault;
      }
      if (!result.fault.empty()) break;
      if (header.isSigned()) {
        const Bytes signature = at(frame.body + header.bodySize, sizeof(Signature));
        Hashed::Signed& one = result.signedFrames.emplace_back();
        std::ranges::copy(signature, one.signature.begin());
        if (header.endsEpoch()) {
          one.checkpoint = Checkpoint::decode(header.type, body);
          if (key) key->advance();
        } else {
          one.redaction.assign(body.begin(), body.end());
        }
      }
      result.digests.push_back(digest);
      tag = header.tag;
    }
    return result;
  }

 private:
  Bytes at(uint64_t offset, size_t size) const {
    return Bytes(bytes_).subspan(offset - start_, size);
  }

  const char* contentFault(const FrameHeader& header, Bytes directory, Bytes body) {
    if (header.isRemovable() && !body.empty()) {
      bodyHash_.update(body);
      const Digest sha256 = bodyHash_.finish();
      if (!std::ranges::equal(sha256, directory.last(sizeof(Digest)))) {
        return "its body has another SHA-256";
      }
    }
    if (header.type == FrameType::kEvents) {
      uint64_t events = 0;
      for (size_t i = 0; i < directory.size(); i += Leaf::kSize) {
        events += Leaf::decode(directory.subspan(i).first<Leaf::kSize>()).events;
      }
      if (events != header.eventCount) return "its leaves have another number of events";
    }
    return nullptr;
  }

  const TraceFile& file_;
  Segment& segment_;
  FrameHash hash_;
  Sha256 bodyHash_;
  uint64_t start_ = 0;
  std::span<uint8_t> bytes_;
};

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
  bool take(const Segment& segment, Hashed hashed) {
    for (size_t i = 0; i < hashed.digests.size(); ++i) {
      if (!take(segment.frames[i], hashed.digests[i], hashed)) return false;
    }
    if (hashed.fault.empty()) return true;
    const ScannedFrame& frame = segment.frames[hashed.digests.size()];
    fail(frame, frame.header.sequence, hashed.fault);
    return false;
  }

 private:
  bool take(const ScannedFrame& frame, const Digest& digest, Hashed& hashed) {
    const FrameHeader& header = frame.header;
    if (header.isSigned()) {
      const Hashed::Signed one = std::move(hashed.signedFrames.front());
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
    if (header.removed) {
      ++removed_;
      missing_.emplace(whole.blobs, frame);  // a part is of the next blob
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
    }
    return true;
  }

  bool takeRedaction(const ScannedFrame& frame, const Digest& digest, const Hashed::Signed& one) {
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
    for (const auto& [blob, why] : record->blobs) missing_.erase(blob);
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
  // After the last frame: bodies that are missing without a redaction that says so.
  void finish() {
    if (result_.fault || missing_.empty()) return;
    fail(missing_.begin()->second, missing_.begin()->second.header.sequence,
         "its body was taken out, and no redaction says so");
  }

 private:
  void fail(const ScannedFrame& frame, uint64_t firstFrame, const std::string& why) {
    const bool one = firstFrame == frame.header.sequence;
    result_.fault = {firstFrame, frame.header.sequence,
                     one ? frame.start : result_.signedPart.bytes, frame.stop, why};
  }

  const bool hasRootKey_;
  const std::optional<PublicKey> redactor_;
  Verification& result_;
  CheckpointChain chain_;
  uint64_t removed_ = 0;
  std::multimap<uint32_t, ScannedFrame> missing_;  // by blob
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
    std::future<Hashed> hashed;
  };
  std::vector<Buffer> idle;
  std::deque<Pending> pending;  // ends its threads before `file` goes
  Combiner combiner(file, file.key().has_value(), with.redactor, result);
  bool good = true;
  auto combineOldest = [&] {
    Pending oldest = std::move(pending.front());
    pending.pop_front();
    Hashed hashed = oldest.hashed.get();
    good = good && combiner.take(*oldest.segment, std::move(hashed));
    idle.push_back(std::move(oldest.segment->buffer));
  };

  FrameScanner scanner(file);
  Digest tag = file.tag();
  std::optional<EpochKey> key;
  if (file.key()) key.emplace(file.key()->hmac);
  std::optional<ScannedFrame> frame;
  bool more = true;
  while (more && good) {
    auto segment = std::make_unique<Segment>(Segment{{}, {}, tag, key});
    if (!idle.empty()) {
      segment->buffer = std::move(idle.back());
      idle.pop_back();
    }
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
    auto hash = [&file, &work = *segment] { return SegmentHasher(file, work).run(); };
    // On one thread, the scanner's window of the file is still warm when the segment is hashed.
    const auto policy = threads > 1 ? std::launch::async : std::launch::deferred;
    pending.push_back({std::move(segment), std::async(policy, hash)});
    if (pending.size() >= (threads > 1 ? threads + 1 : 1)) combineOldest();
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
