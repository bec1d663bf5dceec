#include "replayer/trace_reader_blobs.h"

#include <algorithm>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr uint64_t kMaxKept = 64 << 20;

}  // namespace

void TraceBlobs::add(const FrameHeader& header, const Digest& sha256, uint64_t offset) {
  blobs_.push_back({{sha256, header.rawSize, header.storedSize - sizeof(Digest),
                     header.encoding == Encoding::kRedacted},
                    offset,
                    header.sequence});
}

void TraceBlobs::clear() {
  blobs_.clear();
  last_.reset();
}

const TraceBlobs::Location& TraceBlobs::at(uint32_t blob) const {
  if (blob < blobs_.size()) return blobs_[blob];
  throw Error(ExitCode::kUnreadable, "'" + path_ + "' refers to blob " + std::to_string(blob) +
                                         ", but has only " + std::to_string(blobs_.size()) +
                                         " up to there");
}

void TraceBlobs::check(uint32_t blob) {
  inflate(blob, [](Bytes) {});
}

void TraceBlobs::write(uint32_t blob, int fd) {
  inflate(blob, [&](Bytes bytes) {
    if (!writeWhole(fd, {bytes})) {
      throw systemError("cannot write blob " + std::to_string(blob) + " of '" + path_ + "'");
    }
  });
}

std::vector<uint8_t> TraceBlobs::read(uint32_t blob, uint64_t offset, uint64_t length) {
  const uint64_t size = at(blob).info.size;
  if (offset > size || length > size - offset) {
    throw Error(ExitCode::kUnreadable, "'" + path_ + "' refers to bytes beyond the end of blob " +
                                           std::to_string(blob) + ", which has " +
                                           std::to_string(size));
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

void TraceBlobs::inflate(uint32_t blob, const std::function<void(Bytes)>& sink) {
  const Location& location = at(blob);
  const std::string name = "blob " + std::to_string(blob) + " of '" + path_ + "'";
  if (location.info.redacted) {
    throw Error(ExitCode::kUnreadable,
                name + " was redacted: its content is no longer in the trace",
                "use the trace as it was before the redaction");
  }
  auto altered = [&](const char* why) {
    return Error(ExitCode::kTampered,
                 name + " (frame " + std::to_string(location.frame) + ", bytes " +
                     std::to_string(location.offset) + "-" +
                     std::to_string(location.offset + location.info.storedSize) +
                     ") was altered: " + why,
                 "use an unaltered copy of the trace");
  };

  ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  std::vector<uint8_t> stored(std::min<uint64_t>(location.info.storedSize, ZSTD_DStreamInSize()));
  std::vector<uint8_t> raw(ZSTD_DStreamOutSize());
  Sha256 hash;
  uint64_t consumed = 0, produced = 0;
  ZSTD_inBuffer in{stored.data(), 0, 0};
  for (;;) {
    if (in.pos == in.size && consumed < location.info.storedSize) {
      const size_t size = std::min<uint64_t>(stored.size(), location.info.storedSize - consumed);
      const ssize_t n = readWhole(fd_, {stored.data(), size}, location.offset + consumed);
      if (n < 0) throw systemError("cannot read '" + path_ + "'");
      if (n != static_cast<ssize_t>(size)) throw altered("the file became shorter");
      consumed += size;
      in = {stored.data(), size, 0};
    }
    ZSTD_outBuffer out{raw.data(), raw.size(), 0};
    const size_t before = in.pos;
    if (ZSTD_isError(ZSTD_decompressStream(context_.get(), &out, &in))) {
      throw altered("it cannot be decompressed");
    }
    produced += out.pos;
    if (produced > location.info.size) throw altered("its content is too long");
    const Bytes piece(raw.data(), out.pos);
    hash.update(piece);
    sink(piece);
    if (out.pos == 0 && in.pos == before && consumed == location.info.storedSize) break;
  }
  if (produced != location.info.size) throw altered("its content is too short");
  if (!equal(hash.finish(), location.info.sha256)) throw altered("its SHA-256 does not match");
}

}  // namespace airr
