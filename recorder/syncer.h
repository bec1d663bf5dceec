// Keeps a file on its disk (fdatasync(2)) on a thread of its own, many writes at a time: what was
// written is there within kWithin, or, if the disk takes longer, the writer waits. So a loss of
// power costs that much of a trace at most, and waiting for the disk stays bounded.
//
// Ownership: borrows the System and the descriptor. Threading: wrote() and the waits from any
// thread. Failure: none here; a failed sync is handed to `fail`, on the thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "recorder/system.h"

namespace airr {

class Syncer {
 public:
  static constexpr int64_t kWithin = 20'000'000;  // nanoseconds

  Syncer(System& system, int fd, std::function<void(int error)> fail);
  ~Syncer();
  Syncer(const Syncer&) = delete;
  Syncer& operator=(const Syncer&) = delete;

  void wrote();
  // Waits if the disk is further behind than kWithin.
  void keepUp();
  // Waits until all that was written is on the disk, or cannot be.
  void drain();

 private:
  void run();

  System& system_;
  const int fd_;
  const std::function<void(int)> fail_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t written_ = 0, synced_ = 0;  // calls of wrote()
  int64_t oldest_ = 0;                 // System::ticks() of the first that is not synced
  bool stop_ = false, failed_ = false;
  std::thread thread_;
};

}  // namespace airr
