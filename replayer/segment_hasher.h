// Hashes the frames of a trace in segments, on several threads.
//
// A segment is a run of frames that a FrameScanner found. Hashing it reads its bytes once and
// checks all that needs no other segment: tags, the SHA-256 of bodies that can be removed, the
// leaves' counts.
//
// Ownership: SegmentHashers owns its threads and their buffers, and borrows the TraceFile and the
// segments, which must live until their future has a value or SegmentHashers is gone. Threads: one
// thread uses it. Failure: Error as TraceFile::read(), through the future; what is wrong with a
// frame is a value.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "recorder/epoch.h"
#include "replayer/frame_scanner.h"
#include "replayer/trace_reader_file.h"

namespace airr {

struct Segment {
  std::vector<ScannedFrame> frames;
  Digest tagBefore{};
  std::optional<EpochKey> key;  // where it begins; without it, tags are not checked
};

struct HashedSegment {
  struct Signed {
    std::optional<Checkpoint> checkpoint;
    std::vector<uint8_t> redaction;
    Signature signature;
  };
  std::vector<Digest> digests;  // of the frames up to the first that is wrong
  std::deque<Signed> signedFrames;
  std::deque<Digest> reencrypted;  // SHA-256 of the bodies of such frames, as they are now
  std::string fault;  // of the frame after them; empty if there is none
};

class SegmentHashers {
 public:
  // With one thread, or when no others can be had, the caller's does the work, inside hash().
  SegmentHashers(const TraceFile& file, unsigned threads);
  ~SegmentHashers();

  std::future<HashedSegment> hash(const Segment& segment);

 private:
  class Hasher;
  using Task = std::packaged_task<HashedSegment(Hasher&)>;

  void work(Hasher& hasher);

  std::vector<std::unique_ptr<Hasher>> hashers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace airr
