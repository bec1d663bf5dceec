#include "recorder/event_worker.h"

#include <string>
#include <utility>

#include "recorder/signals_blocked.h"
#include "recorder/worker_cores.h"
#include "schema/error.h"

namespace airr {

EventWorker::~EventWorker() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_one();
  thread_.join();
}

void EventWorker::put(FilledFrame& frame) {
  {
    std::unique_lock lock(mutex_);
    while (queue_.size() >= kMaxWaiting && !takeNext(lock)) done_.wait(lock);
    queue_.push_back(std::move(frame));
    frame = {};
    if (!spare_.empty()) {
      frame = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  queued_.notify_one();
  if (!thread_.joinable()) {
    const SignalsBlocked quiet;  // they are for the mediator's own thread
    thread_ = std::thread([this] { run(); });
  }
  frames_.check();
}

void EventWorker::write(FilledFrame& frame) {
  drain();
  process(frame);
}

void EventWorker::drain() {
  if (thread_.joinable()) {
    std::unique_lock lock(mutex_);
    while (working_ || !queue_.empty())
      if (!takeNext(lock)) done_.wait(lock);
  }
  frames_.check();
}

void EventWorker::run() {
  runOn(cores_);
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [&] { return stop_ || (!queue_.empty() && !working_); });
    if (stop_) return;
    takeNext(lock);
  }
}

// Writes the first of the queue, unless somebody is at the one before: false. A failure drops it, as all that
// follow: the writer refuses everything then.
bool EventWorker::takeNext(std::unique_lock<std::mutex>& lock) {
  if (working_ || queue_.empty()) return false;
  working_ = true;
  FilledFrame frame = std::move(queue_.front());
  queue_.pop_front();
  lock.unlock();
  try {
    process(frame);
  } catch (const Error& error) {
    frames_.fail(error);
  } catch (const std::exception& error) {
    frames_.fail(Error(ExitCode::kFailure, std::string("cannot write events to the trace: ") + error.what()));
  }
  lock.lock();
  working_ = false;
  if (spare_.size() < 2) spare_.push_back(std::move(frame));
  done_.notify_one();
  if (!queue_.empty()) queued_.notify_one();
  return true;
}

void EventWorker::process(FilledFrame& frame) {
  leaves_.clear();
  size_t start = 0;
  for (const FilledFrame::Cut& cut : frame.leaves) {
    if (const auto salt = frames_.salt(nextEvent_)) hash_.update(*salt);
    hash_.update({frame.bytes.get() + start, cut.end - start});
    leaves_.push_back({cut.events, hash_.finish()});
    start = cut.end;
    nextEvent_ += cut.events;
  }
  Encoding encoding;
  const Bytes stored = events_.compress({frame.bytes.get(), frame.size}, encoding);
  frames_.events(frame.size, leaves_, encoding, stored);
  if (!frame.metadata.empty()) {
    if (!metadata_) metadata_.emplace();
    const Bytes shown = metadata_->compress(frame.metadata, encoding);
    frames_.metadata(frame.metadata.size(), encoding, shown);
  }
  frame.leaves.clear();
  frame.metadata.clear();
  frame.size = 0;
}

}  // namespace airr
