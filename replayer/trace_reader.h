// Reads a trace, verifying each frame before its content is used. Input is hostile: every length is
// bounded, and nothing is trusted before its tag was checked (when a key is at hand).
//
// Ownership: owns the file's descriptor. Not thread-safe. An EventReader obtained from next() is
// valid until the next call of next() or rewind().
// Failure: Error with kUnreadable, kVersion, kTampered, kWrongKey or kEncrypted. A missing end is none of next()
// (see end()). After an Error from next(), next() throws it again until rewind(). Fields of an event
// that was not authenticated may throw kj::Exception when they are read (a text without its NUL).
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/keys.h"

namespace airr {

enum class TraceEnd { kSealed, kUnsealed, kTruncated };  // kTruncated: bytes after the last whole frame

// Which trace, up to where: the tags of its header and of its last frame cover all between.
struct TraceHead {
  std::array<uint8_t, 32> header{}, last{};
  uint64_t frames = 0;
  TraceEnd end = TraceEnd::kUnsealed;
  friend bool operator==(const TraceHead&, const TraceHead&) = default;
};

// Memory for a frame's events, which goes from hand to hand.
struct EventRoom {
  std::unique_ptr<uint64_t[]> words;
  size_t capacity = 0;  // words
};

class TraceReader {
 public:
  // Opens and checks the header. Without a key store (nullptr) tags are not checked, and
  // authenticated() is false. Of an encrypted trace, one of the `identities` must be able to read;
  // else what wants it is an Error kEncrypted.
  TraceReader(const std::string& path, const KeyStore* keys,
              std::span<const Identity> identities = {});
  ~TraceReader();

  schema::Header::Reader header() const;
  bool authenticated() const;
  // To whom it was encrypted when it was recorded; empty: to nobody.
  std::vector<SealedKey> recipients() const;
  bool hidesMetadata() const;
  // Whether all that was encrypted then can be read. If not, but metadata is in the clear, next()
  // gives events without their contents (recorder/metadata.h).
  bool isOpen() const;
  // Throws kEncrypted if it is not open.
  void requireContents() const;

  // The next event in the order of the file, or nothing at the end.
  std::optional<schema::Event::Reader> next();
  // A whole frame of events, for who wants to look at them elsewhere, verified as with next(). They lie at the
  // beginning of `place` if they fit there, else in the frame's room, which is kept for the next one. False at
  // the end. Not to be mixed with next().
  struct EventFrame {
    EventRoom room;
    std::span<const uint64_t> words;  // of it: Cap'n Proto messages, one behind the other
    uint64_t firstEvent = 0;      // number of the first
    uint32_t count = 0;
  };
  bool nextFrame(EventFrame& frame, std::span<uint64_t> place);
  // Number of the event that next() returned last; the first is 1.
  uint64_t eventNumber() const;
  // Back to the first event.
  void rewind();

  // Valid once next() has returned nothing.
  TraceEnd end() const;
  uint64_t frameCount() const;
  TraceHead head() const;
  uint64_t fileSize() const;
  uint64_t validSize() const;  // bytes up to the end of the last whole frame

  // Blobs. Their frames may come after those of the events that refer to them: what asks for a blob
  // that next() has not passed yet reads ahead, verifying. If the trace ends before it, that throws
  // kUnsealed; behind a seal kUnreadable. The events that next() gives are not affected.
  struct BlobInfo {
    Digest digest;        // SHA-256 of the content; in an encrypted trace what stands for it there
    uint64_t size;        // uncompressed
    uint64_t storedSize;  // in the file; 0 if another blob there has the same content
    bool redacted;        // its content was removed; reading it is an Error (kUnreadable)
    bool reencrypted;     // a redaction encrypted it; reading it may be an Error (kEncrypted)
  };
  uint32_t blobCount() const;  // known so far: numbers 0 … blobCount() - 1
  BlobInfo blobInfo(uint32_t blob) const;
  // The chain covers a blob's SHA-256, not its content: each of these reads the whole content and
  // checks it, and throws kTampered if it is another. next() does not.
  void checkBlob(uint32_t blob) const;
  // That its bytes in the trace are those that the chain covers; they are not decompressed.
  void checkStored(uint32_t blob) const;
  // The SHA-256 of its content, which is read if the trace is encrypted.
  Digest sha256Of(uint32_t blob) const;
  // Decompresses a blob into a descriptor, from its current position. What was written before a
  // throw is not to be used.
  void writeBlob(uint32_t blob, int fd) const;
  std::vector<uint8_t> readBlob(uint32_t blob, uint64_t offset, uint64_t length) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
