// Compressed file contents that this host recorded before, so that embedding a large file that has
// not changed is one copy of its compressed bytes, without hashing or compressing it again.
//
// One file an inode, in $AIRR_CACHE_DIR, else $XDG_CACHE_HOME/airr, else ~/.cache/airr (0700). An
// entry counts only if its HMAC (with the key's cache key) and the checksum of its bytes are right,
// so neither a torn file nor one that a tracee wrote is ever used.
//
// Ownership: owns a descriptor of the directory. Threading: load() and store() may be called from
// two threads at a time; other processes may use the same directory.
// Failure: never; a cache that is absent, unwritable or not private to this user holds nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "schema/unique_fd.h"

namespace airr {

// Tells one content of a file from another without reading it. ctime cannot be set by programs.
struct FileVersion {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;  // nanoseconds since 1970
  bool operator==(const FileVersion&) const = default;
};

class BlobCache {
 public:
  static constexpr uint64_t kSmallestFile = 256 << 10;
  static constexpr uint64_t kCapacity = 2ull << 30;

  // `capacity`: bytes on disk; when they are exceeded, the least recently used files go.
  explicit BlobCache(const std::array<uint8_t, 32>& key, uint64_t capacity = kCapacity);

  struct Entry {
    Digest sha256{};
    std::vector<uint8_t> stored;  // one zstd frame
  };
  std::optional<Entry> load(const FileVersion& version) const;
  void store(const FileVersion& version, const Digest& sha256, Bytes stored) const;

 private:
  void evict() const;

  std::array<uint8_t, 32> key_;
  uint64_t capacity_;
  UniqueFd directory_;
};

}  // namespace airr
