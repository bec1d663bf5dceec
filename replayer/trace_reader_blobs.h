// Where the blobs of a trace lie in its file, and their decompression.
//
// Ownership: borrows the file's descriptor. Not thread-safe.
// Failure: Error: kTampered if a content is not the one that its frame names, kUnreadable if it was
// redacted, kFailure if the file cannot be read or `blob` is none that was added.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "recorder/frame.h"
#include "replayer/trace_reader.h"

namespace airr {

class TraceBlobs {
 public:
  TraceBlobs(const std::string& path, int fd) : path_(path), fd_(fd) {}

  // `offset`: of the compressed bytes in the file.
  void add(const FrameHeader& header, const Digest& sha256, uint64_t offset);
  void clear();

  uint32_t count() const { return static_cast<uint32_t>(blobs_.size()); }
  const TraceReader::BlobInfo& info(uint32_t blob) const { return at(blob).info; }
  void check(uint32_t blob);
  void write(uint32_t blob, int fd);
  std::vector<uint8_t> read(uint32_t blob, uint64_t offset, uint64_t length);

 private:
  struct Location {
    TraceReader::BlobInfo info;
    uint64_t offset;
    uint64_t frame;
  };
  struct Content {
    uint32_t blob;
    std::vector<uint8_t> bytes;
  };
  const Location& at(uint32_t blob) const;
  // Hands the content to the sink piece by piece; throws at the end if it was not what it should
  // be.
  void inflate(uint32_t blob, const std::function<void(Bytes)>& sink);

  const std::string& path_;
  int fd_;
  std::vector<Location> blobs_;
  ZstdDecompressContext context_ = newDecompressContext();
  std::optional<Content> last_;  // the content read last, if it is small enough to keep
};

}  // namespace airr
