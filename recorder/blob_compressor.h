// Compresses blobs on a thread of its own, in the order in which they were begun, and puts them in
// the host's cache.
//
// Ownership: owns the thread; refers to the cache. Threading: all calls from one thread.
// Failure: Error (kFailure) from wait() and poll() if the thread could not compress (no memory).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "recorder/blob_cache.h"

namespace airr {

struct CompressionJob {
  // Set, if at all, before the last bytes are appended.
  std::optional<std::pair<FileVersion, Digest>> cacheAs;

 private:
  friend class BlobCompressor;
  std::shared_ptr<const std::vector<uint8_t>> stored;
};

class BlobCompressor {
 public:
  explicit BlobCompressor(const BlobCache& cache);
  ~BlobCompressor();  // drops what is not compressed yet

  // Appends bytes to a job. The jobs must not interleave; one that gets no `last` is dropped when
  // the next begins. Waits while too much is queued.
  void append(std::shared_ptr<CompressionJob> job, std::vector<uint8_t> bytes, bool last);

  // The job's result, one zstd frame; nullptr from poll() if it is not ready.
  std::shared_ptr<const std::vector<uint8_t>> poll(const CompressionJob& job);
  std::shared_ptr<const std::vector<uint8_t>> wait(const CompressionJob& job);

 private:
  struct Piece {
    std::shared_ptr<CompressionJob> job;
    std::vector<uint8_t> bytes;
    bool last = false;
  };
  void run();
  void compressUntilStopped();

  const BlobCache& cache_;
  std::mutex mutex_;
  std::condition_variable queued_;   // for the thread: a piece, or stop_
  std::condition_variable changed_;  // for the caller: room, a result, or failure_
  std::deque<Piece> queue_;
  uint64_t queuedBytes_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace airr
