#include "recorder/trace_writer.h"

#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "recorder/blob_store.h"
#include "recorder/frame.h"
#include "recorder/frame_writer.h"
#include "recorder/metadata.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kFlushThreshold = 128 << 10;   // raw bytes in a frame
constexpr size_t kLeaf = 16 << 10;              // raw bytes in a leaf
constexpr size_t kFirstSegmentWords = 8 << 10;  // 64 KiB: events below it need no allocation

// What the frame being filled has in the clear besides, where it is encrypted.
class MetadataFrame {
 public:
  void add(schema::Event::Reader event) {
    capnp::MallocMessageBuilder message;
    copyMetadata(event, message.initRoot<schema::Event>());
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    raw_.insert(raw_.end(), bytes.begin(), bytes.end());
  }
  void write(FrameWriter& frames) {
    Encoding encoding;
    const Bytes stored = compressor_.compress(raw_, encoding);
    frames.metadata(raw_.size(), encoding, stored);
    raw_.clear();
  }

 private:
  EventCompressor compressor_;
  std::vector<uint8_t> raw_;
};

Bytes bytesOf(const void* data, size_t size) { return {static_cast<const uint8_t*>(data), size}; }

}  // namespace

class TraceWriter::Impl {
 public:
  Impl(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header,
       const TraceOptions& options)
      : path_(path),
        frames_(path, key, header, options),
        blobs_(frames_, key.cache, options.workerAffinity) {
    if (frames_.showsMetadata()) metadata_.emplace();
  }

  ~Impl() {
    if (frames_.failed()) return;
    try {
      flush();
      blobs_.drain();
      frames_.settle();
    } catch (const Error&) {
      // Nobody is left to tell; the trace has no seal, which its readers report.
    }
  }

  schema::Event::Builder begin() {
    frames_.check();
    message_.emplace(kj::arrayPtr(scratch_, kFirstSegmentWords));
    return message_->initRoot<schema::Event>();
  }

  void commit(Digested digested) {
    guarded([&] {
      if (digested == Digested::kAlone) endLeaf();
      append(message_.value().getSegmentsForOutput());
      if (metadata_) metadata_->add(message_.value().getRoot<schema::Event>().asReader());
      message_.reset();  // zeroes what was used of scratch_
      ++events_;
      ++leafEvents_;
      if (digested == Digested::kAlone || frameSize_ - leafStart_ >= kLeaf) endLeaf();
      if (frameSize_ >= kFlushThreshold || leaves_.size() + 2 > kMaxLeaves) writeEvents();
    });
  }

  void flush() {
    guarded([&] {
      writeEvents();
      frames_.keepUp();
    });
  }

  uint32_t addBlob(Bytes bytes) {
    frames_.check();
    return blobs_.add(bytes);
  }
  uint32_t addFile(int fd) {
    frames_.check();
    return blobs_.addFile(fd);
  }
  uint32_t addProgram(int fd) {
    frames_.check();
    return blobs_.addProgram(fd);
  }

  void seal() {
    guarded([&] {
      writeEvents();
      blobs_.drain();
      frames_.seal();
    });
    frames_.settle();
    frames_.checkSealed();
  }

  uint64_t eventCount() const { return events_; }

 private:
  // Runs what writes; its first failure is everybody's answer from then on.
  template <class Action>
  void guarded(Action action) {
    frames_.check();
    try {
      action();
    } catch (const Error& error) {
      frames_.fail(error);
      frames_.check();
    } catch (const std::exception& error) {
      frames_.fail(Error(ExitCode::kFailure,
                         "cannot write the trace '" + path_ + "': " + std::string(error.what())));
      frames_.check();
    }
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

  void endLeaf() {
    if (leafEvents_ == 0) return;
    if (const auto salt = frames_.salt(events_ - leafEvents_ + 1)) hash_.update(*salt);
    hash_.update(bytesOf(frame_.get() + leafStart_, frameSize_ - leafStart_));
    leaves_.push_back({leafEvents_, hash_.finish()});
    leafStart_ = frameSize_;
    leafEvents_ = 0;
  }

  void writeEvents() {
    endLeaf();
    if (leaves_.empty()) return;
    Encoding encoding;
    const Bytes stored = compressor_.compress(bytesOf(frame_.get(), frameSize_), encoding);
    frames_.events(frameSize_, leaves_, encoding, stored);
    if (metadata_) metadata_->write(frames_);
    leaves_.clear();
    leafStart_ = frameSize_ = 0;
  }

  const std::string path_;
  FrameWriter frames_;
  BlobStore blobs_;
  EventCompressor compressor_;
  std::optional<MetadataFrame> metadata_;

  // The event being filled. Its first segment is scratch_, which is all zeros between events.
  alignas(8) capnp::word scratch_[kFirstSegmentWords]{};
  std::optional<capnp::MallocMessageBuilder> message_;

  // The frame being filled.
  size_t frameCapacity_ = 4 * kFlushThreshold;
  std::unique_ptr<uint8_t[]> frame_{new uint8_t[frameCapacity_]};
  size_t frameSize_ = 0;
  std::vector<Leaf> leaves_;
  size_t leafStart_ = 0;     // of the leaf being filled
  uint32_t leafEvents_ = 0;  // in it
  Sha256 hash_;

  uint64_t events_ = 0;  // committed
};

TraceWriter::TraceWriter(const std::string& path, const SessionKey& key,
                         capnp::MallocMessageBuilder& header, const TraceOptions& options)
    : impl_(std::make_unique<Impl>(path, key, header, options)) {}
TraceWriter::~TraceWriter() = default;
schema::Event::Builder TraceWriter::begin() { return impl_->begin(); }
void TraceWriter::commit(Digested digested) { impl_->commit(digested); }
void TraceWriter::flush() { impl_->flush(); }
uint32_t TraceWriter::addBlob(const void* data, size_t size) {
  return impl_->addBlob(bytesOf(data, size));
}
uint32_t TraceWriter::addFile(int fd) { return impl_->addFile(fd); }
uint32_t TraceWriter::addProgram(int fd) { return impl_->addProgram(fd); }
void TraceWriter::seal() { impl_->seal(); }
uint64_t TraceWriter::eventCount() const { return impl_->eventCount(); }

}  // namespace airr
