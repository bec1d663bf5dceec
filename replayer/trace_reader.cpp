#include "replayer/trace_reader.h"

#include <capnp/serialize.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "recorder/files.h"
#include "recorder/frame.h"
#include "replayer/trace_reader_blobs.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kReadAhead = 256 << 10;
constexpr uint64_t kMaxZeroTail = 64 << 20;  // a sparse file must not keep us reading

// A reader may visit a field more than once, but a message of few bytes must not grow into a long
// walk (Cap'n Proto encoding, "Amplification Attack").
capnp::ReaderOptions limitsFor(size_t words) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 64 * words + 4096;
  options.nestingLimit = 64;
  return options;
}

// The words that the stream message at the start of `words` takes, or 0 if it is not whole.
size_t messageSize(kj::ArrayPtr<const capnp::word> words) {
  if (words.size() == 0) return 0;
  auto table = [&](uint64_t i) {
    uint32_t entry;
    std::memcpy(&entry, words.asBytes().begin() + i * sizeof entry, sizeof entry);
    return entry;
  };
  const uint64_t segments = uint64_t{table(0)} + 1;
  if (segments > kMaxSegments) return 0;
  uint64_t size = segments / 2 + 1;
  if (size > words.size()) return 0;
  for (uint64_t i = 1; i <= segments; ++i) size += table(i);
  return size <= words.size() ? size : 0;
}

std::string range(uint64_t from, uint64_t to) {
  return "(bytes " + std::to_string(from) + "-" + std::to_string(to) + ")";
}

UniqueFd openTrace(const std::string& path) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) {
    throw Error(ExitCode::kUnreadable,
                "cannot open the trace '" + path + "': " + std::strerror(errno));
  }
  return file;
}

uint64_t sizeOf(const std::string& path, int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw systemError("cannot inspect '" + path + "'");
  if (!S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kUnreadable, "'" + path + "' is not a trace: not a regular file");
  }
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace

class TraceReader::Impl {
 public:
  Impl(const std::string& path, const KeyStore* keys)
      : path_(path),
        file_(openTrace(path)),
        size_(sizeOf(path, file_.get())),
        blobs_(path_, file_.get()) {
    readHeader(keys);
    rewind();
  }

  schema::Header::Reader header() const { return header_; }
  bool authenticated() const { return chain_.has_value(); }

  std::optional<schema::Event::Reader> next() {
    if (failure_) throw *failure_;
    try {
      while (nextWord_ == endWord_) {
        if (end_ || !readFrame()) return std::nullopt;
      }
      return readEvent();
    } catch (const Error& error) {
      failure_ = error;
      throw;
    }
  }

  uint64_t eventNumber() const { return eventNumber_; }

  void rewind() {
    message_.reset();
    failure_.reset();
    end_.reset();
    blobs_.clear();
    decompressor_.reset();
    if (chain_) chain_->advance(fileTag_);
    frameStart_ = nextFrame_ = firstFrame_;
    frame_ = FrameHeader{};
    frame_.firstEvent = 1;
    frames_ = 0;
    nextWord_ = endWord_ = 0;
    eventNumber_ = 0;
  }

  TraceEnd end() const {
    if (!end_) throw Error(ExitCode::kFailure, "'" + path_ + "' was not read to its end");
    return *end_;
  }
  uint64_t frameCount() const { return frames_; }
  uint64_t fileSize() const { return size_; }
  uint64_t validSize() const { return nextFrame_; }
  TraceBlobs& blobs() { return blobs_; }

 private:
  // --- File header -------------------------------------------------------------------------------

  Error unreadable(const std::string& why, std::string remedy = {}) const {
    return Error(ExitCode::kUnreadable, "'" + path_ + "' " + why, std::move(remedy));
  }

  void readHeader(const KeyStore* keys) {
    const Error truncated =
        unreadable("ends inside its header, after " + std::to_string(size_) + " bytes",
                   "the recording ended before its first event; there is nothing to read");
    const size_t available = std::min<uint64_t>(size_, kFilePrefixSize);
    const Bytes start = fetch(0, available);
    if (!std::equal(
            kFileMagic.begin(),
            kFileMagic.begin() + static_cast<ptrdiff_t>(std::min(kFileMagic.size(), available)),
            start.begin())) {
      throw unreadable("is not a trace: it does not begin as one",
                       "name a file that 'airr record' wrote");
    }
    if (available < kFilePrefixSize) throw truncated;
    std::array<uint8_t, kFilePrefixSize> prefix;
    std::copy(start.begin(), start.end(), prefix.begin());
    uint32_t version, length;
    std::memcpy(&version, prefix.data() + 8, sizeof version);
    std::memcpy(&length, prefix.data() + 12, sizeof length);
    if (version != kFormatVersion) {
      throw Error(ExitCode::kVersion,
                  "'" + path_ + "' has trace format version " + std::to_string(version) +
                      "; this airr knows version " + std::to_string(kFormatVersion),
                  "use the airr that recorded it, or a later one");
    }
    if (length == 0 || length % sizeof(capnp::word) != 0 || length > kMaxHeaderMessage) {
      throw unreadable("has a damaged header: its length is impossible");
    }
    firstFrame_ = kFilePrefixSize + length + kTagSize;
    if (size_ < firstFrame_) throw truncated;

    const Bytes rest = fetch(kFilePrefixSize, length + kTagSize);
    headerWords_ = kj::heapArray<capnp::word>(length / sizeof(capnp::word));
    std::memcpy(headerWords_.begin(), rest.data(), length);
    std::copy_n(rest.begin() + length, kTagSize, fileTag_.begin());
    decodeHeader();
    if (keys != nullptr) authenticateHeader(*keys, prefix);
  }

  void decodeHeader() {
    const std::string damaged = "has a damaged header: ";
    if (messageSize(headerWords_) != headerWords_.size()) {
      throw unreadable(damaged + "its message is not whole");
    }
    try {
      headerMessage_.emplace(headerWords_, limitsFor(headerWords_.size()));
      header_ = headerMessage_->getRoot<schema::Header>();
      header_.totalSize();  // follows every pointer
    } catch (const kj::Exception& exception) {
      throw unreadable(damaged + exception.getDescription().cStr());
    }
    if (header_.getSessionId().size() != kSessionIdSize) {
      throw unreadable(damaged + "its session id has a wrong length");
    }
  }

  void authenticateHeader(const KeyStore& keys, Bytes prefix) {
    const auto sessionId = header_.getSessionId();
    const SessionKey key = keys.sessionKey({sessionId.begin(), sessionId.size()});
    const auto keyId = header_.getKeyId();
    if (!std::ranges::equal(keyId, key.rootId)) {
      throw Error(ExitCode::kWrongKey,
                  "'" + path_ + "' was recorded with the key " +
                      hex({keyId.begin(), keyId.size()}) + ", and the key '" + keys.path() +
                      "' is " + hex(key.rootId),
                  "set AIRR_KEY_FILE to the key of the user who recorded it");
    }
    chain_.emplace(key);
    const Bytes message(reinterpret_cast<const uint8_t*>(headerWords_.begin()),
                        headerWords_.size() * sizeof(capnp::word));
    if (!equal(chain_->fileTag(prefix, message), fileTag_)) {
      throw Error(ExitCode::kTampered,
                  "the header " + range(0, firstFrame_) + " of '" + path_ +
                      "' was altered: its tag does not match",
                  "nothing in this file can be relied on; use an unaltered copy");
    }
  }

  // --- Frames ------------------------------------------------------------------------------------

  Error tampered(uint64_t to, const std::string& why) const {
    return Error(ExitCode::kTampered,
                 "frame " + std::to_string(frame_.sequence) + " " + range(frameStart_, to) +
                     " of '" + path_ + "' was altered: " + why,
                 "what comes before that frame " +
                     std::string(chain_ ? "is authentic" : "was not checked, for want of a key") +
                     "; for the rest, use an unaltered copy");
  }

  // False at the end of what is whole.
  bool readFrame() {
    if (frame_.type == FrameType::kSeal && frame_.sequence > 0) {
      if (nextFrame_ != size_) {
        frameStart_ = nextFrame_;
        ++frame_.sequence;
        throw tampered(size_, "nothing may follow the seal");
      }
      end_ = TraceEnd::kSealed;
      return false;
    }
    if (nextFrame_ == size_) {
      end_ = TraceEnd::kUnsealed;
      return false;
    }
    if (size_ - nextFrame_ < kFrameHeaderSize) return truncated();

    std::array<uint8_t, kFrameHeaderSize> bytes;
    std::ranges::copy(fetch(nextFrame_, kFrameHeaderSize), bytes.begin());
    const FrameHeader header = FrameHeader::decode(bytes);
    const uint64_t sequence = frame_.sequence + 1;
    const uint64_t firstEvent = frame_.firstEvent + frame_.eventCount;
    const uint64_t content = nextFrame_ + kFrameHeaderSize;
    if (const char* fault = FrameHeader::fault(bytes)) {
      if (isZeroToEnd(nextFrame_)) return truncated();
      fail(sequence, size_, fault);
    }
    if (header.storedSize > size_ - content) return truncated();
    const uint64_t stop = content + header.storedSize;
    if (header.sequence != sequence) {
      fail(sequence, stop, "it calls itself frame " + std::to_string(header.sequence));
    }
    if (header.firstEvent != firstEvent) fail(sequence, stop, "events before it are missing");

    frameStart_ = nextFrame_;
    frame_ = header;
    switch (header.type) {
      case FrameType::kEvents:
        readEventsFrame(bytes, content, stop);
        break;
      case FrameType::kBlob:
        readBlobFrame(bytes, content, stop);
        break;
      case FrameType::kSeal:
        readSeal(bytes, content, stop);
        break;
    }
    nextFrame_ = stop;
    ++frames_;
    return true;
  }

  [[noreturn]] void fail(uint64_t sequence, uint64_t stop, const std::string& why) {
    frameStart_ = nextFrame_;
    frame_.sequence = sequence;
    throw tampered(stop, why);
  }

  bool truncated() {
    end_ = TraceEnd::kTruncated;
    return false;
  }

  // After a loss of power a file may be as long as it was to become, its last bytes never written.
  bool isZeroToEnd(uint64_t offset) {
    if (size_ - offset > kMaxZeroTail) return false;
    while (offset < size_) {
      const Bytes bytes = fetch(offset, std::min<uint64_t>(kReadAhead, size_ - offset));
      if (std::ranges::any_of(bytes, [](uint8_t byte) { return byte != 0; })) return false;
      offset += bytes.size();
    }
    return true;
  }

  void authenticate(Bytes header, Bytes content, uint64_t stop) {
    if (!chain_) return;
    if (!equal(chain_->frameTag(header, content), frame_.tag)) {
      throw tampered(stop, "its tag does not match");
    }
    chain_->advance(frame_.tag);
  }

  void readEventsFrame(Bytes header, uint64_t content, uint64_t stop) {
    const size_t words = frame_.rawSize / sizeof(capnp::word);
    if (words > rawCapacity_) {
      rawCapacity_ = std::max<size_t>(words, 2 * rawCapacity_);
      raw_.reset(new capnp::word[rawCapacity_]);
    }
    const std::span<uint8_t> raw(reinterpret_cast<uint8_t*>(raw_.get()), frame_.rawSize);
    if (!decompressor_.decompress(frame_.encoding, fetch(content, frame_.storedSize), raw)) {
      throw tampered(stop, "its content cannot be decompressed");
    }
    authenticate(header, raw, stop);
    nextWord_ = 0;
    endWord_ = words;
    eventsLeft_ = frame_.eventCount;
  }

  void readBlobFrame(Bytes header, uint64_t content, uint64_t stop) {
    Digest sha256;
    std::ranges::copy(fetch(content, sha256.size()), sha256.begin());
    authenticate(header, sha256, stop);
    blobs_.add(frame_, sha256, content + sha256.size());
  }

  void readSeal(Bytes header, uint64_t content, uint64_t stop) {
    std::array<uint8_t, SealTotals::kSize> bytes;
    std::ranges::copy(fetch(content, bytes.size()), bytes.begin());
    authenticate(header, bytes, stop);
    if (SealTotals::decode(bytes) !=
        SealTotals{frame_.firstEvent - 1, frame_.sequence, blobs_.count()}) {
      throw tampered(stop, "its totals are not those of the file");
    }
  }

  std::optional<schema::Event::Reader> readEvent() {
    const auto rest = kj::arrayPtr(raw_.get() + nextWord_, endWord_ - nextWord_);
    const size_t words = messageSize(rest);
    const bool last = words == rest.size();
    if (words == 0 || eventsLeft_ == 0 || last != (eventsLeft_ == 1)) {
      throw tampered(nextFrame_, "its events are not as many as its header says, or not whole");
    }
    try {
      message_.emplace(rest.slice(0, words), limitsFor(words));
      const schema::Event::Reader event = message_->getRoot<schema::Event>();
      if (!chain_) event.totalSize();  // follows every pointer
      nextWord_ += words;
      --eventsLeft_;
      ++eventNumber_;
      return event;
    } catch (const kj::Exception& exception) {
      throw tampered(nextFrame_,
                     std::string("an event is malformed: ") + exception.getDescription().cStr());
    }
  }

  // Bytes of the file, valid until the next call.
  Bytes fetch(uint64_t offset, size_t length) {
    if (offset < windowStart_ || offset + length > windowStart_ + windowLength_) {
      const size_t wanted = std::min<uint64_t>(std::max(length, kReadAhead), size_ - offset);
      if (window_.size() < wanted) window_.resize(wanted);
      windowLength_ = 0;
      const ssize_t n = readWhole(file_.get(), {window_.data(), wanted}, offset);
      if (n < 0) throw systemError("cannot read '" + path_ + "'");
      windowStart_ = offset;
      windowLength_ = static_cast<size_t>(n);
      if (windowLength_ < length) throw unreadable("became shorter while it was read");
    }
    return {window_.data() + (offset - windowStart_), length};
  }

  const std::string path_;
  UniqueFd file_;
  uint64_t size_;
  std::vector<uint8_t> window_;
  uint64_t windowStart_ = 0;
  size_t windowLength_ = 0;

  kj::Array<capnp::word> headerWords_;
  std::optional<capnp::FlatArrayMessageReader> headerMessage_;
  schema::Header::Reader header_;
  Digest fileTag_{};
  uint64_t firstFrame_ = 0;

  std::optional<Chain> chain_;  // with a key only
  TraceBlobs blobs_;
  std::optional<TraceEnd> end_;
  std::optional<Error> failure_;

  // The last whole frame, or, before the first, a frame 0 without events.
  FrameHeader frame_;
  uint64_t frameStart_ = 0;
  uint64_t nextFrame_ = 0;
  uint64_t frames_ = 0;  // whole ones so far

  // Its events, if it has any.
  EventDecompressor decompressor_;
  std::unique_ptr<capnp::word[]> raw_;
  size_t rawCapacity_ = 0;
  size_t nextWord_ = 0, endWord_ = 0;
  uint32_t eventsLeft_ = 0;
  std::optional<capnp::FlatArrayMessageReader> message_;
  uint64_t eventNumber_ = 0;
};

TraceReader::TraceReader(const std::string& path, const KeyStore* keys)
    : impl_(std::make_unique<Impl>(path, keys)) {}
TraceReader::~TraceReader() = default;
schema::Header::Reader TraceReader::header() const { return impl_->header(); }
bool TraceReader::authenticated() const { return impl_->authenticated(); }
std::optional<schema::Event::Reader> TraceReader::next() { return impl_->next(); }
uint64_t TraceReader::eventNumber() const { return impl_->eventNumber(); }
void TraceReader::rewind() { impl_->rewind(); }
TraceEnd TraceReader::end() const { return impl_->end(); }
uint64_t TraceReader::frameCount() const { return impl_->frameCount(); }
uint64_t TraceReader::fileSize() const { return impl_->fileSize(); }
uint64_t TraceReader::validSize() const { return impl_->validSize(); }
uint32_t TraceReader::blobCount() const { return impl_->blobs().count(); }
const TraceReader::BlobInfo& TraceReader::blobInfo(uint32_t blob) const {
  return impl_->blobs().info(blob);
}
void TraceReader::checkBlob(uint32_t blob) const { impl_->blobs().check(blob); }
void TraceReader::writeBlob(uint32_t blob, int fd) const { impl_->blobs().write(blob, fd); }
std::vector<uint8_t> TraceReader::readBlob(uint32_t blob, uint64_t offset, uint64_t length) const {
  return impl_->blobs().read(blob, offset, length);
}

}  // namespace airr
