// Compressed file contents that this host recorded before, so that embedding a large file that has
// not changed is one copy of its compressed bytes, without reading or compressing it again.
//
// One file an inode, and one a content, which says where a file with that content was; in
// $AIRR_CACHE_DIR, else $XDG_CACHE_HOME/airr, else ~/.cache/airr (0700). An
// entry's header counts only if its HMAC (with the key's cache key) is right, each block of its
// bytes only if its GMAC is (NIST SP 800-38D), so neither a torn file nor one that a tracee wrote
// is ever used. find() looks at the header only, so it is quick.
//
// Ownership: owns a descriptor of the directory. Threading: any calls from two threads at a time;
// other processes may use the same directory.
// Failure: never; a cache that is absent, unwritable or not private to this user holds nothing.
#pragma once

#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "schema/unique_fd.h"

namespace airr {

// Tells one content of a file from another without reading it. ctime cannot be set by programs.
struct FileVersion {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;  // nanoseconds since 1970
  static FileVersion of(const struct stat& status);
  bool operator==(const FileVersion&) const = default;
  // How long ago the file was changed, its metadata included; nanoseconds.
  int64_t age() const;
  // Whether a later change of the file is sure to give another version. Kernels stamp files with a
  // clock that ticks every 1 to 10 ms (current_time() in fs/inode.c), so two contents within a tick
  // may look alike. Files of /proc and /sys change without a stamp, but have no true size.
  bool isSettled() const;
  // The beginning of the names of what is cached for the file: one an inode.
  std::string cacheName() const;
};

// The cache's directory, made if it is missing. Nothing: there is none, or it is not private to
// this user.
UniqueFd openCacheDirectory();

struct CipherContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, CipherContextFree>;

class BlobCache {
 public:
  static std::string defaultPath();  // empty: no directory is named in the environment
  static constexpr uint64_t kSmallestFile = 16 << 10;
  static constexpr uint64_t kCapacity = 2ull << 30;
  static constexpr size_t kBlock = 64 << 10;
  static constexpr size_t kTag = 16;  // bytes; over the block and its SHA-256

  // `capacity`: bytes on disk; when they are exceeded, the least recently used files go.
  explicit BlobCache(const std::array<uint8_t, 32>& key, uint64_t capacity = kCapacity);

  // What the cache has for a file; stays readable if it is evicted meanwhile.
  struct Entry {
    Digest sha256{};    // of the file's content
    uint64_t size = 0;  // of the file
    UniqueFd file;
    uint64_t storedSize = 0;
    uint64_t nonce = 0;
  };
  std::optional<Entry> find(const FileVersion& version) const;

  // A file of this host, and in which version it has the content.
  struct Original {
    std::string path;
    FileVersion version;
    bool isUnchanged() const;
  };
  // A file that was cached with this content, if it is where it was and has not changed since. Who uses it has to
  // expect that it changes now.
  std::optional<Original> findOriginal(const Digest& sha256) const;

  // Computes the tags of an entry's blocks, in their order.
  class BlockTags {
   public:
    BlockTags(const BlobCache& cache, uint64_t nonce);
    std::array<uint8_t, kTag> next(const HashedBytes& block);

   private:
    void update(Bytes bytes);
    void begin();

    CipherContext context_;
    uint64_t nonce_;
    uint32_t block_ = 0;
  };

  // Reads an entry: one zstd frame, block by block, into `buffer`, which has room for kBlock.
  class Reader {
   public:
    enum class Result { kBlock, kEnd, kBroken };
    Reader(const BlobCache& cache, const Entry& entry, std::span<uint8_t> buffer);
    // kBlock: `block` holds until the next call. kBroken: this and all that follows is not to be
    // used.
    Result next(HashedBytes& block);

   private:
    const Entry& entry_;
    BlockTags tags_;
    uint64_t at_ = 0;
    std::span<uint8_t> buffer_;
  };

  // An entry on its way into the cache. It is dropped unless it is committed.
  class Draft {
   public:
    explicit Draft(const BlobCache& cache);
    ~Draft();
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    // kBlock bytes each, but for the last.
    void append(const HashedBytes& block);
    // Once, at the end. `path`: where the file is, as far as is known.
    void commit(const FileVersion& version, const Digest& sha256, const std::string& path);

   private:
    void drop();

    const BlobCache& cache_;
    std::string name_;
    UniqueFd file_;  // empty: nothing will come of it
    uint64_t storedSize_ = 0;
    uint64_t nonce_;
    BlockTags tagger_;
    std::vector<uint8_t> trailers_;
  };

 private:
  void keepPath(const Digest& sha256, const std::string& path) const;
  void evict() const;

  std::array<uint8_t, 32> key_;
  std::array<uint8_t, 32> blockKey_;
  uint64_t capacity_;
  UniqueFd directory_;
  mutable std::atomic<uint64_t> untilEviction_ = 0;  // bytes; listing the directory takes its time
};

}  // namespace airr
