// The blobs of one trace: numbers, deduplication, and taking the contents over before they change.
//
// Numbers count from 0 and are given at once; a thread of the store's own writes the blobs to the
// trace in that order, as it gets on (recorder/blob_worker.h). Contents that are known to be equal
// have one number: small ones, and files that are unchanged. The others are compared by the thread,
// which writes a repeated content as a reference to the first. Of many thousands of contents the
// latest are known again, the others are written anew (recorder/recent_map.h).
//
// Ownership: owns copies of the contents, or of the descriptors, until they are written. Threading:
// all calls from one thread.
// Failure: Error (kFailure): a content that cannot be taken (a file that cannot be read, is not
// regular, or is over 4 GiB), which changes nothing; or the FrameWriter's failure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "recorder/digest.h"
#include "recorder/frame_writer.h"

namespace airr {

class BlobStore {
 public:
  // A file must be this large and this old for addProgram() to return before it is read.
  static constexpr uint64_t kReadLater = 1 << 20;
  static constexpr int64_t kUnchangedFor = 10'000'000'000;  // nanoseconds

  // `affinity`: of the thread, as for BlobWorker.
  BlobStore(FrameWriter& frames, const std::array<uint8_t, 32>& cacheKey,
            std::span<const uint64_t> affinity = {});
  ~BlobStore();  // what was not written is lost, unless drain() was called
  BlobStore(const BlobStore&) = delete;
  BlobStore& operator=(const BlobStore&) = delete;

  uint32_t add(Bytes bytes);
  // The content of a regular file from its start to its end, whatever the descriptor's position, as
  // it is now. A file that others write meanwhile gives a mixture; to prevent that is the caller's.
  uint32_t addFile(int fd);
  // The same for a file that a task executes, which nobody can write as long as it runs. A large
  // one that did not change lately is read after this returned; should it change before it was
  // read, by its stat(2), that is a failure of the FrameWriter.
  uint32_t addProgram(int fd);

  // Waits until all blobs are in the trace.
  void drain();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
