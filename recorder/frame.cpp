#include "recorder/frame.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "schema/error.h"

namespace airr {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they are");

// Offsets in a frame header.
constexpr size_t kTypeAt = 4, kStateAt = 5, kDirectorySizeAt = 6, kSequenceAt = 8, kRawSizeAt = 16,
                 kFirstEventAt = 24, kEventCountAt = 32, kEncodingAt = 36, kBodySizeAt = 40,
                 kTagAt = 48;
static_assert(kTagAt == kAuthenticatedSize && kTagAt + kTagSize == kFrameHeaderSize);

// A Cap'n Proto stream message is at least a segment table and a root pointer.
constexpr uint64_t kMinEvent = 16;

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

constexpr int kLevel = 1;
// Of events: what several processes in a row have read is in the window. Each page of it costs a
// fault, and the table should stay in a core's cache.
constexpr int kEventWindowLog = 22, kEventHashLog = 16;
// Of a session's first events, which may be all: what is to be cleared and touched for the larger table is a
// twentieth of a millisecond.
constexpr int kFirstHashLog = 13;

void requireZstd(size_t code) {
  if (ZSTD_isError(code)) {
    throw Error(ExitCode::kFailure, std::string("zstd: ") + ZSTD_getErrorName(code));
  }
}

}  // namespace

void FrameHeader::encode(std::span<uint8_t, kFrameHeaderSize> out) const {
  uint8_t* at = out.data();
  std::copy(kFrameMagic.begin(), kFrameMagic.end(), at);
  store(at + kTypeAt, type);
  store(at + kStateAt, state);
  store(at + kDirectorySizeAt, directorySize);
  store(at + kSequenceAt, sequence);
  store(at + kRawSizeAt, rawSize);
  store(at + kFirstEventAt, firstEvent);
  store(at + kEventCountAt, eventCount);
  store(at + kEncodingAt, encoding);
  store(at + kBodySizeAt, bodySize);
  std::copy(tag.begin(), tag.end(), at + kTagAt);
}

FrameHeader FrameHeader::decode(std::span<const uint8_t, kFrameHeaderSize> in) {
  const uint8_t* at = in.data();
  FrameHeader header;
  header.type = load<FrameType>(at + kTypeAt);
  header.state = load<BodyState>(at + kStateAt);
  header.directorySize = load<uint16_t>(at + kDirectorySizeAt);
  header.sequence = load<uint64_t>(at + kSequenceAt);
  header.rawSize = load<uint64_t>(at + kRawSizeAt);
  header.firstEvent = load<uint64_t>(at + kFirstEventAt);
  header.eventCount = load<uint32_t>(at + kEventCountAt);
  header.encoding = load<Encoding>(at + kEncodingAt);
  header.bodySize = load<uint64_t>(at + kBodySizeAt);
  std::copy_n(at + kTagAt, kTagSize, header.tag.begin());
  return header;
}

const char* FrameHeader::fault(std::span<const uint8_t, kFrameHeaderSize> in) {
  constexpr const char* kSizes = "its sizes are impossible";
  constexpr const char* kEvents = "its number of events is impossible";
  if (!std::equal(kFrameMagic.begin(), kFrameMagic.end(), in.begin()))
    return "no frame begins here";
  const FrameHeader header = decode(in);
  const uint64_t raw = header.rawSize, body = header.bodySize, directory = header.directorySize;
  const bool zstd =
      header.encoding == Encoding::kZstdStart || header.encoding == Encoding::kZstdContinue;
  if (header.state > BodyState::kReencrypted ||
      (header.state != BodyState::kWritten && (!header.isRemovable() || body == 0))) {
    return "its state is impossible";
  }
  if (header.type != FrameType::kEvents && header.eventCount != 0) return kEvents;
  switch (header.type) {
    case FrameType::kEvents: {
      if (!zstd) return "its encoding is none of an events frame";
      if (raw > kMaxEventsFrame || raw % 8 != 0 || body == 0 || body > maxStored(maxPacked(raw)))
        return kSizes;
      if (header.eventCount == 0 || header.eventCount > raw / kMinEvent) return kEvents;
      const uint64_t leaves = directory / Leaf::kSize;
      if (directory % Leaf::kSize != 0 || leaves == 0 || leaves > kMaxLeaves ||
          leaves > header.eventCount) {
        return kSizes;
      }
      return nullptr;
    }
    case FrameType::kMetadata:
      if (!zstd) return "its encoding is none of a metadata frame";
      return directory == 0 && raw > 0 && raw <= kMaxEventsFrame && raw % 8 == 0 && body > 0 &&
                     body <= maxStored(maxPacked(raw))
                 ? nullptr
                 : kSizes;
    case FrameType::kBlob:
      if (raw > kMaxBlob) return kSizes;
      if (header.encoding == Encoding::kSame) {
        return directory == sizeof(Digest) && body == 0 ? nullptr : kSizes;
      }
      if (!zstd) return "its encoding is none of a blob frame";
      return directory == 2 * sizeof(Digest) && body > 0 && body <= maxStored(raw) ? nullptr
                                                                                   : kSizes;
    case FrameType::kPart:
      if (!zstd) return "its encoding is none of a part";
      return raw == 0 && directory == sizeof(Digest) && body > 0 && body <= kMaxPart ? nullptr
                                                                                     : kSizes;
    case FrameType::kCheckpoint: {
      if (header.encoding != Encoding::kPlain) return "its encoding is none of a checkpoint";
      const uint64_t keys = body < Checkpoint::kFixedSize ? 0 : body - Checkpoint::kFixedSize;
      return directory == 0 && raw == body && keys > 0 && keys % sizeof(PublicKey) == 0 &&
                     keys / sizeof(PublicKey) <= Checkpoint::kMaxKeys
                 ? nullptr
                 : kSizes;
    }
    case FrameType::kRedaction:
      if (header.encoding != Encoding::kPlain) return "its encoding is none of a redaction";
      return directory == 0 && raw == body && body % 8 == 0 && body <= kMaxRedaction ? nullptr
                                                                                     : kSizes;
    case FrameType::kSeal:
      if (header.encoding != Encoding::kPlain) return "its encoding is none of a seal";
      return directory == 0 && raw == body && body == Checkpoint::kFixedSize + SealTotals::kSize
                 ? nullptr
                 : kSizes;
  }
  return "its type is unknown";
}

void Leaf::encode(std::span<uint8_t, kSize> out) const {
  store(out.data(), events);
  std::copy(sha256.begin(), sha256.end(), out.begin() + sizeof events);
}

Leaf Leaf::decode(std::span<const uint8_t, kSize> in) {
  Leaf leaf;
  leaf.events = load<uint32_t>(in.data());
  std::copy_n(in.begin() + sizeof leaf.events, leaf.sha256.size(), leaf.sha256.begin());
  return leaf;
}

std::vector<uint8_t> Checkpoint::encode() const {
  std::vector<uint8_t> out(kFixedSize + keys.size() * sizeof(PublicKey) +
                           (totals ? SealTotals::kSize : 0));
  uint8_t* at = out.data();
  auto put = [&at](const auto& value) {
    store(at, value);
    at += sizeof value;
  };
  put(epoch);
  put(frames);
  put(previous);
  put(root);
  for (const PublicKey& key : keys) put(key);
  if (totals) {
    put(totals->events);
    put(totals->frames);
    put(totals->blobs);
  }
  return out;
}

Checkpoint Checkpoint::decode(FrameType type, Bytes body) {
  const uint8_t* at = body.data();
  auto take = [&at](auto& value) {
    value = load<std::remove_reference_t<decltype(value)>>(at);
    at += sizeof value;
  };
  Checkpoint checkpoint;
  take(checkpoint.epoch);
  take(checkpoint.frames);
  take(checkpoint.previous);
  take(checkpoint.root);
  if (type == FrameType::kSeal) {
    SealTotals& totals = checkpoint.totals.emplace();
    take(totals.events);
    take(totals.frames);
    take(totals.blobs);
  } else {
    checkpoint.keys.resize((body.size() - kFixedSize) / sizeof(PublicKey));
    for (PublicKey& key : checkpoint.keys) take(key);
  }
  return checkpoint;
}

Digest FrameHash::frame(std::span<const uint8_t, kFrameHeaderSize> header, const Digest& tagBefore,
                        Bytes directory, Bytes body) {
  Digest sha256{};
  if (!FrameHeader::decode(header).isRemovable()) {
    hash_.update(body);
    sha256 = hash_.finish();
  }
  return frame(header, tagBefore, directory, sha256);
}

Digest FrameHash::frame(std::span<const uint8_t, kFrameHeaderSize> header, const Digest& tagBefore,
                        Bytes directory, const Digest& body) {
  std::array<uint8_t, kAuthenticatedSize + kTagSize> start;
  std::copy_n(header.begin(), kAuthenticatedSize, start.begin());
  start[kStateAt] = 0;
  std::copy(tagBefore.begin(), tagBefore.end(), start.begin() + kAuthenticatedSize);
  hash_.update(start);
  hash_.update(directory);
  if (!FrameHeader::decode(header).isRemovable()) hash_.update(body);
  return hash_.finish();
}

Digest FrameHash::file(Bytes prefix, Bytes message) {
  hash_.update(prefix);
  hash_.update(message);
  return hash_.finish();
}

namespace {

std::vector<uint8_t> signedMessage(std::string_view purpose, const Digest& digest,
                                   const Digest& tag) {
  std::vector<uint8_t> message(purpose.begin(), purpose.end());
  message.insert(message.end(), digest.begin(), digest.end());
  message.insert(message.end(), tag.begin(), tag.end());
  return message;
}

}  // namespace

std::vector<uint8_t> signedHeader(const Digest& file, const Digest& tag) {
  return signedMessage("airr trace header v2\n", file, tag);
}

std::vector<uint8_t> signedRedaction(const Digest& frame) {
  return signedMessage("airr redaction v2\n", frame, Digest{});
}

std::vector<uint8_t> signedCheckpoint(const Digest& frame, const Digest& tag) {
  return signedMessage("airr checkpoint v2\n", frame, tag);
}

namespace {

void set(const ZstdCompressContext& context, ZSTD_cParameter parameter, int value) {
  requireZstd(ZSTD_CCtx_setParameter(context.get(), parameter, value));
}

}  // namespace

ZstdCompressContext newCompressContext() {
  ZstdCompressContext context(ZSTD_createCCtx());
  if (context == nullptr) throw Error(ExitCode::kFailure, "zstd: out of memory");
  set(context, ZSTD_c_compressionLevel, kLevel);
  return context;
}

ZstdDecompressContext newDecompressContext() {
  ZstdDecompressContext context(ZSTD_createDCtx());
  if (context == nullptr) throw Error(ExitCode::kFailure, "zstd: out of memory");
  requireZstd(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog));
  return context;
}

EventCompressor::EventCompressor() : context_(newCompressContext()), restartAfter_(kFirstInterval) {
  set(context_, ZSTD_c_windowLog, kEventWindowLog);
  set(context_, ZSTD_c_hashLog, kFirstHashLog);
}

Bytes EventCompressor::compress(Bytes raw, Encoding& encoding) {
  encoding = Encoding::kZstdContinue;
  if (!sinceStart_ || *sinceStart_ >= restartAfter_) {
    requireZstd(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only));
    if (sinceStart_) {
      set(context_, ZSTD_c_hashLog, kEventHashLog);
      restartAfter_ = kRestartInterval;
    }
    packer_.reset();
    sinceStart_ = 0;
    encoding = Encoding::kZstdStart;
  }
  const Bytes packed = packer_.pack(raw);
  *sinceStart_ += packed.size();
  if (stored_.size() < maxStored(packed.size())) stored_.resize(maxStored(packed.size()));

  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  ZSTD_outBuffer out{stored_.data(), stored_.size(), 0};
  size_t left;
  do {
    left = ZSTD_compressStream2(context_.get(), &out, &in, ZSTD_e_flush);
    requireZstd(left);
    if (left > 0 && out.pos == out.size) stored_.resize(2 * stored_.size());
    out.dst = stored_.data();
    out.size = stored_.size();
  } while (left > 0);
  return {stored_.data(), out.pos};
}

bool EventDecompressor::decompress(Encoding encoding, Bytes stored, std::span<uint8_t> raw) {
  if (encoding == Encoding::kZstdStart) {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    unpacker_.reset();
  } else if (!started_) {
    return false;
  }
  const auto packed = decompress(stored, maxPacked(raw.size()));
  started_ = packed && unpacker_.unpack(*packed, raw);
  return started_;
}

// All that zstd makes of it; nothing if that is not valid, or more than `most`.
std::optional<Bytes> EventDecompressor::decompress(Bytes stored, uint64_t most) {
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  size_t done = 0;
  for (bool full = true; in.pos < in.size || full;) {
    if (done == packed_.size())
      packed_.resize(std::min<size_t>(std::max(2 * done, ZSTD_DStreamOutSize()), most + 1));
    ZSTD_outBuffer out{packed_.data(), packed_.size(), done};
    const size_t before = in.pos;
    if (ZSTD_isError(ZSTD_decompressStream(context_.get(), &out, &in)) || out.pos > most ||
        (in.pos == before && out.pos == done && in.pos < in.size))
      return std::nullopt;
    done = out.pos;
    full = out.pos == out.size;  // zstd may hold back output for which there was no room
  }
  return Bytes(packed_.data(), done);
}

}  // namespace airr
