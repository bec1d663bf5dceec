// The frames of a trace in their order, each verified before its content is given out.
//
// Ownership: borrows the TraceFile. Not thread-safe.
// Failure: Error kTampered for a frame that is not what was written, again at every later call;
// otherwise as TraceFile::read().
#pragma once

#include <capnp/common.h>
#include <kj/common.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recorder/epoch.h"
#include "recorder/frame.h"
#include "replayer/frame_scanner.h"
#include "replayer/trace_reader.h"
#include "replayer/trace_reader_blobs.h"
#include "replayer/trace_reader_file.h"

namespace airr {

class FrameReader {
 public:
  explicit FrameReader(const TraceFile& file);

  // Reads the next frame; false at the end of what is whole. A blob that `blobs` does not have yet
  // is added to it.
  bool next(TraceBlobs& blobs);

  // Events of the frame that was read last, if it has any. Valid until next().
  kj::ArrayPtr<const capnp::word> events() const { return events_; }
  // Where the next events are to lie, if there is room for them.
  void setPlace(std::span<uint64_t> place) { place_ = place; }
  // Gives away what they lie in, at its beginning, for another room, if they did not fit in there.
  void swapRoom(EventRoom& room) {
    if (reinterpret_cast<const uint64_t*>(events_.begin()) == raw_.words.get()) std::swap(room, raw_);
    events_ = nullptr;
  }
  uint32_t eventCount() const { return eventsFrame_.eventCount; }
  uint64_t firstEvent() const { return eventsFrame_.firstEvent; }  // its number
  // An Error kTampered about that frame.
  Error tampered(const std::string& why) const;

  std::optional<TraceEnd> end() const { return scanner_.end(); }
  const Digest& tag() const { return tag_; }  // of the last whole frame, or the file's header
  uint64_t frameCount() const { return scanner_.position().last.sequence; }
  uint64_t offset() const { return scanner_.position().offset; }  // end of the last whole frame

  // Goes on from the last beginning of a zstd frame of events that another reader of the file met,
  // if that is further on.
  void skipAfter(const FrameReader& other);

 private:
  // All that the frames from here on depend on.
  struct Position {
    FrameScanner::Position scan;
    Digest tag{};
    std::optional<EpochKey> key;  // none: tags are not checked
    BlobParts parts;              // of the next blob
  };

  bool readFrame(TraceBlobs& blobs);
  void authenticate();
  bool hasOurEvents() const;
  void readEvents();
  void readBlob(TraceBlobs& blobs);

  const TraceFile& file_;
  FrameScanner scanner_;
  FrameHash hash_;
  std::optional<Error> failure_;
  Digest tag_{};
  std::optional<EpochKey> key_;
  BlobParts parts_;
  Position restart_;  // before the events frame that began the current zstd frame

  ScannedFrame frame_;       // that is being read, or was read last
  FrameHeader eventsFrame_;  // the last of events
  EventRoom raw_;
  std::span<uint64_t> place_;
  kj::ArrayPtr<const capnp::word> events_;
  EventDecompressor decompressor_;
};

}  // namespace airr
