#include "recorder/frame.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "schema/error.h"

namespace airr {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they are");

// Offsets in a frame header.
constexpr size_t kTypeAt = 4, kReservedAt = 5, kSequenceAt = 8, kRawSizeAt = 16, kFirstEventAt = 24,
                 kEventCountAt = 32, kEncodingAt = 36, kStoredSizeAt = 40, kTagAt = 48;
static_assert(kEncodingAt == kAuthenticatedSize && kTagAt + kTagSize == kFrameHeaderSize);

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

void requireZstd(size_t code) {
  if (ZSTD_isError(code)) {
    throw Error(ExitCode::kFailure, std::string("zstd: ") + ZSTD_getErrorName(code));
  }
}

}  // namespace

void FrameHeader::encode(std::span<uint8_t, kFrameHeaderSize> out) const {
  std::fill(out.begin(), out.end(), 0);
  uint8_t* at = out.data();
  std::copy(kFrameMagic.begin(), kFrameMagic.end(), at);
  store(at + kTypeAt, type);
  store(at + kSequenceAt, sequence);
  store(at + kRawSizeAt, rawSize);
  store(at + kFirstEventAt, firstEvent);
  store(at + kEventCountAt, eventCount);
  store(at + kEncodingAt, encoding);
  store(at + kStoredSizeAt, storedSize);
  std::copy(tag.begin(), tag.end(), at + kTagAt);
}

FrameHeader FrameHeader::decode(std::span<const uint8_t, kFrameHeaderSize> in) {
  const uint8_t* at = in.data();
  FrameHeader header;
  header.type = load<FrameType>(at + kTypeAt);
  header.sequence = load<uint64_t>(at + kSequenceAt);
  header.rawSize = load<uint64_t>(at + kRawSizeAt);
  header.firstEvent = load<uint64_t>(at + kFirstEventAt);
  header.eventCount = load<uint32_t>(at + kEventCountAt);
  header.encoding = load<Encoding>(at + kEncodingAt);
  header.storedSize = load<uint64_t>(at + kStoredSizeAt);
  std::copy_n(at + kTagAt, kTagSize, header.tag.begin());
  return header;
}

const char* FrameHeader::fault(std::span<const uint8_t, kFrameHeaderSize> in) {
  if (!std::equal(kFrameMagic.begin(), kFrameMagic.end(), in.begin()))
    return "no frame begins here";
  if (std::any_of(in.begin() + kReservedAt, in.begin() + kSequenceAt,
                  [](auto b) { return b != 0; })) {
    return "reserved bytes of its header are not zero";
  }
  const FrameHeader header = decode(in);
  const uint64_t raw = header.rawSize, stored = header.storedSize;
  const Encoding encoding = header.encoding;
  switch (header.type) {
    case FrameType::kEvents:
      if (encoding != Encoding::kZstdStart && encoding != Encoding::kZstdContinue) {
        return "its encoding is none of an events frame";
      }
      if (raw > kMaxEventsFrame || raw % 8 != 0 || stored == 0 || stored > maxStored(raw)) {
        return "its sizes are impossible";
      }
      if (header.eventCount == 0 || header.eventCount > raw / kMinEvent) {
        return "its number of events is impossible";
      }
      return nullptr;
    case FrameType::kBlob: {
      if (header.eventCount != 0) return "its number of events is impossible";
      if (raw > kMaxBlob || stored < sizeof(Digest)) return "its sizes are impossible";
      const uint64_t data = stored - sizeof(Digest);
      if (encoding == Encoding::kRedacted || encoding == Encoding::kSame) {
        return data == 0 ? nullptr : "its sizes are impossible";
      }
      if (encoding != Encoding::kZstdStart && encoding != Encoding::kZstdContinue) {
        return "its encoding is none of a blob frame";
      }
      return data > 0 && data <= maxStored(raw) ? nullptr : "its sizes are impossible";
    }
    case FrameType::kPart:
      if (header.eventCount != 0) return "its number of events is impossible";
      if (raw != 0 || stored > kMaxPart) return "its sizes are impossible";
      if (encoding == Encoding::kRedacted) {
        return stored == 0 ? nullptr : "its sizes are impossible";
      }
      if (encoding != Encoding::kZstdStart && encoding != Encoding::kZstdContinue) {
        return "its encoding is none of a part";
      }
      return stored > 0 ? nullptr : "its sizes are impossible";
    case FrameType::kSeal:
      if (encoding != Encoding::kPlain) return "its encoding is none of a seal";
      if (header.eventCount != 0) return "its number of events is impossible";
      return raw == SealTotals::kSize && stored == raw ? nullptr : "its sizes are impossible";
  }
  return "its type is unknown";
}

std::array<uint8_t, SealTotals::kSize> SealTotals::encode() const {
  std::array<uint8_t, kSize> out;
  store(out.data(), events);
  store(out.data() + 8, frames);
  store(out.data() + 16, blobs);
  return out;
}

SealTotals SealTotals::decode(std::span<const uint8_t, kSize> in) {
  return {load<uint64_t>(in.data()), load<uint64_t>(in.data() + 8), load<uint64_t>(in.data() + 16)};
}

ZstdCompressContext newCompressContext() {
  ZstdCompressContext context(ZSTD_createCCtx());
  if (context == nullptr) throw Error(ExitCode::kFailure, "zstd: out of memory");
  requireZstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel));
  return context;
}

ZstdDecompressContext newDecompressContext() {
  ZstdDecompressContext context(ZSTD_createDCtx());
  if (context == nullptr) throw Error(ExitCode::kFailure, "zstd: out of memory");
  requireZstd(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog));
  return context;
}

Bytes EventCompressor::compress(Bytes raw, Encoding& encoding) {
  encoding = Encoding::kZstdContinue;
  if (!sinceStart_ || *sinceStart_ >= kRestartInterval) {
    requireZstd(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only));
    sinceStart_ = 0;
    encoding = Encoding::kZstdStart;
  }
  *sinceStart_ += raw.size();
  if (stored_.size() < maxStored(raw.size())) stored_.resize(maxStored(raw.size()));

  ZSTD_inBuffer in{raw.data(), raw.size(), 0};
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
  } else if (!started_) {
    return false;
  }
  started_ = false;
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  ZSTD_outBuffer out{raw.data(), raw.size(), 0};
  while (in.pos < in.size || out.pos < out.size) {
    const size_t before = in.pos + out.pos;
    if (ZSTD_isError(ZSTD_decompressStream(context_.get(), &out, &in))) return false;
    if (in.pos + out.pos == before) return false;
  }
  // zstd may hold back output for which there was no room.
  uint8_t beyond;
  ZSTD_outBuffer more{&beyond, 1, 0};
  if (ZSTD_isError(ZSTD_decompressStream(context_.get(), &more, &in)) || more.pos > 0) return false;
  started_ = true;
  return true;
}

}  // namespace airr
