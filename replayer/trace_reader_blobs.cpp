#include "replayer/trace_reader_blobs.h"

#include <algorithm>
#include <utility>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr uint64_t kMaxKept = 64 << 20;

}  // namespace

const char* TraceBlobs::add(uint32_t number, const FrameHeader& header, const Digest& digest,
                            BlobParts parts) {
  if (number < blobs_.size()) return nullptr;
  Location blob{
      {digest, header.rawSize, 0, false, false}, std::move(parts), number, header.sequence};
  uint64_t compressed = 0;
  for (const BlobPart& part : blob.parts) {
    blob.info.storedSize += part.size();
    const uint64_t tag = file_.secrets() != nullptr ? FrameCipher::kTag : 0;
    compressed += std::max(part.header.bodySize, tag) - tag;
    if (part.header.state == BodyState::kRemoved) blob.info.redacted = true;
    if (part.header.state == BodyState::kReencrypted) blob.info.reencrypted = true;
  }
  if (compressed > maxStored(header.rawSize)) return "its sizes are impossible";
  if (header.encoding == Encoding::kSame) {
    const auto same = byDigest_.find(digest);
    if (same == byDigest_.end()) return "there is no earlier blob with its content";
    blob.content = same->second;
    blob.info.redacted = blobs_[same->second].info.redacted;
    blob.info.reencrypted = blobs_[same->second].info.reencrypted;
  }
  byDigest_.emplace(digest, number);
  blobs_.push_back(std::move(blob));
  return nullptr;
}

Error TraceBlobs::altered(const Location& content, const char* why) const {
  const BlobPart& last = content.parts.back();
  return Error(ExitCode::kTampered,
               "blob " + std::to_string(&content - blobs_.data()) + " of '" + file_.path() + "' (frame " +
                   std::to_string(content.frame) + ", within bytes " + std::to_string(content.parts.front().offset) +
                   "-" + std::to_string(last.offset + last.size()) + ") was altered: " + why,
               "use an unaltered copy of the trace");
}

void TraceBlobs::checkStored(uint32_t blob) {
  const Location& content = blobs_[blobs_[blob].content];
  Sha256 hash;
  for (const BlobPart& part : content.parts) {
    body_.resize(part.size());
    file_.read(part.offset, body_);
    hash.update(body_);
    if (hash.finish() != part.stored) throw altered(content, "its SHA-256 does not match");
  }
}

void TraceBlobs::check(uint32_t blob) {
  inflate(blob, [](Bytes) {});
}

Digest TraceBlobs::sha256(uint32_t blob) {
  return file_.secrets() != nullptr ? inflate(blob, [](Bytes) {}) : info(blob).digest;
}

void TraceBlobs::write(uint32_t blob, int fd) {
  inflate(blob, [&](Bytes bytes) {
    if (!writeWhole(fd, {bytes})) {
      throw systemError("cannot write blob " + std::to_string(blob) + " of '" + file_.path() + "'");
    }
  });
}

std::vector<uint8_t> TraceBlobs::read(uint32_t blob, uint64_t offset, uint64_t length) {
  const uint64_t size = blobs_[blob].info.size;
  if (offset > size || length > size - offset) {
    throw Error(ExitCode::kUnreadable,
                "'" + file_.path() + "' refers to bytes beyond the end of blob " +
                    std::to_string(blob) + ", which has " + std::to_string(size));
  }
  if (!last_ || last_->blob != blob) {
    if (size > kMaxKept) {
      std::vector<uint8_t> range;
      uint64_t position = 0;
      inflate(blob, [&](Bytes bytes) {
        const uint64_t from = std::clamp(offset, position, position + bytes.size());
        const uint64_t to = std::clamp(offset + length, position, position + bytes.size());
        range.insert(range.end(), bytes.begin() + static_cast<ptrdiff_t>(from - position),
                     bytes.begin() + static_cast<ptrdiff_t>(to - position));
        position += bytes.size();
      });
      return range;
    }
    last_.reset();
    Content content{blob, {}};
    inflate(blob, [&](Bytes bytes) {
      content.bytes.insert(content.bytes.end(), bytes.begin(), bytes.end());
    });
    last_ = std::move(content);
  }
  const auto from = last_->bytes.begin() + static_cast<ptrdiff_t>(offset);
  return {from, from + static_cast<ptrdiff_t>(length)};
}

std::optional<Bytes> TraceBlobs::decrypted(uint32_t blob, const BlobPart& part) {
  if (part.size() > kMaxPart + FrameCipher::kTag) return std::nullopt;
  body_.resize(part.size());
  file_.read(part.offset, body_);
  std::optional<Bytes> body = body_;
  if (part.header.state == BodyState::kReencrypted) {
    body = reencrypted_.cipherOf(blob).open(part.header.sequence, *body);
  }
  return body ? file_.plain(part.header, *body) : std::nullopt;
}

Digest TraceBlobs::inflate(uint32_t blob, const std::function<void(Bytes)>& sink) {
  const TraceReader::BlobInfo& info = blobs_[blob].info;
  const Location& content = blobs_[blobs_[blob].content];
  if (info.redacted) {
    throw Error(ExitCode::kUnreadable,
                "blob " + std::to_string(blob) + " of '" + file_.path() +
                    "' was redacted: its content is no longer in the trace",
                "use the trace as it was before the redaction");
  }
  const auto altered = [&](const char* why) { return this->altered(content, why); };

  ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  std::vector<uint8_t> stored(ZSTD_DStreamInSize()), raw(ZSTD_DStreamOutSize());
  Sha256 hash;
  uint64_t produced = 0;
  auto decompress = [&](ZSTD_inBuffer in) {
    for (;;) {
      ZSTD_outBuffer out{raw.data(), raw.size(), 0};
      const size_t before = in.pos;
      if (ZSTD_isError(ZSTD_decompressStream(context_.get(), &out, &in)))
        throw altered("it cannot be decompressed");
      produced += out.pos;
      if (produced > info.size) throw altered("its content is too long");
      const Bytes piece(raw.data(), out.pos);
      hash.update(piece);
      sink(piece);
      if (out.pos == 0 && in.pos == before) return;
    }
  };
  for (const BlobPart& part : content.parts) {
    if (file_.secrets() != nullptr || part.header.state == BodyState::kReencrypted) {
      const auto body = decrypted(blobs_[blob].content, part);
      if (!body) throw altered("it cannot be decrypted");
      decompress({body->data(), body->size(), 0});
      continue;
    }
    for (uint64_t done = 0; done < part.size();) {
      const size_t size = std::min<uint64_t>(stored.size(), part.size() - done);
      file_.read(part.offset + done, {stored.data(), size});
      decompress({stored.data(), size, 0});
      done += size;
    }
  }
  if (produced != info.size) throw altered("its content is too short");
  const Digest sha256 = hash.finish();
  if (!equal(file_.nameOf(sha256), info.digest)) throw altered("its SHA-256 does not match");
  return sha256;
}

}  // namespace airr
