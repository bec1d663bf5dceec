#include "recorder/blob_store.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <deque>
#include <string>
#include <unordered_map>

#include "recorder/blob_cache.h"
#include "recorder/blob_compressor.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kChunk = 1 << 20;

constexpr int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

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
  return {status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

// Whether a later change of the file is sure to give another version. Kernels stamp files with a
// clock that ticks every 1 to 10 ms (current_time() in fs/inode.c), so two contents within a tick
// may look alike. Files of /proc and /sys change without a stamp, but have no true size.
bool isSettled(const FileVersion& version) {
  constexpr int64_t kTick = 50'000'000;
  timespec now;
  // Not through the vDSO: the calling thread may have RDTSC trapped (mediator/own_time.h).
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return version.size > 0 && nanoseconds(now) - version.changed > kTick;
}

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t hash;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

struct VersionHash {
  size_t operator()(const FileVersion& version) const {
    return XXH3_64bits(&version, sizeof version);
  }
};

}  // namespace

class BlobStore::Impl {
 public:
  explicit Impl(const std::array<uint8_t, 32>& cacheKey) : cache_(cacheKey), compressor_(cache_) {}

  uint32_t add(Bytes bytes) {
    requireSize(bytes.size());
    hash_.update(bytes);
    const Digest sha256 = hash_.finish();
    if (auto known = numbers_.find(sha256); known != numbers_.end()) return known->second;
    auto job = std::make_shared<CompressionJob>();
    compressor_.append(job, {bytes.begin(), bytes.end()}, true);
    return enter(sha256, bytes.size(), std::move(job));
  }

  uint32_t addFile(int fd) {
    const FileVersion version = versionOf(fd);
    if (auto known = files_.find(version); known != files_.end()) return known->second;
    if (!isSettled(version)) return read(fd, nullptr).number;

    const bool cacheable = version.size >= BlobCache::kSmallestFile;
    if (cacheable) {
      if (auto entry = cache_.load(version)) {
        const uint32_t number = adopt(version, std::move(*entry));
        files_.emplace(version, number);
        return number;
      }
    }
    const ReadFile file = read(fd, cacheable ? &version : nullptr);
    if (file.size == version.size && versionOf(fd) == version) files_.emplace(version, file.number);
    return file.number;
  }

  std::optional<Blob> take(bool wait) {
    if (outstanding_.empty()) return std::nullopt;
    Outstanding& next = outstanding_.front();
    if (next.blob.stored == nullptr) {
      next.blob.stored = wait ? compressor_.wait(*next.job) : compressor_.poll(*next.job);
      if (next.blob.stored == nullptr) return std::nullopt;
    }
    std::optional<Blob> blob = std::move(next.blob);
    outstanding_.pop_front();
    return blob;
  }

 private:
  struct Outstanding {
    Blob blob;
    std::shared_ptr<CompressionJob> job;
  };
  struct ReadFile {
    uint32_t number;
    uint64_t size;
  };

  // Gives a content the trace does not have yet its number.
  uint32_t enter(const Digest& sha256, uint64_t size, std::shared_ptr<CompressionJob> job,
                 std::shared_ptr<const std::vector<uint8_t>> stored = nullptr) {
    if (numbers_.size() == UINT32_MAX) {
      throw Error(ExitCode::kFailure, "a trace cannot take more than 2^32-1 blobs");
    }
    const uint32_t number = static_cast<uint32_t>(numbers_.size());
    outstanding_.push_back({{sha256, size, std::move(stored)}, std::move(job)});
    numbers_.emplace(sha256, number);
    return number;
  }

  uint32_t adopt(const FileVersion& version, BlobCache::Entry entry) {
    if (auto known = numbers_.find(entry.sha256); known != numbers_.end()) return known->second;
    return enter(entry.sha256, version.size, nullptr,
                 std::make_shared<const std::vector<uint8_t>>(std::move(entry.stored)));
  }

  // Reads in chunks, which are hashed here and compressed on the other thread meanwhile.
  ReadFile read(int fd, const FileVersion* cacheAs) {
    Sha256 hash;
    auto job = std::make_shared<CompressionJob>();
    std::vector<uint8_t> chunk;
    uint64_t size = 0;
    for (;;) {
      chunk.resize(kChunk);
      const ssize_t n = readWhole(fd, chunk, size);
      if (n < 0) throw systemError("cannot read a file to record it");
      chunk.resize(static_cast<size_t>(n));
      size += chunk.size();
      requireSize(size);
      hash.update(chunk);
      if (chunk.size() < kChunk) break;
      compressor_.append(job, std::exchange(chunk, {}), false);
    }
    const Digest sha256 = hash.finish();
    auto known = numbers_.find(sha256);
    const bool isNew = known == numbers_.end();
    if (cacheAs != nullptr && size == cacheAs->size && versionOf(fd) == *cacheAs) {
      job->cacheAs = {*cacheAs, sha256};
    }
    if (isNew || job->cacheAs) compressor_.append(job, std::move(chunk), true);
    return {isNew ? enter(sha256, size, std::move(job)) : known->second, size};
  }

  BlobCache cache_;
  BlobCompressor compressor_;
  Sha256 hash_;
  std::unordered_map<Digest, uint32_t, DigestHash> numbers_;
  std::unordered_map<FileVersion, uint32_t, VersionHash> files_;
  std::deque<Outstanding> outstanding_;
};

BlobStore::BlobStore(const std::array<uint8_t, 32>& cacheKey)
    : impl_(std::make_unique<Impl>(cacheKey)) {}
BlobStore::~BlobStore() = default;
uint32_t BlobStore::add(Bytes bytes) { return impl_->add(bytes); }
uint32_t BlobStore::addFile(int fd) { return impl_->addFile(fd); }
std::optional<BlobStore::Blob> BlobStore::takeReady() { return impl_->take(false); }
std::optional<BlobStore::Blob> BlobStore::takeNext() { return impl_->take(true); }

}  // namespace airr
