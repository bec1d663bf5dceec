// Walks over the frames of a trace by their headers, and checks what headers alone can tell: that
// each is possible, in its place, and that the parts of blobs are followed by their blob. Nothing
// is authenticated here.
//
// Ownership: borrows the TraceFile. Not thread-safe.
// Failure: Error kTampered for a frame that no writer makes; otherwise as TraceFile::read().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recorder/frame.h"
#include "replayer/trace_reader.h"
#include "replayer/trace_reader_file.h"
#include "schema/error.h"

namespace airr {

// A frame as it lies in its file; offsets.
struct ScannedFrame {
  FrameHeader header;
  std::array<uint8_t, kFrameHeaderSize> bytes{};
  uint64_t start = 0, directory = 0, body = 0, stop = 0;
};

// What is wrong with a frame, or a run of them; offsets.
struct FrameFault {
  uint64_t firstFrame = 0, lastFrame = 0, start = 0, stop = 0;
  std::string why;
};

class FrameScanner {
 public:
  // All that the frames from here on depend on.
  struct Position {
    uint64_t offset = 0;  // of the next frame
    FrameHeader last;     // before the first, a frame 0 without events
    uint32_t blobs = 0;
    bool partsOpen = false;  // of a blob that is still to come
    bool sealed = false;
    bool redacted = false;  // a redaction came
  };

  explicit FrameScanner(const TraceFile& file);

  // The next frame, or nothing at the end of what is whole.
  std::optional<ScannedFrame> next();
  std::optional<TraceEnd> end() const { return end_; }
  // What next() threw an Error kTampered for.
  const std::optional<FrameFault>& fault() const { return fault_; }

  const Position& position() const { return at_; }
  void restore(const Position& position) { at_ = position; }

  // Bytes of the file, valid until the next call of any function here. Reads ahead unless something
  // was skipped.
  Bytes fetch(uint64_t offset, size_t length);

 private:
  bool isZeroToEnd(uint64_t offset);
  std::optional<ScannedFrame> endsWith(TraceEnd end);
  const char* misplacedPart(const FrameHeader& header) const;

  const TraceFile& file_;
  std::optional<TraceEnd> end_;
  std::optional<FrameFault> fault_;
  Position at_;
  std::vector<uint8_t> window_;
  uint64_t windowStart_ = 0;
  size_t windowLength_ = 0;
};

Error tampered(const TraceFile& file, const FrameFault& fault);

}  // namespace airr
