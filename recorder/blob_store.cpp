#include "recorder/blob_store.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recorder/blob_cache.h"
#include "recorder/blob_worker.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "recorder/recent_map.h"
#include "schema/error.h"

namespace airr {
namespace {

// Contents up to this are hashed at once (18 µs), and so have one number for all that are equal.
constexpr uint64_t kHashedAtOnce = 32 << 10;
// Contents of files up to this are copied before addFile() returns; it waits for larger ones.
constexpr uint64_t kCopied = BlobWorker::kMaxWaiting;

void requireSize(uint64_t size) {
  if (size <= kMaxBlob) return;
  throw Error(ExitCode::kFailure,
              "content of " + std::to_string(size) +
                  " bytes is too large for a trace, which takes " + std::to_string(kMaxBlob) +
                  " bytes a file (also of sparse files)",
              "keep such files out of what the session maps or shares");
}

FileVersion versionOf(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw systemError("cannot inspect a file to record it");
  if (!S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kFailure, "cannot record the content of what is not a regular file");
  }
  requireSize(static_cast<uint64_t>(status.st_size));
  return FileVersion::of(status);
}

struct VersionHash {
  size_t operator()(const FileVersion& version) const {
    return XXH3_64bits(&version, sizeof version);
  }
};

// Not through open(2) of /proc/self/fd, which would need a permission that the descriptor's owner
// may no longer have. Only pread(2) is used on it, so sharing the file position does not matter.
UniqueFd duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwnFd));
  if (!copy) throw systemError("cannot keep a file open to record it");
  return copy;
}

// What cannot be read is refused here, where that does no harm to the trace.
UniqueFd duplicateReadable(int fd) {
  uint8_t first;
  if (readWhole(fd, {&first, 1}, 0) < 0) throw systemError("cannot read a file to record it");
  return duplicate(fd);
}

}  // namespace

class BlobStore::Impl {
 public:
  Impl(FrameWriter& frames, const std::array<uint8_t, 32>& cacheKey,
       std::span<const uint64_t> affinity)
      : cache_(cacheKey), worker_(frames, cache_, affinity) {}

  uint32_t add(Bytes bytes) {
    requireSize(bytes.size());
    return enter({.bytes = {bytes.begin(), bytes.end()}});
  }

  uint32_t addFile(int fd, bool isProgram) {
    const FileVersion version = versionOf(fd);
    if (const uint32_t* same = files_.find(version)) return *same;
    const bool settled = version.isSettled();

    BlobJob job;
    bool wait = false, known = settled;
    if (settled && version.size >= BlobCache::kSmallestFile) {
      job.cacheAs = version;
      if ((job.cached = cache_.find(version))) {
        job.sha256 = job.cached->sha256;
        job.file = duplicate(fd);  // should the cache fail
      } else {
        job.path = linkTarget(ownLink(fd));
        if (isProgram && version.size >= kReadLater && version.age() > kUnchangedFor) {
          job.file = duplicateReadable(fd);
          job.mustStay = true;
        }
      }
    }
    if (!job.file) {
      if (auto bytes = copy(fd, version.size)) {
        job.bytes = std::move(*bytes);
        known = settled && job.bytes.size() == version.size && versionOf(fd) == version;
        if (!known) job.cacheAs.reset();
      } else {
        job.file = duplicateReadable(fd);
        wait = true;
      }
    }
    const uint32_t number = enter(std::move(job));
    if (wait) {
      worker_.drain();
      known = settled && versionOf(fd) == version;
    }
    if (known) files_.emplace(version, number);
    return number;
  }

  void drain() { worker_.drain(); }

 private:
  // Gives a content its number, the one that it has already if that is known.
  uint32_t enter(BlobJob job) {
    if (!job.file && job.bytes.size() <= kHashedAtOnce) {
      hash_.update(job.bytes);
      job.sha256 = hash_.finish();
    }
    if (job.sha256) {
      if (const uint32_t* known = numbers_.find(*job.sha256)) return *known;
    }
    if (count_ == UINT32_MAX) {
      throw Error(ExitCode::kFailure, "a trace cannot take more than 2^32-1 blobs");
    }
    if (job.sha256) numbers_.emplace(*job.sha256, count_);
    worker_.put(std::move(job));
    return count_++;
  }

  // The content, or nothing if it is too long for that.
  static std::optional<std::vector<uint8_t>> copy(int fd, uint64_t expected) {
    if (expected > kCopied) return std::nullopt;
    std::vector<uint8_t> bytes(expected + 1);  // room to see the end
    for (uint64_t size = 0;;) {
      const ssize_t n = readWhole(fd, std::span(bytes).subspan(size), size);
      if (n < 0) throw systemError("cannot read a file to record it");
      size += static_cast<uint64_t>(n);
      if (size < bytes.size()) {
        bytes.resize(size);
        return bytes;
      }
      if (size > kCopied) return std::nullopt;
      bytes.resize(std::min(std::max<uint64_t>(2 * size, 64 << 10), kCopied + 1));
    }
  }

  BlobCache cache_;
  BlobWorker worker_;
  Sha256 hash_;
  uint32_t count_ = 0;
  RecentMap<Digest, uint32_t, DigestHash> numbers_;
  RecentMap<FileVersion, uint32_t, VersionHash> files_;
};

BlobStore::BlobStore(FrameWriter& frames, const std::array<uint8_t, 32>& cacheKey,
                     std::span<const uint64_t> affinity)
    : impl_(std::make_unique<Impl>(frames, cacheKey, affinity)) {}
BlobStore::~BlobStore() = default;
uint32_t BlobStore::add(Bytes bytes) { return impl_->add(bytes); }
uint32_t BlobStore::addFile(int fd) { return impl_->addFile(fd, false); }
uint32_t BlobStore::addProgram(int fd) { return impl_->addFile(fd, true); }
void BlobStore::drain() { impl_->drain(); }

}  // namespace airr
