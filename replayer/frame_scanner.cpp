#include "replayer/frame_scanner.h"

#include <algorithm>

namespace airr {
namespace {

constexpr size_t kReadAhead = 256 << 10;
constexpr size_t kPeek = 4 << 10;  // after a gap, which often is before another
constexpr const char* kOver = "nothing but redactions may follow the seal, or a redaction";
constexpr uint64_t kMaxZeroTail = 64 << 20;  // a sparse file must not keep us reading

}  // namespace

FrameScanner::FrameScanner(const TraceFile& file) : file_(file) {
  at_.offset = file.firstFrame();
  at_.last.firstEvent = 1;
}

std::optional<ScannedFrame> FrameScanner::next() {
  if (end_) return std::nullopt;
  ScannedFrame frame;
  frame.start = at_.offset;
  const uint64_t sequence = at_.last.sequence + 1;
  auto tampered = [&](uint64_t stop, const std::string& why) {
    fault_ = {sequence, sequence, frame.start, stop, why};
    return airr::tampered(file_, *fault_);
  };
  const uint64_t left = file_.size() - frame.start;
  const bool over = at_.sealed || at_.redacted;
  if (left == 0) return endsWith(at_.sealed ? TraceEnd::kSealed : TraceEnd::kUnsealed);
  if (left < kFrameHeaderSize) {
    if (over) throw tampered(file_.size(), kOver);
    return endsWith(TraceEnd::kTruncated);
  }

  std::ranges::copy(fetch(frame.start, kFrameHeaderSize), frame.bytes.begin());
  if (const char* fault = FrameHeader::fault(frame.bytes)) {
    if (over) throw tampered(file_.size(), kOver);
    if (isZeroToEnd(frame.start)) return endsWith(TraceEnd::kTruncated);
    throw tampered(file_.size(), fault);
  }
  const FrameHeader& header = frame.header = FrameHeader::decode(frame.bytes);
  if (over &&
      (header.type != FrameType::kRedaction || header.storedSize() > left - kFrameHeaderSize)) {
    throw tampered(file_.size(), kOver);
  }
  if (header.storedSize() > left - kFrameHeaderSize) return endsWith(TraceEnd::kTruncated);
  frame.directory = frame.start + kFrameHeaderSize;
  frame.body = frame.directory + header.directorySize;
  frame.stop = frame.directory + header.storedSize();
  if (header.sequence != sequence) {
    throw tampered(frame.stop, "it calls itself frame " + std::to_string(header.sequence));
  }
  if (header.firstEvent != at_.last.firstEvent + at_.last.eventCount) {
    throw tampered(frame.stop, "events before it are missing");
  }
  if (const char* fault = misplacedPart(header)) throw tampered(frame.stop, fault);
  if (header.type == FrameType::kSeal) {
    const Checkpoint seal = Checkpoint::decode(header.type, fetch(frame.body, header.bodySize));
    if (*seal.totals != SealTotals{header.firstEvent - 1, header.sequence, at_.blobs}) {
      throw tampered(frame.stop, "its totals are not those of the file");
    }
  }
  if (header.type == FrameType::kSeal) at_.sealed = true;
  if (header.type == FrameType::kRedaction) at_.redacted = true;
  if (header.type == FrameType::kPart) at_.partsOpen = true;
  if (header.type == FrameType::kBlob) {
    at_.partsOpen = false;
    ++at_.blobs;
  }
  at_.offset = frame.stop;
  at_.last = header;
  return frame;
}

const char* FrameScanner::misplacedPart(const FrameHeader& header) const {
  const bool first = header.encoding == Encoding::kZstdStart;
  switch (header.type) {
    case FrameType::kPart:
      return first || at_.partsOpen ? nullptr : "its encoding is none of this part";
    case FrameType::kBlob:
      return first || at_.partsOpen == (header.encoding == Encoding::kZstdContinue)
                 ? nullptr
                 : "its encoding does not agree with the parts before it";
    case FrameType::kSeal:
      return at_.partsOpen ? "the blob whose parts come before it is missing" : nullptr;
    default:
      return nullptr;
  }
}

std::optional<ScannedFrame> FrameScanner::endsWith(TraceEnd end) {
  end_ = end;
  return std::nullopt;
}

// After a loss of power a file may be as long as it was to become, its last bytes never written.
bool FrameScanner::isZeroToEnd(uint64_t offset) {
  if (file_.size() - offset > kMaxZeroTail) return false;
  while (offset < file_.size()) {
    const Bytes bytes = fetch(offset, std::min<uint64_t>(kReadAhead, file_.size() - offset));
    if (std::ranges::any_of(bytes, [](uint8_t byte) { return byte != 0; })) return false;
    offset += bytes.size();
  }
  return true;
}

Bytes FrameScanner::fetch(uint64_t offset, size_t length) {
  const uint64_t windowEnd = windowStart_ + windowLength_;
  if (offset < windowStart_ || offset + length > windowEnd) {
    const bool skipped = offset < windowStart_ || offset > windowEnd;
    const size_t wanted =
        std::min<uint64_t>(std::max(length, skipped ? kPeek : kReadAhead), file_.size() - offset);
    if (window_.size() < wanted) window_.resize(wanted);
    windowLength_ = 0;
    file_.read(offset, {window_.data(), wanted});
    windowStart_ = offset;
    windowLength_ = wanted;
  }
  return {window_.data() + (offset - windowStart_), length};
}

Error tampered(const TraceFile& file, const FrameFault& fault) {
  return Error(ExitCode::kTampered,
               "frame " + std::to_string(fault.firstFrame) + " " +
                   byteRange(fault.start, fault.stop) + " of '" + file.path() +
                   "' was altered: " + fault.why,
               "what comes before that frame " +
                   std::string(file.key() ? "is authentic" : "was not checked, for want of a key") +
                   "; for the rest, use an unaltered copy");
}

}  // namespace airr
