// The parts of a trace file, as docs/trace-format.md gives them: frame header, chain, compression.
// Shared by the writer and the reader, so that each rule of the format is in one place.
//
// Ownership: EventCompressor, EventDecompressor and Chain own their contexts. Not thread-safe.
// Failure: Error (kFailure) when a library has no memory; faults of the input are return values.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/keys.h"

namespace airr {

// --- File header ---------------------------------------------------------------------------------

// As in PNG: not text, and broken visibly by a transfer that rewrites line ends or strips bit 7.
constexpr std::array<uint8_t, 8> kFileMagic = {0x89, 'A', 'I', 'R', 'R', '\r', '\n', 0x1a};
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kFilePrefixSize = 16;  // magic, version, length of the Header message
constexpr uint32_t kMaxHeaderMessage = 16u << 20;
constexpr size_t kTagSize = 32;
constexpr size_t kSessionIdSize = 16;

// --- Frame header --------------------------------------------------------------------------------

constexpr size_t kFrameHeaderSize = 80;
constexpr size_t kAuthenticatedSize =
    36;  // of the header; the rest says only how content is stored
constexpr std::array<uint8_t, 4> kFrameMagic = {'A', 'F', 'R', 'M'};

constexpr uint64_t kMaxEventsFrame = 64ull << 20;  // raw bytes
constexpr uint64_t kMaxBlob = 4ull << 30;          // raw bytes
constexpr uint64_t kMaxPart = 1ull << 20;          // stored bytes
constexpr uint64_t kRestartInterval = 4ull << 20;  // raw bytes of events between zstd frames
constexpr int kMaxWindowLog = 23;                  // memory that a reader grants to zstd: 8 MiB
constexpr uint32_t kMaxSegments = 512;             // of one Cap'n Proto message

enum class FrameType : uint8_t {
  kEvents = 1,
  kBlob = 2,  // a blob, or what is left of it after its parts
  kSeal = 3,
  kPart = 4,  // of the next blob
};

enum class Encoding : uint32_t {
  kPlain = 0,         // seal
  kZstdStart = 1,     // events, part, blob: a zstd frame begins here
  kZstdContinue = 2,  // goes on with the zstd frame of the events frame before, or of the part
  kRedacted = 3,      // part, blob: the content was removed, the blob's SHA-256 is left
  kSame = 4,          // blob: an earlier one has the same SHA-256
};

struct FrameHeader {
  FrameType type = FrameType::kEvents;
  uint64_t sequence = 0;    // the first frame is 1
  uint64_t rawSize = 0;     // of the content, uncompressed
  uint64_t firstEvent = 0;  // number of the first event in this frame or after it
  uint32_t eventCount = 0;
  Encoding encoding = Encoding::kPlain;
  uint64_t storedSize = 0;  // bytes in the file after this header
  Digest tag{};

  void encode(std::span<uint8_t, kFrameHeaderSize> out) const;
  static FrameHeader decode(std::span<const uint8_t, kFrameHeaderSize> in);
  // What is impossible about these bytes, or nullptr. Checks the magic, the reserved bytes, and
  // every bound that needs nothing but the header.
  static const char* fault(std::span<const uint8_t, kFrameHeaderSize> in);
};

// Content of the seal: totals over the whole file, the seal's own frame included.
struct SealTotals {
  static constexpr size_t kSize = 24;
  uint64_t events = 0, frames = 0, blobs = 0;

  std::array<uint8_t, kSize> encode() const;
  static SealTotals decode(std::span<const uint8_t, kSize> in);
  bool operator==(const SealTotals&) const = default;
};

// --- Chain ---------------------------------------------------------------------------------------

// Tag N = HMAC(session key, tag N-1 || authenticated part of frame header N || content of frame N).
// Tag 0, the file header's, covers all that precedes it in the file.
class Chain {
 public:
  explicit Chain(const SessionKey& key) : hmac_(key.hmac) {}

  Digest fileTag(Bytes prefix, Bytes message) { return hmac_.tag({prefix, message}); }
  // `content`: the uncompressed events, the SHA-256 of the blob, the seal's totals, or nothing.
  Digest frameTag(Bytes frameHeader, Bytes content) {
    return hmac_.tag({head_, frameHeader.first(kAuthenticatedSize), content});
  }
  void advance(const Digest& tag) { head_ = tag; }

 private:
  Hmac hmac_;
  Digest head_{};
};

// --- Compression ---------------------------------------------------------------------------------

// What compressed content may take: more than zstd ever needs for what does not compress, which is
// 3 bytes a block of 128 KiB, and its header.
constexpr uint64_t maxStored(uint64_t raw) { return raw + raw / 128 + 1024; }

struct ZstdFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using ZstdCompressContext = std::unique_ptr<ZSTD_CCtx, ZstdFree>;
using ZstdDecompressContext = std::unique_ptr<ZSTD_DCtx, ZstdFree>;

ZstdCompressContext newCompressContext();      // at the level that traces use
ZstdDecompressContext newDecompressContext();  // bounded to kMaxWindowLog

// One zstd stream over many events frames, flushed at the end of each.
class EventCompressor {
 public:
  EventCompressor() : context_(newCompressContext()) {}
  // Valid until the next call. Sets `encoding`.
  Bytes compress(Bytes raw, Encoding& encoding);

 private:
  ZstdCompressContext context_;
  std::vector<uint8_t> stored_;
  std::optional<uint64_t> sinceStart_;  // raw bytes in the current zstd frame, if there is one
};

class EventDecompressor {
 public:
  EventDecompressor() : context_(newDecompressContext()) {}
  // Whether `stored` is exactly `raw.size()` bytes compressed. After false, only kZstdStart
  // resumes.
  bool decompress(Encoding encoding, Bytes stored, std::span<uint8_t> raw);
  void reset() { started_ = false; }

 private:
  ZstdDecompressContext context_;
  bool started_ = false;
};

}  // namespace airr
