#include "recorder/trace_writer.h"

#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "recorder/blob_store.h"
#include "recorder/event_worker.h"
#include "recorder/frame.h"
#include "recorder/frame_writer.h"
#include "recorder/metadata.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kFlushThreshold = 128 << 10;   // raw bytes in a frame
constexpr size_t kLeaf = 16 << 10;              // raw bytes in a leaf
constexpr size_t kFirstSegmentWords = 8 << 10;  // 64 KiB: events below it need no allocation

Bytes bytesOf(const void* data, size_t size) { return {static_cast<const uint8_t*>(data), size}; }

}  // namespace

class TraceWriter::Impl {
 public:
  Impl(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header,
       const TraceOptions& options)
      : path_(path),
        frames_(path, key, header, options),
        worker_(frames_, options.workerAffinity),
        blobs_(frames_, key.cache, options.workerAffinity) {}

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
      if (frames_.showsMetadata()) addMetadata(message_.value().getRoot<schema::Event>().asReader());
      message_.reset();  // zeroes what was used of scratch_
      ++events_;
      ++leafEvents_;
      if (digested == Digested::kAlone || frame_.size - leafStart() >= kLeaf) endLeaf();
      if (frame_.size >= kFlushThreshold || frame_.leaves.size() + 2 > kMaxLeaves) {
        endLeaf();
        worker_.put(frame_);
      }
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
    if (frame_.size + size > kMaxEventsFrame) writeEvents();
    if (frame_.size + size > frame_.capacity) growFrame(frame_.size + size);

    uint8_t* to = frame_.bytes.get() + frame_.size;
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
    frame_.size += size;
  }

  void addMetadata(schema::Event::Reader event) {
    capnp::MallocMessageBuilder message;
    copyMetadata(event, message.initRoot<schema::Event>());
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    frame_.metadata.insert(frame_.metadata.end(), bytes.begin(), bytes.end());
  }

  void growFrame(size_t atLeast) {
    const size_t capacity = std::max({atLeast, 2 * frame_.capacity, 4 * kFlushThreshold});
    std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity]);
    std::copy_n(frame_.bytes.get(), frame_.size, larger.get());
    frame_.bytes = std::move(larger);
    frame_.capacity = capacity;
  }

  size_t leafStart() const { return frame_.leaves.empty() ? 0 : frame_.leaves.back().end; }

  void endLeaf() {
    if (leafEvents_ == 0) return;
    frame_.leaves.push_back({std::exchange(leafEvents_, 0), frame_.size});
  }

  // Behind it, all events are in the file.
  void writeEvents() {
    endLeaf();
    if (frame_.leaves.empty()) return worker_.drain();
    worker_.write(frame_);
  }

  const std::string path_;
  FrameWriter frames_;
  EventWorker worker_;
  BlobStore blobs_;
  // The event being filled. Its first segment is scratch_, which is all zeros between events.
  alignas(8) capnp::word scratch_[kFirstSegmentWords]{};
  std::optional<capnp::MallocMessageBuilder> message_;

  FilledFrame frame_;        // or rather, being filled
  uint32_t leafEvents_ = 0;  // since its last leaf

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
