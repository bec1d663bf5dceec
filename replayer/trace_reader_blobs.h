// Where the blobs of a trace lie in its file, and their decompression.
//
// Ownership: borrows the TraceFile. Not thread-safe. Every `blob` that is asked for was added.
// Failure: Error: kTampered if a content is not the one that its frame names, kUnreadable if it was
// redacted or a range is beyond its end, kEncrypted if nobody at hand can read it, kFailure if the file cannot be read.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "recorder/frame.h"
#include "replayer/redaction_record.h"
#include "replayer/trace_reader.h"
#include "replayer/trace_reader_file.h"

namespace airr {

// Where the compressed bytes of a blob lie, in their order.
struct BlobPart {
  FrameHeader header;
  uint64_t offset = 0;  // of the body
  Digest stored{};      // SHA-256 of the body, as the chain has it

  uint64_t size() const { return header.storedBody(); }
};
using BlobParts = std::vector<BlobPart>;

class TraceBlobs {
 public:
  explicit TraceBlobs(const TraceFile& file) : file_(file), reencrypted_(file) {}

  // Adds a blob unless it is there already; `number` is at most count(). The last part is of the
  // blob's own frame. Says what is impossible about it, or nullptr.
  const char* add(uint32_t number, const FrameHeader& header, const Digest& digest,
                  BlobParts parts);

  uint32_t count() const { return static_cast<uint32_t>(blobs_.size()); }
  const TraceReader::BlobInfo& info(uint32_t blob) const { return blobs_[blob].info; }
  void check(uint32_t blob);
  void checkStored(uint32_t blob);
  Digest sha256(uint32_t blob);
  void write(uint32_t blob, int fd);
  std::vector<uint8_t> read(uint32_t blob, uint64_t offset, uint64_t length);

 private:
  struct Location {
    TraceReader::BlobInfo info;
    BlobParts parts;
    uint32_t content;  // the blob whose parts these are: itself, or an earlier one
    uint64_t frame;
  };
  struct Content {
    uint32_t blob;
    std::vector<uint8_t> bytes;
  };
  Error altered(const Location& content, const char* why) const;
  // Hands the content to the sink piece by piece; throws at the end if it was not what it should
  // be. Returns its SHA-256.
  Digest inflate(uint32_t blob, const std::function<void(Bytes)>& sink);
  // The body of a part as it was compressed; nothing if it is not what was encrypted.
  std::optional<Bytes> decrypted(uint32_t blob, const BlobPart& part);

  const TraceFile& file_;
  ReencryptedBodies reencrypted_;
  std::vector<uint8_t> body_;
  std::vector<Location> blobs_;
  std::unordered_map<Digest, uint32_t, DigestHash> byDigest_;
  ZstdDecompressContext context_ = newDecompressContext();
  std::optional<Content> last_;  // the content read last, if it is small enough to keep
};

}  // namespace airr
