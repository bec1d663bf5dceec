// The file of a trace while it is written: its header, then frames, chained in the order in which
// they are appended, with a signed checkpoint at least every kEpochFrames frames and kEpochBytes
// bytes, and, as long as frames come, every kEpochTime.
//
// Ownership: owns the file. Threading: events() and seal() from one thread, part() and blob() from
// another; events go first when both wait, so they wait for one frame of the other at most. check()
// and fail() from any thread.
// Failure: Error (kFailure) when the store cannot take the data (ENOSPC, EIO, …). The first
// failure, here or reported by fail(), is what every later call throws.
#pragma once

#include <capnp/message.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/encryption.h"
#include "recorder/epoch.h"
#include "recorder/frame.h"
#include "recorder/frame_tree.h"
#include "recorder/keys.h"
#include "recorder/syncer.h"
#include "recorder/system.h"
#include "recorder/witness.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

// What survives what: the death of this process, or also a loss of power (recorder/syncer.h).
enum class Durability { kProcess, kPower };

struct TraceOptions {
  // The cores that blobs and events may be compressed on, 64 a word as for sched_setaffinity(2); for blobs, the one
  // that the calling thread is pinned to is left out if there is another. Empty: where the caller runs.
  std::span<const uint64_t> workerAffinity;
  Durability durability = Durability::kProcess;
  std::string witness;  // file or URL that heads are published to (recorder/witness.h); or empty
  // Who may read; empty: anyone. With `clearMetadata`, anyone may read what the header says of the
  // session, and the events without the contents (recorder/metadata.h).
  std::vector<Recipient> encryptTo;
  bool clearMetadata = false;
  System* system = &System::host();
};

class FrameWriter {
 public:
  static constexpr uint64_t kEpochFrames = 4096;
  static constexpr uint64_t kEpochBytes = 4 << 20;
  static constexpr int64_t kEpochTime = 1'000'000'000;  // nanoseconds

  // As TraceWriter's constructor.
  FrameWriter(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header,
              const TraceOptions& options = {});
  ~FrameWriter();

  // `leaves`: their events are all of the frame's.
  void events(uint64_t rawSize, std::span<const Leaf> leaves, Encoding encoding, Bytes stored);
  // Of the events that came last; from the same thread.
  void metadata(uint64_t rawSize, Encoding encoding, Bytes stored);
  // The parts of a blob, if it has any, come before it, and no other blob in between. Their bodies
  // come with their SHA-256, so that they are not hashed while the writer is locked.
  void part(Encoding encoding, const HashedBytes& body);
  void blob(const Digest& sha256, uint64_t size, Encoding encoding, const HashedBytes& body);
  void sameBlob(const Digest& sha256, uint64_t size);
  // Ends the epoch. The writer does so by itself, too.
  void checkpoint();
  // Nothing can be appended afterwards: that is a failure from then on.
  void seal();

  bool showsMetadata() const { return showsMetadata_; }
  // Whether contents are encrypted, and so must not be kept elsewhere in the clear.
  bool encrypts() const { return encryption_ != nullptr; }
  // What the digest of a leaf begins with, the first event of which has this number; nothing if
  // nothing is encrypted. From the thread that calls events().
  std::optional<Digest> salt(uint64_t firstEvent);

  // Waits for the disk if that is further behind than Durability allows.
  void keepUp();
  // Waits until all is as durable as was asked for, and published.
  void settle();

  // Throws what failed after seal().
  void checkSealed();
  // Throws the failure, if there was one.
  void check();
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  void fail(const Error& error);

 private:
  struct Encryption;
  void writeHeader(const SessionKey& key, capnp::MallocMessageBuilder& header,
                   const TraceOptions& options);
  // The rest with mutex_ held. The header has its type, raw size, event count and encoding already.
  void append(const FrameHeader& header, Bytes directory, Bytes body);
  void appendFirst(const FrameHeader& header, Bytes directory, Bytes body);
  void appendAfterEvents(const FrameHeader& header, Bytes directory, Bytes body);
  void appendSigned(FrameType type, Checkpoint checkpoint);
  void writeFrame(FrameHeader header, Bytes directory, Bytes body);
  Digest nameOf(const Digest& content);
  bool epochIsFull();
  void beginWitness(const std::string& place);
  void write(std::initializer_list<Bytes> parts);
  void failLocked(const Error& error);

  const std::string path_;
  std::mutex mutex_;
  std::condition_variable turn_;          // for the blobs: no events wait
  std::atomic<bool> eventsWait_ = false;  // somebody is about to lock mutex_ for events
  std::atomic<bool> failed_ = false;      // failure_ is set and will not change
  std::optional<Error> failure_;
  std::optional<Error> afterSeal_;
  bool sealed_ = false;

  System& system_;
  UniqueFd file_;
  FrameHash hash_;
  Digest tag_{};           // of the last frame in the file, or of the file header
  uint64_t sequence_ = 0;  // of the last frame in the file
  uint64_t events_ = 0;    // in the file
  uint64_t blobs_ = 0;
  uint64_t whole_ = 0;  // bytes in the file up to the end of the last whole frame

  uint64_t epoch_ = 0;
  EpochKey key_;
  EpochSigners signers_;
  FrameTree tree_;
  Digest checkpoint_{};      // digest of the last checkpoint, or of the file header
  uint64_t epochStart_ = 0;  // offset
  int64_t epochBegan_ = 0;   // System::ticks()

  std::array<uint8_t, kSessionIdSize> session_{};
  std::unique_ptr<Encryption> encryption_;  // null: all is in the clear
  bool showsMetadata_ = false;              // where that is not so: metadata() is to be called
  std::unique_ptr<Syncer> syncer_;
  std::unique_ptr<Witness> witness_;
};

}  // namespace airr
