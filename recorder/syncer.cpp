#include "recorder/syncer.h"

#include <cerrno>
#include <utility>

#include "recorder/signals_blocked.h"

namespace airr {

Syncer::Syncer(System& system, int fd, std::function<void(int)> fail)
    : system_(system), fd_(fd), fail_(std::move(fail)) {
  const SignalsBlocked quiet;  // they are for the mediator's own thread
  thread_ = std::thread([this] { run(); });
}

Syncer::~Syncer() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Syncer::wrote() {
  {
    std::lock_guard lock(mutex_);
    if (written_++ > synced_) return;  // the thread is at it
    oldest_ = system_.ticks();
  }
  changed_.notify_all();
}

void Syncer::keepUp() {
  std::unique_lock lock(mutex_);
  if (written_ == synced_ || system_.ticks() - oldest_ < kWithin) return;
  const uint64_t wanted = synced_ + 1;
  changed_.wait(lock, [&] { return failed_ || synced_ >= wanted; });
}

void Syncer::drain() {
  std::unique_lock lock(mutex_);
  const uint64_t wanted = written_;
  changed_.wait(lock, [&] { return failed_ || synced_ >= wanted; });
}

void Syncer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (!failed_ && written_ > synced_); });
    if (stop_) return;
    const uint64_t covered = written_;
    lock.unlock();
    const int error = system_.sync(fd_) == 0 ? 0 : errno;
    // A device or a pipe has nothing to sync (fdatasync(2)).
    const bool good = error == 0 || error == EINVAL || error == EROFS;
    if (!good) fail_(error);
    lock.lock();
    if (good) {
      synced_ = covered;
      oldest_ = system_.ticks();
    } else {
      failed_ = true;
    }
    changed_.notify_all();
  }
}

}  // namespace airr
