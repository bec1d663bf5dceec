#include "replayer/file_content.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>

#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kChunk = 1 << 18;
constexpr uint64_t kMaxFileSize = INT64_MAX;

void writeAt(int fd, const uint8_t* bytes, size_t size, uint64_t at) {
  while (size > 0) {
    ssize_t done = pwrite(fd, bytes, size, static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw systemError("cannot write the files of the session");
    bytes += done;
    size -= static_cast<size_t>(done);
    at += static_cast<uint64_t>(done);
  }
}

UniqueFd temporaryFile() {
  std::string name = std::filesystem::temp_directory_path() / "airr-XXXXXX";
  UniqueFd file(mkostemp(name.data(), O_CLOEXEC));
  if (!file) throw systemError("cannot make a temporary file " + name);
  unlink(name.c_str());
  return file;
}

}  // namespace

uint64_t Spool::append(std::span<const uint8_t> bytes) {
  if (!file_) file_ = temporaryFile();
  uint64_t at = size_;
  writeAt(file_.get(), bytes.data(), bytes.size(), at);
  size_ += bytes.size();
  return at;
}

void Spool::copy(uint64_t from, uint64_t length, int toFd, uint64_t toOffset) const {
  std::vector<uint8_t> buffer(std::min<uint64_t>(length, kChunk));
  while (length > 0) {
    ssize_t got = pread(file_.get(), buffer.data(), std::min<uint64_t>(length, buffer.size()),
                        static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw systemError("cannot read a temporary file", got < 0 ? errno : EIO);
    writeAt(toFd, buffer.data(), static_cast<size_t>(got), toOffset);
    from += static_cast<uint64_t>(got);
    toOffset += static_cast<uint64_t>(got);
    length -= static_cast<uint64_t>(got);
  }
}

void FileContent::addEarlier(uint32_t blob, uint64_t offset, uint64_t length) {
  if (length > kMaxFileSize - size_) return;
  earlier_.push_back({size_, length, blob, offset});
  size_ += length;
  earlierEnd_ = size_;
}

void FileContent::write(uint64_t at, std::span<const uint8_t> bytes, Spool& spool) {
  if (bytes.empty() || at > kMaxFileSize || bytes.size() > kMaxFileSize - at) return;
  put(at, {bytes.size(), spool.append(bytes)});
}

void FileContent::writeZeros(uint64_t at, uint64_t length) {
  if (length == 0 || at > kMaxFileSize || length > kMaxFileSize - at) return;
  put(at, {length, kZeros});
}

void FileContent::resize(uint64_t size) {
  if (size > kMaxFileSize) return;
  if (size < size_) clear(size, size_);
  earlierEnd_ = std::min(earlierEnd_, size);
  size_ = size;
}

void FileContent::put(uint64_t at, Extent extent) {
  clear(at, at + extent.length);
  size_ = std::max(size_, at + extent.length);
  // A log that is written line by line stays one extent.
  auto next = extents_.lower_bound(at);
  if (next != extents_.begin() && extent.spool != kZeros) {
    auto& [before, last] = *std::prev(next);
    if (before + last.length == at && last.spool != kZeros &&
        last.spool + last.length == extent.spool) {
      last.length += extent.length;
      return;
    }
  }
  extents_.emplace_hint(next, at, extent);
}

void FileContent::clear(uint64_t from, uint64_t to) {
  auto part = [](const Extent& whole, uint64_t skip, uint64_t length) {
    return Extent{length, whole.spool == kZeros ? kZeros : whole.spool + skip};
  };
  auto at = extents_.lower_bound(from);
  if (at != extents_.begin()) {
    auto& [start, extent] = *std::prev(at);
    uint64_t end = start + extent.length;
    if (end > to) extents_.emplace(to, part(extent, to - start, end - to));
    if (end > from) extent.length = from - start;
  }
  while (at != extents_.end() && at->first < to) {
    auto [start, extent] = *at;
    uint64_t end = start + extent.length;
    at = extents_.erase(at);
    if (end > to) extents_.emplace(to, part(extent, to - start, end - to));
  }
}

void FileContent::writeTo(int fd, const Spool& spool, const ReadBlob& readBlob) const {
  for (const Earlier& piece : earlier_) {
    if (piece.at >= earlierEnd_) break;
    uint64_t length = std::min(piece.length, earlierEnd_ - piece.at);
    std::vector<uint8_t> bytes = readBlob(piece.blob, piece.offset, length);
    writeAt(fd, bytes.data(), bytes.size(), piece.at);
  }
  const std::vector<uint8_t> zeros(kChunk);
  for (auto& [start, extent] : extents_) {
    if (extent.spool != kZeros) {
      spool.copy(extent.spool, extent.length, fd, start);
      continue;
    }
    // Only zeros over earlier content have to be written; the rest is a hole.
    uint64_t end = std::min(start + extent.length, earlierEnd_);
    for (uint64_t at = start; at < end; at += std::min<uint64_t>(kChunk, end - at)) {
      writeAt(fd, zeros.data(), std::min<uint64_t>(kChunk, end - at), at);
    }
  }
  if (ftruncate(fd, static_cast<off_t>(size_)) != 0) {
    throw systemError("cannot set the size of a file of the session");
  }
}

}  // namespace airr
