#include "replayer/trace_reader_frames.h"

#include <algorithm>
#include <utility>

namespace airr {

FrameReader::FrameReader(const TraceFile& file) : file_(file), scanner_(file), tag_(file.tag()) {
  if (file.key()) key_.emplace(file.key()->hmac);
  restart_.scan = scanner_.position();
}

bool FrameReader::next(TraceBlobs& blobs) {
  if (failure_) throw *failure_;
  try {
    events_ = nullptr;
    return readFrame(blobs);
  } catch (const Error& error) {
    failure_ = error;
    throw;
  }
}

void FrameReader::skipAfter(const FrameReader& other) {
  if (failure_ || other.restart_.scan.offset <= offset()) return;
  restart_ = other.restart_;
  scanner_.restore(restart_.scan);
  tag_ = restart_.tag;
  key_ = restart_.key;
  parts_ = restart_.parts;
  decompressor_.reset();
}

bool FrameReader::readFrame(TraceBlobs& blobs) {
  const FrameScanner::Position before = scanner_.position();
  const auto frame = scanner_.next();
  if (!frame) return false;
  frame_ = *frame;
  try {
    authenticate();
    switch (frame_.header.type) {
      case FrameType::kEvents:
        eventsFrame_ = frame_.header;
        [[fallthrough]];
      case FrameType::kMetadata:
        if (!hasOurEvents()) break;
        if (frame_.header.encoding == Encoding::kZstdStart) {
          restart_ = {before, tag_, key_, parts_};
        }
        readEvents();
        break;
      case FrameType::kPart:
      case FrameType::kBlob:
        readBlob(blobs);
        break;
      case FrameType::kCheckpoint:
        if (key_) key_->advance();
        break;
      case FrameType::kSeal:
      case FrameType::kRedaction:
        break;
    }
  } catch (const Error&) {
    scanner_.restore(before);  // what is whole ends here
    throw;
  }
  tag_ = frame_.header.tag;
  return true;
}

void FrameReader::authenticate() {
  const FrameHeader& header = frame_.header;
  // A redaction is signed by whoever did it, who need not have the root key; verifyTrace() checks
  // it.
  if (!key_ || header.type == FrameType::kRedaction) return;
  const uint64_t covered = header.directorySize + (header.isRemovable() ? 0 : header.bodySize);
  const Bytes bytes = scanner_.fetch(frame_.directory, covered);
  const Digest digest = hash_.frame(frame_.bytes, tag_, bytes.first(header.directorySize),
                                    bytes.subspan(header.directorySize));
  if (!equal(key_->tag(digest), header.tag)) throw tampered("its tag does not match");
}

// Who can read the events reads them; others what of them is in the clear.
bool FrameReader::hasOurEvents() const {
  const TraceSecrets* secrets = file_.secrets();
  const bool metadata = secrets != nullptr && !secrets->isOpen() && !secrets->hideMetadata();
  return frame_.header.type == (metadata ? FrameType::kMetadata : FrameType::kEvents);
}

void FrameReader::readEvents() {
  const FrameHeader& header = frame_.header;
  const size_t words = header.rawSize / sizeof(capnp::word);
  const bool fits = words <= place_.size();
  if (!fits && words > raw_.capacity) {
    const size_t capacity = std::max<size_t>(words, 2 * raw_.capacity);
    raw_.words.reset(new uint64_t[capacity]);
    raw_.capacity = capacity;
  }
  uint64_t* const start = fits ? place_.data() : raw_.words.get();
  const std::span<uint8_t> raw(reinterpret_cast<uint8_t*>(start), header.rawSize);
  const auto body = file_.plain(header, scanner_.fetch(frame_.body, header.bodySize));
  if (!body) throw tampered("its content cannot be decrypted");
  if (!decompressor_.decompress(header.encoding, *body, raw)) {
    throw tampered("its content cannot be decompressed");
  }
  events_ = kj::arrayPtr(reinterpret_cast<const capnp::word*>(start), words);
}

void FrameReader::readBlob(TraceBlobs& blobs) {
  const FrameHeader& header = frame_.header;
  if (header.encoding == Encoding::kZstdStart) parts_.clear();
  const Bytes directory = scanner_.fetch(frame_.directory, header.directorySize);
  BlobPart& part = parts_.emplace_back(BlobPart{header, frame_.body, {}});
  std::ranges::copy(directory.last(part.stored.size()), part.stored.begin());
  if (header.type == FrameType::kPart) return;
  Digest sha256;
  std::ranges::copy(directory.first(sha256.size()), sha256.begin());
  const uint32_t number = scanner_.position().blobs - 1;
  if (const char* fault = blobs.add(number, header, sha256, std::exchange(parts_, {}))) {
    throw tampered(fault);
  }
}

Error FrameReader::tampered(const std::string& why) const {
  const uint64_t sequence = frame_.header.sequence;
  return airr::tampered(file_, {sequence, sequence, frame_.start, frame_.stop, why});
}

}  // namespace airr
