#include "recorder/blob_compressor.h"

#include <pthread.h>
#include <signal.h>

#include "recorder/frame.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr uint64_t kMaxQueued = 64 << 20;

// Appends the compressed form of `in` to `out`.
void compress(ZSTD_CCtx* context, Bytes in, ZSTD_EndDirective directive,
              std::vector<uint8_t>& out) {
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  size_t used = out.size();
  size_t left;
  do {
    out.resize(used + ZSTD_CStreamOutSize());
    ZSTD_outBuffer output{out.data(), out.size(), used};
    left = ZSTD_compressStream2(context, &output, &input, directive);
    if (ZSTD_isError(left)) {
      throw Error(ExitCode::kFailure, std::string("zstd: ") + ZSTD_getErrorName(left));
    }
    used = output.pos;
  } while (directive == ZSTD_e_continue ? input.pos < input.size : left > 0);
  out.resize(used);
}

}  // namespace

BlobCompressor::BlobCompressor(const BlobCache& cache) : cache_(cache) {
  // The mediator's signals are for its own thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

BlobCompressor::~BlobCompressor() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_one();
  thread_.join();
}

void BlobCompressor::append(std::shared_ptr<CompressionJob> job, std::vector<uint8_t> bytes,
                            bool last) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queuedBytes_ <= kMaxQueued || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  queuedBytes_ += bytes.size();
  queue_.push_back({std::move(job), std::move(bytes), last});
  lock.unlock();
  queued_.notify_one();
}

std::shared_ptr<const std::vector<uint8_t>> BlobCompressor::poll(const CompressionJob& job) {
  std::lock_guard lock(mutex_);
  if (!job.stored && failure_) std::rethrow_exception(failure_);
  return job.stored;
}

std::shared_ptr<const std::vector<uint8_t>> BlobCompressor::wait(const CompressionJob& job) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return job.stored || failure_; });
  if (!job.stored) std::rethrow_exception(failure_);
  return job.stored;
}

void BlobCompressor::run() {
  try {
    compressUntilStopped();
  } catch (...) {
    {
      std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    changed_.notify_one();
  }
}

void BlobCompressor::compressUntilStopped() {
  const ZstdCompressContext context = newCompressContext();
  std::shared_ptr<CompressionJob> current;
  std::vector<uint8_t> stored;
  for (;;) {
    std::unique_lock lock(mutex_);
    queued_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const Piece piece = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();

    if (piece.job != current) {
      current = piece.job;
      stored.clear();
      ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only);
    }
    compress(context.get(), piece.bytes, piece.last ? ZSTD_e_end : ZSTD_e_continue, stored);

    std::shared_ptr<const std::vector<uint8_t>> result;
    if (piece.last) {
      stored.shrink_to_fit();
      result = std::make_shared<const std::vector<uint8_t>>(std::exchange(stored, {}));
    }
    lock.lock();
    queuedBytes_ -= piece.bytes.size();
    if (piece.last) current->stored = result;
    lock.unlock();
    changed_.notify_one();
    if (piece.last) {
      if (current->cacheAs)
        cache_.store(current->cacheAs->first, current->cacheAs->second, *result);
      current.reset();
    }
  }
}

}  // namespace airr
