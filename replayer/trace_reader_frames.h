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
#include <vector>

#include "recorder/frame.h"
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
  uint32_t eventCount() const { return at_.frame.eventCount; }
  // An Error kTampered about that frame.
  Error tampered(const std::string& why) const { return tampered(at_.offset, why); }

  std::optional<TraceEnd> end() const { return end_; }
  uint64_t frameCount() const { return at_.frames; }
  uint64_t offset() const { return at_.offset; }  // end of the last whole frame

  // Goes on from the last beginning of a zstd frame of events that another reader of the file met,
  // if that is further on.
  void skipAfter(const FrameReader& other);

 private:
  // All that the frames from here on depend on.
  struct Position {
    uint64_t offset = 0;  // of the next frame
    FrameHeader frame;    // the last; before the first, a frame 0 without events
    Digest tag{};
    uint64_t frames = 0;
    uint32_t blobs = 0;
    BlobParts parts;  // of the next blob
  };

  bool readFrame(TraceBlobs& blobs);
  void readEvents(Bytes header);
  void readPart(Bytes header);
  void readBlob(Bytes header, TraceBlobs& blobs);
  void readSeal(Bytes header);
  void authenticate(Bytes header, Bytes content);
  bool isZeroToEnd(uint64_t offset);
  bool endsWith(TraceEnd end);
  Error tampered(uint64_t stop, const std::string& why) const;
  Error tamperedFrame(const std::string& why) const { return tampered(stop_, why); }
  Bytes fetch(uint64_t offset, size_t length);

  const TraceFile& file_;
  std::optional<Chain> chain_;
  std::optional<TraceEnd> end_;
  std::optional<Error> failure_;
  Position at_;
  Position restart_;  // before the events frame that began the current zstd frame

  // The frame that is being read, or was read last.
  FrameHeader frame_;
  uint64_t start_ = 0, content_ = 0, stop_ = 0;  // offsets
  std::unique_ptr<capnp::word[]> raw_;
  size_t rawCapacity_ = 0;
  kj::ArrayPtr<const capnp::word> events_;
  EventDecompressor decompressor_;

  std::vector<uint8_t> window_;
  uint64_t windowStart_ = 0;
  size_t windowLength_ = 0;
};

}  // namespace airr
