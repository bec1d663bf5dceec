// Hashes and compresses filled frames of events and writes them, on a thread of its own, in the order in which
// they were put: off the way of the tracees, which wait while the thread that puts them works.
//
// Ownership: owns the thread, which starts with the first frame that is put, and what was put; refers to the
// frames of the file. Threading: all calls from one thread.
// Failure: what goes wrong on the thread becomes the failure of the FrameWriter, and put(), write() and drain()
// throw it; as they do what goes wrong in themselves.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "recorder/frame.h"
#include "recorder/frame_writer.h"

namespace airr {

// Events in standard stream framing, and where they are cut into leaves.
struct FilledFrame {
  struct Cut {
    uint32_t events = 0;  // of the leaf
    size_t end = 0;       // offset of its last byte and one
  };

  std::unique_ptr<uint8_t[]> bytes;
  size_t size = 0, capacity = 0;
  std::vector<Cut> leaves;
  std::vector<uint8_t> metadata;  // the same events without contents, where that is to be in the clear
};

class EventWorker {
 public:
  static constexpr size_t kMaxWaiting = 4;  // frames

  // `cores`: where the thread may run, as for sched_setaffinity(2): the caller may be pinned to one that has enough to
  // do. Empty: where the caller runs.
  EventWorker(FrameWriter& frames, std::span<const uint64_t> cores) : frames_(frames), cores_(cores.begin(), cores.end()) {}
  ~EventWorker();  // drops what is not written yet

  // `frame` is empty afterwards, with room for another. Waits while too many are waiting.
  void put(FilledFrame& frame);
  // Writes it behind all that was put, and returns when that is done; then it is empty.
  void write(FilledFrame& frame);
  // Waits until all that was put is in the file, and helps.
  void drain();

 private:
  void run();
  void process(FilledFrame& frame);
  bool takeNext(std::unique_lock<std::mutex>& lock);

  FrameWriter& frames_;
  const std::vector<uint64_t> cores_;

  std::mutex mutex_;
  std::condition_variable queued_;  // for the thread: a frame, or stop_
  std::condition_variable done_;    // for the caller: nobody works any more
  std::deque<FilledFrame> queue_;   // not begun
  std::vector<FilledFrame> spare_;  // empty
  bool working_ = false;            // somebody writes the frame that was the first
  bool stop_ = false;

  // Of whoever works.
  EventCompressor events_;
  std::optional<EventCompressor> metadata_;  // where it is shown
  uint64_t nextEvent_ = 1;                   // number of the first of the next frame
  Sha256 hash_;
  std::vector<Leaf> leaves_;
  std::thread thread_;
};

}  // namespace airr
