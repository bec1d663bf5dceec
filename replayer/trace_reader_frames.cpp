#include "replayer/trace_reader_frames.h"

#include <algorithm>
#include <utility>

namespace airr {
namespace {

constexpr size_t kReadAhead = 256 << 10;
constexpr size_t kPeek = 4 << 10;  // after a gap, which often is before another
constexpr uint64_t kMaxZeroTail = 64 << 20;  // a sparse file must not keep us reading

}  // namespace

FrameReader::FrameReader(const TraceFile& file) : file_(file) {
  at_.offset = start_ = stop_ = file.firstFrame();
  at_.frame.firstEvent = 1;
  at_.tag = file.tag();
  if (file.key()) {
    chain_.emplace(*file.key());
    chain_->advance(at_.tag);
  }
}

bool FrameReader::next(TraceBlobs& blobs) {
  if (failure_) throw *failure_;
  try {
    events_ = nullptr;
    return !end_ && readFrame(blobs);
  } catch (const Error& error) {
    failure_ = error;
    throw;
  }
}

void FrameReader::skipAfter(const FrameReader& other) {
  if (failure_ || other.restart_.offset <= at_.offset) return;
  at_ = restart_ = other.restart_;
  if (chain_) chain_->advance(at_.tag);
  decompressor_.reset();
}

bool FrameReader::readFrame(TraceBlobs& blobs) {
  start_ = stop_ = at_.offset;
  frame_ = FrameHeader{};
  frame_.sequence = at_.frame.sequence + 1;
  const uint64_t left = file_.size() - start_;
  if (at_.frame.type == FrameType::kSeal && at_.frame.sequence > 0) {
    if (left > 0) throw tampered(file_.size(), "nothing may follow the seal");
    return endsWith(TraceEnd::kSealed);
  }
  if (left == 0) return endsWith(TraceEnd::kUnsealed);
  if (left < kFrameHeaderSize) return endsWith(TraceEnd::kTruncated);

  std::array<uint8_t, kFrameHeaderSize> bytes;
  std::ranges::copy(fetch(start_, kFrameHeaderSize), bytes.begin());
  const FrameHeader header = FrameHeader::decode(bytes);
  if (const char* fault = FrameHeader::fault(bytes)) {
    if (isZeroToEnd(start_)) return endsWith(TraceEnd::kTruncated);
    throw tampered(file_.size(), fault);
  }
  if (header.storedSize > left - kFrameHeaderSize) return endsWith(TraceEnd::kTruncated);
  content_ = start_ + kFrameHeaderSize;
  stop_ = content_ + header.storedSize;
  if (header.sequence != frame_.sequence) {
    throw tamperedFrame("it calls itself frame " + std::to_string(header.sequence));
  }
  if (header.firstEvent != at_.frame.firstEvent + at_.frame.eventCount) {
    throw tamperedFrame("events before it are missing");
  }

  frame_ = header;
  switch (header.type) {
    case FrameType::kEvents:
      readEvents(bytes);
      break;
    case FrameType::kPart:
      readPart(bytes);
      break;
    case FrameType::kBlob:
      readBlob(bytes, blobs);
      break;
    case FrameType::kSeal:
      readSeal(bytes);
      break;
  }
  at_.offset = stop_;
  at_.frame = header;
  at_.tag = header.tag;
  ++at_.frames;
  return true;
}

bool FrameReader::endsWith(TraceEnd end) {
  end_ = end;
  return false;
}

// After a loss of power a file may be as long as it was to become, its last bytes never written.
bool FrameReader::isZeroToEnd(uint64_t offset) {
  if (file_.size() - offset > kMaxZeroTail) return false;
  while (offset < file_.size()) {
    const Bytes bytes = fetch(offset, std::min<uint64_t>(kReadAhead, file_.size() - offset));
    if (std::ranges::any_of(bytes, [](uint8_t byte) { return byte != 0; })) return false;
    offset += bytes.size();
  }
  return true;
}

void FrameReader::authenticate(Bytes header, Bytes content) {
  if (!chain_) return;
  if (!equal(chain_->frameTag(header, content), frame_.tag)) {
    throw tamperedFrame("its tag does not match");
  }
  chain_->advance(frame_.tag);
}

void FrameReader::readEvents(Bytes header) {
  const size_t words = frame_.rawSize / sizeof(capnp::word);
  if (words > rawCapacity_) {
    rawCapacity_ = std::max<size_t>(words, 2 * rawCapacity_);
    raw_.reset(new capnp::word[rawCapacity_]);
  }
  const std::span<uint8_t> raw(reinterpret_cast<uint8_t*>(raw_.get()), frame_.rawSize);
  if (!decompressor_.decompress(frame_.encoding, fetch(content_, frame_.storedSize), raw)) {
    throw tamperedFrame("its content cannot be decompressed");
  }
  authenticate(header, raw);
  events_ = kj::arrayPtr(raw_.get(), words);
  if (frame_.encoding == Encoding::kZstdStart) restart_ = at_;
}

void FrameReader::readPart(Bytes header) {
  authenticate(header, {});
  if (frame_.encoding == Encoding::kZstdStart) at_.parts.clear();
  if (frame_.encoding == Encoding::kZstdContinue && at_.parts.empty()) {
    throw tamperedFrame("its encoding is none of this part");
  }
  at_.parts.push_back({content_, frame_.storedSize});
}

void FrameReader::readBlob(Bytes header, TraceBlobs& blobs) {
  Digest sha256;
  std::ranges::copy(fetch(content_, sha256.size()), sha256.begin());
  authenticate(header, sha256);
  if (frame_.encoding == Encoding::kZstdStart) at_.parts.clear();
  const bool hasParts = !at_.parts.empty();
  if ((frame_.encoding == Encoding::kZstdContinue && !hasParts) ||
      (frame_.encoding == Encoding::kSame && hasParts)) {
    throw tamperedFrame("its encoding does not agree with the parts before it");
  }
  at_.parts.push_back({content_ + sizeof(Digest), frame_.storedSize - sizeof(Digest)});
  if (const char* fault = blobs.add(at_.blobs, frame_, sha256, std::exchange(at_.parts, {}))) {
    throw tamperedFrame(fault);
  }
  ++at_.blobs;
}

void FrameReader::readSeal(Bytes header) {
  std::array<uint8_t, SealTotals::kSize> bytes;
  std::ranges::copy(fetch(content_, bytes.size()), bytes.begin());
  authenticate(header, bytes);
  if (SealTotals::decode(bytes) !=
      SealTotals{frame_.firstEvent - 1, frame_.sequence, at_.blobs}) {
    throw tamperedFrame("its totals are not those of the file");
  }
  if (!at_.parts.empty()) throw tamperedFrame("the blob whose parts come before it is missing");
}

Error FrameReader::tampered(uint64_t stop, const std::string& why) const {
  return Error(ExitCode::kTampered,
               "frame " + std::to_string(frame_.sequence) + " " + byteRange(start_, stop) +
                   " of '" + file_.path() + "' was altered: " + why,
               "what comes before that frame " +
                   std::string(chain_ ? "is authentic" : "was not checked, for want of a key") +
                   "; for the rest, use an unaltered copy");
}

// Bytes of the file, valid until the next call. Reads ahead unless something was skipped.
Bytes FrameReader::fetch(uint64_t offset, size_t length) {
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

}  // namespace airr
