#include "recorder/blob_worker.h"


#include <algorithm>
#include <climits>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "recorder/files.h"
#include "recorder/signals_blocked.h"
#include "recorder/worker_cores.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kChunk = 1 << 20;

std::string pathOf(int fd) {
  const std::string path = linkTarget(ownLink(fd));
  return path.empty() ? "a file" : path;
}

Error changed(int fd) {
  return Error(ExitCode::kFailure,
               "'" + pathOf(fd) +
                   "' was changed while it was being recorded, so the trace would "
                   "not have what the session ran",
               "record again when nothing replaces it");
}

}  // namespace

// The compressed bytes of one blob on their way into frames, and into the cache if it is to have
// them.
class BlobWorker::Output {
 public:
  Output(BlobWorker& worker, const BlobJob& job)
      : worker_(worker), buffer_(worker.pending_.get()), job_(job) {
    if (job.cacheAs && !worker.frames_.encrypts()) draft_.emplace(worker.cache_);
    ZSTD_CCtx_reset(worker_.context_.get(), ZSTD_reset_session_only);
  }

  void compress(Bytes in, ZSTD_EndDirective directive) {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    size_t left;
    do {
      if (used_ == kPart) writePart();
      ZSTD_outBuffer output{buffer_, kPart, used_};
      left = ZSTD_compressStream2(worker_.context_.get(), &output, &input, directive);
      if (ZSTD_isError(left)) {
        throw Error(ExitCode::kFailure, std::string("zstd: ") + ZSTD_getErrorName(left));
      }
      used_ = output.pos;
    } while (directive == ZSTD_e_continue ? input.pos < input.size : left > 0);
  }

  // After ZSTD_e_end.
  void finish(const Digest& sha256, uint64_t size) {
    const HashedBytes rest = hashed({buffer_, used_});
    worker_.frames_.blob(sha256, size, encoding_, rest);
    if (!draft_) return;
    draft_->append(rest);
    draft_->commit(*job_.cacheAs, sha256, job_.path);
  }

  void forgetCache() { draft_.reset(); }

 private:
  void writePart() {
    const HashedBytes part = hashed({buffer_, used_});
    worker_.frames_.part(encoding_, part);
    if (draft_) draft_->append(part);
    encoding_ = Encoding::kZstdContinue;
    used_ = 0;
  }

  BlobWorker& worker_;
  uint8_t* const buffer_;
  size_t used_ = 0;
  Encoding encoding_ = Encoding::kZstdStart;
  const BlobJob& job_;
  std::optional<BlobCache::Draft> draft_;
};

BlobWorker::BlobWorker(FrameWriter& frames, const BlobCache& cache,
                       std::span<const uint64_t> affinity)
    : frames_(frames),
      cache_(cache),
      pending_(std::make_unique_for_overwrite<uint8_t[]>(kPart)) {
  std::vector<uint64_t> cores = coresBesideOwn(affinity);
  const SignalsBlocked quiet;  // they are for the mediator's own thread
  thread_ = std::thread([this, cores = std::move(cores)] { run(cores); });
}

BlobWorker::~BlobWorker() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_one();
  thread_.join();
}

void BlobWorker::put(BlobJob job) {
  const uint64_t size = job.bytes.size();
  const size_t files = job.file ? 1 : 0;
  {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] {
      return dead_ || ((waiting_ == 0 || waiting_ + size <= kMaxWaiting) &&
                       filesWaiting_ + files <= kMaxFilesWaiting);
    });
    if (!dead_) {
      waiting_ += size;
      filesWaiting_ += files;
      queue_.push_back(std::move(job));
    }
  }
  queued_.notify_one();
  frames_.check();
}

void BlobWorker::drain() {
  {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return dead_ || queue_.empty(); });
  }
  frames_.check();
}

void BlobWorker::run(std::vector<uint64_t> affinity) {
  runOn(affinity);
  try {
    workUntilStopped();
  } catch (const Error& error) {
    frames_.fail(error);
  } catch (const std::exception& error) {
    frames_.fail(Error(ExitCode::kFailure,
                       std::string("cannot write a blob to the trace: ") + error.what()));
  }
  {
    std::lock_guard lock(mutex_);
    dead_ = true;
  }
  done_.notify_one();
}

void BlobWorker::workUntilStopped() {
  for (;;) {
    std::unique_lock lock(mutex_);
    queued_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    BlobJob& job = queue_.front();  // a deque's elements stay where they are
    const uint64_t size = job.bytes.size();
    const size_t files = job.file ? 1 : 0;
    lock.unlock();
    write(job);
    lock.lock();
    const BlobJob written = std::move(job);  // freed without the lock
    queue_.pop_front();
    waiting_ -= size;
    filesWaiting_ -= files;
    lock.unlock();
    done_.notify_one();
  }
}

void BlobWorker::write(BlobJob& job) {
  if (!job.sha256 && !job.file) job.sha256 = sha256(job.bytes);
  if (job.sha256 && written_.find(*job.sha256) != nullptr) {
    const uint64_t size = job.cached ? job.cached->size : job.bytes.size();
    frames_.sameBlob(*job.sha256, size);
    return;
  }
  if (job.cached && writeCached(job)) {
    // Done.
  } else if (job.file) {
    writeFile(job);
  } else {
    writeBytes(job);
  }
  written_.emplace(*job.sha256, true);
}

// False: the entry is broken; what was written of it is void once the blob begins anew.
bool BlobWorker::writeCached(BlobJob& job) {
  using Result = BlobCache::Reader::Result;
  BlobCache::Reader reader(cache_, *job.cached, {pending_.get(), kPart});
  Encoding encoding = Encoding::kZstdStart;
  uint64_t left = job.cached->storedSize;
  for (;;) {
    HashedBytes block;
    if (reader.next(block) != Result::kBlock) return false;
    left -= block.bytes.size();
    if (left == 0) {
      frames_.blob(*job.sha256, job.cached->size, encoding, block);
      return true;
    }
    frames_.part(encoding, block);
    encoding = Encoding::kZstdContinue;
  }
}

void BlobWorker::writeBytes(BlobJob& job) {
  Output output(*this, job);
  output.compress(job.bytes, ZSTD_e_end);
  output.finish(*job.sha256, job.bytes.size());
}

void BlobWorker::writeFile(BlobJob& job) {
  const int fd = job.file.get();
  Output output(*this, job);
  Sha256 hash;
  uint64_t size = 0;
  if (!chunk_) chunk_ = std::make_unique_for_overwrite<uint8_t[]>(kChunk);
  for (size_t n = kChunk; n == kChunk;) {
    const ssize_t got = readWhole(fd, {chunk_.get(), kChunk}, size);
    if (got < 0) throw systemError("cannot read '" + pathOf(fd) + "' to record it");
    n = static_cast<size_t>(got);
    size += n;
    if (size > kMaxBlob) throw changed(fd);
    const Bytes bytes(chunk_.get(), n);
    hash.update(bytes);
    output.compress(bytes, n == kChunk ? ZSTD_e_continue : ZSTD_e_end);
  }
  const Digest sha256 = hash.finish();
  struct stat status;
  const bool stayed = job.cacheAs && size == job.cacheAs->size && ::fstat(fd, &status) == 0 &&
                      FileVersion::of(status) == *job.cacheAs;
  if ((job.mustStay && !stayed) || (job.sha256 && sha256 != *job.sha256)) throw changed(fd);
  if (!stayed) output.forgetCache();
  job.sha256 = sha256;
  output.finish(sha256, size);
}

}  // namespace airr
