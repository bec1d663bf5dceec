// The parts of a trace file, as docs/trace-format.md gives them: frame header, directory,
// checkpoint, digests, compression. Shared by the writer and the reader, so that each rule of the
// format is in one place.
//
// Ownership: EventCompressor, EventDecompressor and FrameHash own their contexts. Not thread-safe.
// Failure: Error (kFailure) when a library has no memory; faults of the input are return values.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "recorder/digest.h"
#include "recorder/encryption.h"
#include "recorder/event_packing.h"
#include "recorder/signing.h"

namespace airr {

// --- File header ---------------------------------------------------------------------------------

// As in PNG: not text, and broken visibly by a transfer that rewrites line ends or strips bit 7.
constexpr std::array<uint8_t, 8> kFileMagic = {0x89, 'A', 'I', 'R', 'R', '\r', '\n', 0x1a};
constexpr uint32_t kFormatVersion = 4;
constexpr uint32_t kEncryptedVersion = 5;  // of a trace that is encrypted
constexpr size_t kFilePrefixSize = 16;  // magic, version, length of the Header message
constexpr uint32_t kMaxHeaderMessage = 16u << 20;
constexpr size_t kTagSize = 32;
constexpr size_t kSessionIdSize = 16;

// --- Frame header --------------------------------------------------------------------------------

constexpr size_t kFrameHeaderSize = 80;
constexpr size_t kAuthenticatedSize = 48;  // of the header; the tag follows
constexpr std::array<uint8_t, 4> kFrameMagic = {'A', 'F', 'R', 'M'};

constexpr uint64_t kMaxEventsFrame = 64ull << 20;  // raw bytes
constexpr uint64_t kMaxBlob = 4ull << 30;          // raw bytes
constexpr uint64_t kMaxPart = 1ull << 20;          // bytes of its body
constexpr uint64_t kFirstInterval = 256 << 10;     // packed bytes of events in the first zstd frame of them
constexpr uint64_t kRestartInterval = 8ull << 20;  // and in each that follows
constexpr int kMaxWindowLog = 23;                  // memory that a reader grants to zstd: 8 MiB
constexpr uint32_t kMaxSegments = 512;             // of one Cap'n Proto message
constexpr uint64_t kMaxRedaction = 16ull << 20;    // bytes of its body
constexpr size_t kMaxLeaves = 1024;                // of one events frame

enum class FrameType : uint8_t {
  kEvents = 1,
  kBlob = 2,  // a blob, or what is left of it after its parts
  kSeal = 3,
  kPart = 4,  // of the next blob
  kCheckpoint = 5,
  kRedaction = 6,  // behind the seal: what was taken out of the file
  kMetadata = 7,   // of the events frame before, in the clear where that is encrypted
};

enum class Encoding : uint32_t {
  kPlain = 0,         // seal, checkpoint, redaction
  kZstdStart = 1,     // events, metadata, part, blob: a zstd frame begins here
  kZstdContinue = 2,  // goes on with the zstd frame of the last such frame, or of the part
  kSame = 4,          // blob: an earlier one has the same SHA-256
};

// Of a part's or blob's body, since it was written. Not authenticated by the frame's tag; a
// redaction says so.
enum class BodyState : uint8_t {
  kWritten = 0,
  kRemoved = 1,
  kReencrypted = 2,  // it is there, encrypted, and so longer by FrameCipher::kTag
};

struct FrameHeader {
  FrameType type = FrameType::kEvents;
  BodyState state = BodyState::kWritten;
  uint16_t directorySize = 0;
  uint64_t sequence = 0;    // the first frame is 1
  uint64_t rawSize = 0;     // of the content, uncompressed
  uint64_t firstEvent = 0;  // number of the first event in this frame or after it
  uint32_t eventCount = 0;
  Encoding encoding = Encoding::kPlain;
  uint64_t bodySize = 0;  // as it was written
  Digest tag{};

  void encode(std::span<uint8_t, kFrameHeaderSize> out) const;
  static FrameHeader decode(std::span<const uint8_t, kFrameHeaderSize> in);
  // What is impossible about these bytes, or nullptr. Checks the magic and every bound that needs
  // nothing but the header.
  static const char* fault(std::span<const uint8_t, kFrameHeaderSize> in);

  bool endsEpoch() const { return type == FrameType::kCheckpoint || type == FrameType::kSeal; }
  bool isSigned() const { return endsEpoch() || type == FrameType::kRedaction; }
  // The body is covered through its SHA-256 in the directory, so that it can be removed.
  bool isRemovable() const { return type == FrameType::kPart || type == FrameType::kBlob; }
  // Bytes of the body that are in the file.
  uint64_t storedBody() const {
    return state == BodyState::kRemoved       ? 0
           : state == BodyState::kReencrypted ? bodySize + FrameCipher::kTag
                                              : bodySize;
  }
  // Bytes in the file after this header.
  uint64_t storedSize() const {
    return directorySize + storedBody() + (isSigned() ? sizeof(Signature) : 0);
  }
};

// --- Directory -----------------------------------------------------------------------------------

// Of an events frame: its events in their order, cut into leaves.
struct Leaf {
  static constexpr size_t kSize = 36;
  uint32_t events = 0;
  Digest sha256{};  // of the events' bytes, uncompressed

  void encode(std::span<uint8_t, kSize> out) const;
  static Leaf decode(std::span<const uint8_t, kSize> in);
};

// --- Checkpoint and seal -------------------------------------------------------------------------

// Totals over the whole file, the seal's own frame included.
struct SealTotals {
  static constexpr size_t kSize = 24;
  uint64_t events = 0, frames = 0, blobs = 0;

  bool operator==(const SealTotals&) const = default;
};

// The body of a checkpoint, and of the seal, which has totals instead of keys.
struct Checkpoint {
  static constexpr size_t kFixedSize = 80;
  static constexpr size_t kMaxKeys = 3;
  uint64_t epoch = 0;           // that it ends
  uint64_t frames = 0;          // of the epoch, without this one
  Digest previous{};            // digest of the checkpoint before it, or of the file header
  Digest root{};                // of the epoch's FrameTree
  std::vector<PublicKey> keys;  // of certifiedBy(epoch)
  std::optional<SealTotals> totals;

  std::vector<uint8_t> encode() const;
  // `body` has a size that FrameHeader::fault() lets pass.
  static Checkpoint decode(FrameType type, Bytes body);
};

// --- Digests -------------------------------------------------------------------------------------

// What stands for a frame, in its tag and in the tree: SHA-256(authenticated part of its header ||
// tag of the frame before || directory || SHA-256(body)), without the last if the directory has it,
// as in frames whose body can be removed.
class FrameHash {
 public:
  // The state is not authenticated: it is taken as zero.
  Digest frame(std::span<const uint8_t, kFrameHeaderSize> header, const Digest& tagBefore,
               Bytes directory, Bytes body);
  Digest frame(std::span<const uint8_t, kFrameHeaderSize> header, const Digest& tagBefore,
               Bytes directory, const Digest& body);
  Digest file(Bytes prefix, Bytes message);

 private:
  Sha256 hash_;
};

// What is signed: of the file header by the key store's key, of a checkpoint or seal by its
// epoch's.
std::vector<uint8_t> signedHeader(const Digest& file, const Digest& tag);
std::vector<uint8_t> signedCheckpoint(const Digest& frame, const Digest& tag);
// Of a redaction, by whoever did it.
std::vector<uint8_t> signedRedaction(const Digest& frame);

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

// Packs events, and compresses them in one zstd stream over many events frames, flushed at the end
// of each.
class EventCompressor {
 public:
  EventCompressor();
  // Valid until the next call. Sets `encoding`.
  Bytes compress(Bytes raw, Encoding& encoding);

 private:
  ZstdCompressContext context_;
  EventPacker packer_;
  std::vector<uint8_t> stored_;
  std::optional<uint64_t> sinceStart_;  // packed bytes in the current zstd frame, if there is one
  uint64_t restartAfter_;               // so many of them
};

class EventDecompressor {
 public:
  EventDecompressor() : context_(newDecompressContext()) {}
  // Whether `stored` is exactly `raw.size()` bytes of events. After false, only kZstdStart resumes.
  bool decompress(Encoding encoding, Bytes stored, std::span<uint8_t> raw);
  void reset() { started_ = false; }

 private:
  std::optional<Bytes> decompress(Bytes stored, uint64_t most);

  ZstdDecompressContext context_;
  EventUnpacker unpacker_;
  std::vector<uint8_t> packed_;
  bool started_ = false;
};

}  // namespace airr
