#include "recorder/trace_writer.h"

#include <capnp/serialize.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "recorder/blob_store.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kFlushThreshold = 64 << 10;    // raw bytes in a frame
constexpr size_t kFirstSegmentWords = 8 << 10;  // 64 KiB: events below it need no allocation

Bytes bytesOf(const void* data, size_t size) { return {static_cast<const uint8_t*>(data), size}; }

// A regular file is replaced, not overwritten: who has the former trace open keeps it whole.
UniqueFd createTrace(const std::string& path) {
  const std::string what = "cannot create the trace '" + path + "'";
  int create = O_CREAT | O_EXCL;
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) throw systemError(what, EISDIR, "name a file in it");
    if (!S_ISREG(status.st_mode)) {
      create = 0;
    } else if (::unlink(path.c_str()) != 0) {
      throw systemError(what);
    }
  }
  UniqueFd file = openOwn(path, O_WRONLY | O_NOCTTY | create, 0600);
  if (!file && errno == EMFILE) {
    throw systemError(
        what, EMFILE,
        "raise the limit of open files above " + std::to_string(kFirstOwnFd) + " (ulimit -n 1024)");
  }
  if (!file) throw systemError(what, errno, "choose a place that can be written");
  return file;
}

}  // namespace

class TraceWriter::Impl {
 public:
  Impl(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header)
      : path_(path), file_(createTrace(path)), chain_(key), blobs_(key.cache) {
    writeHeader(key, header);
  }

  ~Impl() {
    if (failure_) return;
    try {
      flush();
    } catch (const Error&) {
      // Nobody is left to tell; the trace has no seal, which its readers report.
    }
  }

  schema::Event::Builder begin() {
    if (failure_) throw *failure_;
    message_.emplace(kj::arrayPtr(scratch_, kFirstSegmentWords));
    return message_->initRoot<schema::Event>();
  }

  void commit() {
    guarded([&] {
      append(message_.value().getSegmentsForOutput());
      message_.reset();  // zeroes what was used of scratch_
      ++events_;
      ++frameEvents_;
      if (frameSize_ >= kFlushThreshold) writeEvents();
    });
  }

  void flush() {
    if (frameEvents_ == 0 && !failure_) return;
    guarded([&] { writeEvents(); });
  }

  uint32_t addBlob(Bytes bytes) {
    if (failure_) throw *failure_;
    const uint32_t number = blobs_.add(bytes);
    writeReadyBlobs();
    return number;
  }

  uint32_t addFile(int fd) {
    if (failure_) throw *failure_;
    const uint32_t number = blobs_.addFile(fd);
    writeReadyBlobs();
    return number;
  }

  void seal() {
    guarded([&] {
      writeEvents();
      FrameHeader header = nextFrame(FrameType::kSeal);
      const auto totals = SealTotals{events_, header.sequence, blobFrames_}.encode();
      header.rawSize = header.storedSize = totals.size();
      writeFrame(header, totals, {}, totals);
    });
    failure_ = Error(ExitCode::kFailure, "the trace '" + path_ + "' is sealed: nothing can follow");
  }

  uint64_t eventCount() const { return events_; }

 private:
  // Runs what writes; its first failure is everybody's answer from then on.
  template <class Action>
  void guarded(Action action) {
    if (failure_) throw *failure_;
    try {
      action();
    } catch (const Error& error) {
      failure_ = error;
      throw;
    } catch (const std::exception& error) {
      failure_ = Error(ExitCode::kFailure,
                       "cannot write the trace '" + path_ + "': " + std::string(error.what()));
      throw *failure_;
    }
  }

  [[noreturn]] void failWrite() {
    const int error = errno;
    // What a failed write has left is no frame; without it the trace ends whole.
    if (whole_ > 0 && ::ftruncate(file_.get(), static_cast<off_t>(whole_)) != 0) {
      // Then readers find the partial frame at the end and report a truncated trace.
    }
    throw systemError("cannot write the trace '" + path_ + "'", error,
                      "the trace is whole up to this point; make room, or record to another file system");
  }

  void writeHeader(const SessionKey& key, capnp::MallocMessageBuilder& header) {
    auto root = header.getRoot<schema::Header>();
    if (root.getSessionId().size() != kSessionIdSize) {
      throw Error(ExitCode::kFailure, "a session id has " + std::to_string(kSessionIdSize) +
                                          " bytes, not " +
                                          std::to_string(root.getSessionId().size()));
    }
    root.setKeyId(kj::arrayPtr(key.rootId.data(), key.rootId.size()));
    const kj::Array<capnp::word> words = capnp::messageToFlatArray(header);
    const Bytes message = bytesOf(words.begin(), words.size() * sizeof(capnp::word));
    if (message.size() > kMaxHeaderMessage) {
      throw Error(ExitCode::kFailure, "the command line is too long for a trace's header");
    }
    std::array<uint8_t, kFilePrefixSize> prefix;
    const uint32_t length = static_cast<uint32_t>(message.size());
    std::copy(kFileMagic.begin(), kFileMagic.end(), prefix.begin());
    std::memcpy(prefix.data() + 8, &kFormatVersion, 4);
    std::memcpy(prefix.data() + 12, &length, 4);
    const Digest tag = chain_.fileTag(prefix, message);
    if (!writeWhole(file_.get(), {prefix, message, tag})) failWrite();
    chain_.advance(tag);
    whole_ = prefix.size() + message.size() + tag.size();
  }

  // Appends the message in standard stream framing.
  void append(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
    const size_t table = (segments.size() / 2 + 1) * 8;
    size_t size = table;
    for (auto segment : segments) size += segment.size() * sizeof(capnp::word);
    if (size > kMaxEventsFrame || segments.size() > kMaxSegments) {
      throw Error(ExitCode::kFailure,
                  "an event of " + std::to_string(size) + " bytes is too large for a trace");
    }
    if (frameSize_ + size > kMaxEventsFrame) writeEvents();
    if (frameSize_ + size > frameCapacity_) growFrame(frameSize_ + size);

    uint8_t* to = frame_.get() + frameSize_;
    auto putWord = [&to](uint32_t value) {
      std::memcpy(to, &value, sizeof value);
      to += sizeof value;
    };
    putWord(static_cast<uint32_t>(segments.size() - 1));
    for (auto segment : segments) putWord(static_cast<uint32_t>(segment.size()));
    if (segments.size() % 2 == 0) putWord(0);
    for (auto segment : segments) {
      std::memcpy(to, segment.begin(), segment.size() * sizeof(capnp::word));
      to += segment.size() * sizeof(capnp::word);
    }
    frameSize_ += size;
  }

  void growFrame(size_t atLeast) {
    const size_t capacity = std::max(atLeast, 2 * frameCapacity_);
    std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity]);
    std::copy_n(frame_.get(), frameSize_, larger.get());
    frame_ = std::move(larger);
    frameCapacity_ = capacity;
  }

  FrameHeader nextFrame(FrameType type) const {
    FrameHeader header;
    header.type = type;
    header.sequence = sequence_ + 1;
    header.firstEvent = framedEvents_ + 1;
    return header;
  }

  // `content` is what the chain covers; `prefix` and `stored` are what the file gets.
  void writeFrame(FrameHeader& header, Bytes content, Bytes prefix, Bytes stored) {
    std::array<uint8_t, kFrameHeaderSize> bytes;
    header.encode(bytes);
    header.tag = chain_.frameTag(bytes, content);
    header.encode(bytes);
    if (!writeWhole(file_.get(), {bytes, prefix, stored})) failWrite();
    chain_.advance(header.tag);
    sequence_ = header.sequence;
    whole_ += kFrameHeaderSize + header.storedSize;
  }

  void writeEvents() {
    // Any blob may be one that the pending events refer to.
    while (auto blob = blobs_.takeNext()) writeBlob(*blob);
    if (frameEvents_ == 0) return;
    const Bytes raw = bytesOf(frame_.get(), frameSize_);
    FrameHeader header = nextFrame(FrameType::kEvents);
    const Bytes stored = compressor_.compress(raw, header.encoding);
    header.rawSize = raw.size();
    header.eventCount = frameEvents_;
    header.storedSize = stored.size();
    writeFrame(header, raw, {}, stored);
    framedEvents_ += frameEvents_;
    frameEvents_ = 0;
    frameSize_ = 0;
  }

  // Early, so that they need no memory until the next events frame.
  void writeReadyBlobs() {
    guarded([&] {
      while (auto blob = blobs_.takeReady()) writeBlob(*blob);
    });
  }

  void writeBlob(const BlobStore::Blob& blob) {
    FrameHeader header = nextFrame(FrameType::kBlob);
    header.rawSize = blob.size;
    header.encoding = Encoding::kZstdStart;
    header.storedSize = sizeof(Digest) + blob.stored->size();
    writeFrame(header, blob.sha256, blob.sha256, *blob.stored);
    ++blobFrames_;
  }

  std::string path_;
  UniqueFd file_;
  Chain chain_;
  BlobStore blobs_;
  EventCompressor compressor_;
  std::optional<Error> failure_;

  // The event being filled. Its first segment is scratch_, which is all zeros between events.
  alignas(8) capnp::word scratch_[kFirstSegmentWords]{};
  std::optional<capnp::MallocMessageBuilder> message_;

  // The frame being filled.
  size_t frameCapacity_ = 4 * kFlushThreshold;
  std::unique_ptr<uint8_t[]> frame_{new uint8_t[frameCapacity_]};
  size_t frameSize_ = 0;
  uint32_t frameEvents_ = 0;

  uint64_t events_ = 0;        // committed
  uint64_t framedEvents_ = 0;  // of them, in the file
  uint64_t sequence_ = 0;      // of the last frame in the file
  uint64_t blobFrames_ = 0;
  uint64_t whole_ = 0;  // bytes in the file up to the end of the last whole frame
};

TraceWriter::TraceWriter(const std::string& path, const SessionKey& key,
                         capnp::MallocMessageBuilder& header)
    : impl_(std::make_unique<Impl>(path, key, header)) {}
TraceWriter::~TraceWriter() = default;
schema::Event::Builder TraceWriter::begin() { return impl_->begin(); }
void TraceWriter::commit() { impl_->commit(); }
void TraceWriter::flush() { impl_->flush(); }
uint32_t TraceWriter::addBlob(const void* data, size_t size) {
  return impl_->addBlob(bytesOf(data, size));
}
uint32_t TraceWriter::addFile(int fd) { return impl_->addFile(fd); }
void TraceWriter::seal() { impl_->seal(); }
uint64_t TraceWriter::eventCount() const { return impl_->eventCount(); }

}  // namespace airr
