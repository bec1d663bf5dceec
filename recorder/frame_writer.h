// The file of a trace while it is written: its header, then frames, chained in the order in which
// they are appended.
//
// Ownership: owns the file. Threading: events() and seal() from one thread, part() and blob() from
// another; events go first when both wait, so they wait for one frame of the other at most. check()
// and fail() from any thread.
// Failure: Error (kFailure) when the store cannot take the data (ENOSPC, EIO, …). The first failure,
// here or reported by fail(), is what every later call throws.
#pragma once

#include <capnp/message.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>

#include "recorder/frame.h"
#include "recorder/keys.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

class FrameWriter {
 public:
  // As TraceWriter's constructor.
  FrameWriter(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header);

  void events(Bytes raw, uint32_t count, Encoding encoding, Bytes stored);
  // The parts of a blob, if it has any, come before it, and no other blob in between.
  void part(Encoding encoding, Bytes stored);
  void blob(const Digest& sha256, uint64_t size, Encoding encoding, Bytes stored);
  // Nothing can be appended afterwards: that is a failure from then on.
  void seal();

  // Throws the failure, if there was one.
  void check();
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  void fail(const Error& error);

 private:
  void writeHeader(const SessionKey& key, capnp::MallocMessageBuilder& header);
  // With mutex_ held. `content` is what the chain covers, `prefix` and `stored` what the file gets.
  // The header has its type, raw size, event count and encoding already.
  void append(FrameHeader header, Bytes content, Bytes prefix, Bytes stored);
  void appendAfterEvents(const FrameHeader& header, Bytes content, Bytes prefix, Bytes stored);
  void write(std::initializer_list<Bytes> parts);
  void failLocked(const Error& error);

  const std::string path_;
  std::mutex mutex_;
  std::condition_variable turn_;          // for the blobs: no events wait
  std::atomic<bool> eventsWait_ = false;  // somebody is about to lock mutex_ for events
  std::atomic<bool> failed_ = false;      // failure_ is set and will not change
  std::optional<Error> failure_;

  UniqueFd file_;
  Chain chain_;
  uint64_t sequence_ = 0;  // of the last frame in the file
  uint64_t events_ = 0;    // in the file
  uint64_t blobs_ = 0;
  uint64_t whole_ = 0;  // bytes in the file up to the end of the last whole frame
};

}  // namespace airr
