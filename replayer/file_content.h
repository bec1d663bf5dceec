// The content of a file that a replayed session writes, without keeping it in memory: what was
// written lies in one spool file, what the file held before stays a part of a blob until asked for.
//
// Spool owns an unlinked temporary file. FileContent is a value that points into a Spool and must
// be used with the same one. Not thread-safe. Failure: Error when the spool or the target cannot be
// written.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "schema/unique_fd.h"

namespace airr {

using ReadBlob =
    std::function<std::vector<uint8_t>(uint32_t blob, uint64_t offset, uint64_t length)>;

class Spool {
 public:
  // Appends the bytes and returns where they begin.
  uint64_t append(std::span<const uint8_t> bytes);
  void copy(uint64_t from, uint64_t length, int toFd, uint64_t toOffset) const;

 private:
  UniqueFd file_;  // made at the first append
  uint64_t size_ = 0;
};

class FileContent {
 public:
  uint64_t size() const { return size_; }

  // What the file held before the session, piece by piece; before any write.
  void addEarlier(uint32_t blob, uint64_t offset, uint64_t length);

  void write(uint64_t at, std::span<const uint8_t> bytes, Spool& spool);
  void writeZeros(uint64_t at, uint64_t length);
  void resize(uint64_t size);

  // Into an empty file.
  void writeTo(int fd, const Spool& spool, const ReadBlob& readBlob) const;

 private:
  static constexpr uint64_t kZeros = ~uint64_t{0};
  struct Extent {
    uint64_t length = 0;
    uint64_t spool = kZeros;
  };
  struct Earlier {
    uint64_t at = 0, length = 0;
    uint32_t blob = 0;
    uint64_t offset = 0;
  };

  void put(uint64_t at, Extent extent);
  void clear(uint64_t from, uint64_t to);

  uint64_t size_ = 0;
  uint64_t earlierEnd_ = 0;  // truncation cuts earlier content off for good
  std::vector<Earlier> earlier_;
  std::map<uint64_t, Extent> extents_;  // by position; disjoint; over the earlier content
};

}  // namespace airr
