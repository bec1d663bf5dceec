// Hashes and compresses blobs and writes their frames, on a thread of its own, in the order in
// which they were put; also puts them in the host's cache.
//
// Ownership: owns the thread and what was put; refers to the frames and the cache. Threading: all
// calls from one thread.
// Failure: what goes wrong on the thread (a file that changed while it was read, no memory, a full
// disk) becomes the failure of the FrameWriter, and put() and drain() throw it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "recorder/blob_cache.h"
#include "recorder/frame_writer.h"
#include "recorder/recent_map.h"

namespace airr {

struct BlobJob {
  // The content: `cached` if it is there and whole, else the file's if there is one, else `bytes`.
  std::vector<uint8_t> bytes;
  UniqueFd file;
  std::optional<BlobCache::Entry> cached;
  // Of the content, if known; a file of another is a failure.
  std::optional<Digest> sha256;
  // The file's version before it was read. If it is the same still, the cache gets the content; if
  // not, that is a failure when it must stay.
  std::optional<FileVersion> cacheAs;
  std::string path;  // of that file
  bool mustStay = false;
};

class BlobWorker {
 public:
  static constexpr uint64_t kMaxWaiting = 64 << 20;   // bytes in memory
  static constexpr size_t kMaxFilesWaiting = 64;      // descriptors are few
  static constexpr size_t kPart = BlobCache::kBlock;  // how long an events frame may have to wait

  // `affinity`: where the thread may run, as for sched_setaffinity(2), if possible on another core
  // than the one that the calling thread is pinned to; empty: where the caller runs.
  BlobWorker(FrameWriter& frames, const BlobCache& cache, std::span<const uint64_t> affinity);
  ~BlobWorker();  // drops what is not written yet

  // Waits while too much is waiting.
  void put(BlobJob job);
  // Waits until all that was put is in the file.
  void drain();

 private:
  class Output;
  void run(std::vector<uint64_t> affinity);
  void workUntilStopped();
  void write(BlobJob& job);
  bool writeCached(BlobJob& job);
  void writeBytes(BlobJob& job);
  void writeFile(BlobJob& job);

  FrameWriter& frames_;
  const BlobCache& cache_;

  std::mutex mutex_;
  std::condition_variable queued_;  // for the thread: a job, or stop_
  std::condition_variable done_;    // for the caller: a job less, or dead_
  std::deque<BlobJob> queue_;       // the first is being worked on
  uint64_t waiting_ = 0;            // bytes in queue_
  size_t filesWaiting_ = 0;
  bool stop_ = false, dead_ = false;

  // Of the thread alone.
  RecentMap<Digest, bool, DigestHash> written_;
  ZstdCompressContext context_ = newCompressContext();
  // Not vectors, which would touch all pages at first.
  std::unique_ptr<uint8_t[]> chunk_, pending_;
  std::thread thread_;
};

}  // namespace airr
