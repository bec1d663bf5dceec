// The blobs of one trace on their way to its file: numbers, deduplication, compression.
//
// Numbers count from 0 in the order in which contents were first seen; equal contents have one
// number. Compression runs on a thread of the store's own; take() hands out the finished blobs in
// the order of their numbers.
//
// Ownership: owns copies of the bytes until they are taken. Threading: all calls from one thread.
// Failure: Error (kFailure): a file that cannot be read, is not regular or is over 4 GiB; no
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "recorder/digest.h"

namespace airr {

class BlobStore {
 public:
  struct Blob {
    Digest sha256{};
    uint64_t size = 0;
    std::shared_ptr<const std::vector<uint8_t>> stored;  // one zstd frame
  };

  explicit BlobStore(const std::array<uint8_t, 32>& cacheKey);
  ~BlobStore();
  BlobStore(const BlobStore&) = delete;
  BlobStore& operator=(const BlobStore&) = delete;

  uint32_t add(Bytes bytes);
  // The content of a regular file from its start to its end, whatever the descriptor's position. A
  // file that others write meanwhile gives a mixture; to prevent that is the caller's.
  uint32_t addFile(int fd);

  // The next blob if it is ready (takeReady), or as soon as it is (takeNext, nothing only if all
  // blobs were taken).
  std::optional<Blob> takeReady();
  std::optional<Blob> takeNext();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
