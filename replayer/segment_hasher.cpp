#include "replayer/segment_hasher.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

namespace airr {

// What one thread hashes with: memory and contexts that are used again for each segment.
class SegmentHashers::Hasher {
 public:
  explicit Hasher(const TraceFile& file) : file_(file) {}

  HashedSegment run(const Segment& segment) {
    HashedSegment result;
    if (segment.frames.empty()) return result;
    read(segment.frames.front().start, segment.frames.back().stop);
    std::optional<EpochKey> key = segment.key;
    Digest tag = segment.tagBefore;
    result.digests.reserve(segment.frames.size());
    for (const ScannedFrame& frame : segment.frames) {
      const FrameHeader& header = frame.header;
      const Bytes directory = at(frame.directory, header.directorySize);
      const Bytes body = at(frame.body, header.storedBody());
      const Digest digest = hash_.frame(frame.bytes, tag, directory, body);
      if (header.type == FrameType::kRedaction) {
        if (header.tag != Digest{}) result.fault = "a redaction has no tag";
      } else if (key && !equal(key->tag(digest), header.tag)) {
        result.fault = "its tag does not match";
      } else if (header.state == BodyState::kReencrypted) {
        bodyHash_.update(body);
        result.reencrypted.push_back(bodyHash_.finish());
      } else if (const char* fault = contentFault(header, directory, body)) {
        result.fault = fault;
      }
      if (!result.fault.empty()) break;
      if (header.isSigned()) {
        const Bytes signature = at(frame.body + header.bodySize, sizeof(Signature));
        HashedSegment::Signed& one = result.signedFrames.emplace_back();
        std::ranges::copy(signature, one.signature.begin());
        if (header.endsEpoch()) {
          one.checkpoint = Checkpoint::decode(header.type, body);
          if (key) key->advance();
        } else {
          one.redaction.assign(body.begin(), body.end());
        }
      }
      result.digests.push_back(digest);
      tag = header.tag;
    }
    return result;
  }

 private:
  // Into memory that is neither cleared nor mapped anew for each segment, and lies in its pages as
  // the bytes in those of the file: the kernel copies faster so.
  void read(uint64_t start, uint64_t stop) {
    constexpr size_t kPage = 4096;
    const size_t size = stop - start, before = start % kPage;
    if (size + kPage > capacity_) {
      capacity_ = (size / kPage + 2) * kPage;
      bytes_.reset(static_cast<uint8_t*>(std::aligned_alloc(kPage, capacity_)));
      if (!bytes_) throw std::bad_alloc();
    }
    file_.read(start, {bytes_.get() + before, size});
    start_ = start - before;
  }

  Bytes at(uint64_t offset, size_t size) const { return {bytes_.get() + (offset - start_), size}; }

  const char* contentFault(const FrameHeader& header, Bytes directory, Bytes body) {
    if (header.isRemovable() && !body.empty()) {
      bodyHash_.update(body);
      const Digest sha256 = bodyHash_.finish();
      if (!std::ranges::equal(sha256, directory.last(sizeof(Digest)))) {
        return "its body has another SHA-256";
      }
    }
    if (header.type == FrameType::kEvents) {
      uint64_t events = 0;
      for (size_t i = 0; i < directory.size(); i += Leaf::kSize) {
        events += Leaf::decode(directory.subspan(i).first<Leaf::kSize>()).events;
      }
      if (events != header.eventCount) return "its leaves have another number of events";
    }
    return nullptr;
  }

  const TraceFile& file_;
  FrameHash hash_;
  Sha256 bodyHash_;
  std::unique_ptr<uint8_t, decltype([](uint8_t* bytes) { std::free(bytes); })> bytes_;
  size_t capacity_ = 0;
  uint64_t start_ = 0;  // of bytes_, in the file
};

SegmentHashers::SegmentHashers(const TraceFile& file, unsigned threads) {
  hashers_.push_back(std::make_unique<Hasher>(file));
  if (threads < 2) return;
  while (hashers_.size() < threads) hashers_.push_back(std::make_unique<Hasher>(file));
  threads_.reserve(threads);
  try {
    for (const auto& hasher : hashers_) threads_.emplace_back([this, &hasher] { work(*hasher); });
  } catch (const std::system_error&) {
    // Those that there are do, and without any the caller's thread does.
  }
}

SegmentHashers::~SegmentHashers() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::future<HashedSegment> SegmentHashers::hash(const Segment& segment) {
  Task task([&segment](Hasher& hasher) { return hasher.run(segment); });
  std::future<HashedSegment> hashed = task.get_future();
  if (threads_.empty()) {
    task(*hashers_.front());
    return hashed;
  }
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(task));
  }
  changed_.notify_one();
  return hashed;
}

void SegmentHashers::work(Hasher& hasher) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return over_ || !waiting_.empty(); });
    if (over_) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task(hasher);
    lock.lock();
  }
}

}  // namespace airr
