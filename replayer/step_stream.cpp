#include "replayer/step_stream.h"

#include <capnp/serialize.h>
#include <kj/exception.h>

#include <string>
#include <utility>

#include "replayer/trace_reader_file.h"
#include "schema/error.h"

namespace airr {

bool TraceSteps::read(StepPiece& piece) {
  if (piece.rawCapacity < kWords) {
    piece.raw.reset(new uint64_t[kWords]);
    piece.rawCapacity = kWords;
  }
  piece.frameCount = 0;
  for (size_t words = 0; words < kWords && !ended_;) {
    if (piece.frames.size() == piece.frameCount) piece.frames.emplace_back();
    TraceReader::EventFrame& frame = piece.frames[piece.frameCount];
    ended_ = !reader_.nextFrame(frame, std::span(piece.raw.get(), piece.rawCapacity).subspan(words));
    if (ended_) break;
    ++piece.frameCount;
    words += frame.words.size();
    piece.lastEvent = frame.firstEvent + frame.count - 1;
  }
  return piece.frameCount != 0;
}

void TraceSteps::extract(StepPiece& piece) const {
  for (size_t i = 0; i < piece.frameCount; ++i) extract(piece.frames[i], piece.list);
}

void TraceSteps::extract(const TraceReader::EventFrame& frame, facts::StepList& list) const {
  auto malformed = [&](uint32_t i, const std::string& why) {
    return Error(ExitCode::kTampered,
                 "event " + std::to_string(frame.firstEvent + i) + " is malformed: " + why);
  };
  kj::ArrayPtr<const capnp::word> rest(reinterpret_cast<const capnp::word*>(frame.words.data()),
                                       frame.words.size());
  for (uint32_t i = 0; i < frame.count; ++i) {
    const size_t words = messageSize(rest);
    if (words == 0) throw malformed(i, "it is not whole");
    if (!facts::StepList::isPassedOver(frame.words.subspan(frame.words.size() - rest.size(), words))) {
      try {
        capnp::FlatArrayMessageReader message(rest.slice(0, words), limitsFor(words));
        list.add(frame.firstEvent + i, message.getRoot<schema::Event>());
      } catch (const kj::Exception& exception) {
        throw malformed(i, exception.getDescription().cStr());
      }
    }
    rest = rest.slice(words, rest.size());
  }
  if (rest.size() != 0) throw malformed(frame.count, "its frame has more than it says");
}

StepStream::StepStream(StepSource& source, bool ahead) : source_(source) {
  if (ahead) thread_ = std::thread([this] { run(); });
}

StepStream::~StepStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StepStream::extract(StepPiece& piece) const {
  if (std::exchange(piece.extracted, true)) return;
  piece.list.clear();
  source_.extract(piece);
}

const StepPiece* StepStream::next() {
  if (!thread_.joinable()) {
    if (!source_.read(own_)) return nullptr;
    own_.extracted = false;
    extract(own_);
    return &own_;
  }
  {
    std::unique_lock lock(mutex_);
    if (current_) free_.push_back(std::move(current_));
    changed_.notify_all();
    changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
    if (ready_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return nullptr;
    }
    current_ = std::move(ready_.front());
    ready_.pop_front();
  }
  extract(*current_);
  return current_.get();
}

void StepStream::run() {
  try {
    while (auto piece = take()) {
      if (!source_.read(*piece)) break;
      piece->extracted = false;
      size_t waiting;
      {
        const std::lock_guard lock(mutex_);
        waiting = ready_.size();
      }
      if (waiting >= kAhead) extract(*piece);
      {
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(piece));
      }
      changed_.notify_all();
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

std::unique_ptr<StepPiece> StepStream::take() {
  std::unique_lock lock(mutex_);
  if (free_.empty() && made_ < kMost) {
    ++made_;
    return std::make_unique<StepPiece>();
  }
  changed_.wait(lock, [this] { return stop_ || !free_.empty(); });
  if (stop_) return nullptr;
  auto piece = std::move(free_.back());
  free_.pop_back();
  return piece;
}

}  // namespace airr
