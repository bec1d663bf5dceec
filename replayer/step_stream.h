// The steps of a session in their order, from whatever holds them, taken out ahead of who uses them.
//
// A StepStream borrows its source and owns one thread, if it is to read ahead; it is used by one other.
// next() throws what the source threw.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "mediator/facts/step.h"
#include "replayer/trace_reader.h"

namespace airr {

// A run of steps on its way: as it lies in its file, then as steps, which point into it.
struct StepPiece {
  std::vector<TraceReader::EventFrame> frames;  // of a trace: the first frameCount
  size_t frameCount = 0;
  std::span<const uint8_t> stored;              // of an index
  size_t rawSize = 0;
  std::unique_ptr<uint64_t[]> raw;
  size_t rawCapacity = 0;  // words
  facts::StepList list;
  uint64_t lastEvent = 0;
  bool extracted = false;
};

class StepSource {
 public:
  virtual ~StepSource() = default;
  // The next piece, verified; false at the end. By one thread at a time.
  virtual bool read(StepPiece& piece) = 0;
  // Fills piece.list. By any thread; several pieces at once.
  virtual void extract(StepPiece& piece) const = 0;
};

class TraceSteps : public StepSource {
 public:
  explicit TraceSteps(TraceReader& reader) : reader_(reader) {}
  bool read(StepPiece& piece) override;
  void extract(StepPiece& piece) const override;

 private:
  // Of a piece, about: handing one over costs as much as judging some hundred events.
  static constexpr size_t kWords = 32 << 10;

  void extract(const TraceReader::EventFrame& frame, facts::StepList& list) const;

  TraceReader& reader_;
  bool ended_ = false;
};

class StepStream {
 public:
  StepStream(StepSource& source, bool ahead);
  ~StepStream();

  // The next piece, with its steps; null at the end. Valid until the next call.
  const StepPiece* next();

 private:
  static constexpr size_t kMost = 6;   // pieces in all
  static constexpr size_t kAhead = 2;  // from this many on, the reading thread extracts as well

  void run();
  std::unique_ptr<StepPiece> take();
  void extract(StepPiece& piece) const;

  StepSource& source_;
  StepPiece own_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<StepPiece>> ready_;
  std::vector<std::unique_ptr<StepPiece>> free_;
  std::unique_ptr<StepPiece> current_;
  std::exception_ptr failure_;
  size_t made_ = 0;
  bool stop_ = false, ended_ = false;
  std::thread thread_;
};

}  // namespace airr
