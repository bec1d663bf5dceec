// The blobs of a trace as files that replayed tasks can map. A large file of this host that is what it was when it was
// recorded is used itself, and nothing written: which that is, the host's blob cache knows.
//
// Ownership: owns a temporary directory (or memory files, where the temporary directory forbids
// execution) and everything in it; the destructor removes it. Not thread-safe. Throws Error.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "recorder/blob_cache.h"
#include "replayer/trace_reader.h"
#include "schema/unique_fd.h"

namespace airr {

class BlobFiles {
 public:
  // `keys`: null if there are none.
  BlobFiles(const TraceReader&, const KeyStore* keys);
  ~BlobFiles();
  BlobFiles(const BlobFiles&) = delete;
  BlobFiles& operator=(const BlobFiles&) = delete;

  // A path under which a task of this machine can open the blob's content, read-only, now.
  const std::string& pathOf(uint32_t blob);
  // What pathOf() gave last, or gives now: under which a task may have opened it.
  const std::string& lastPathOf(uint32_t blob);

 private:
  struct File {
    std::string path;
    std::optional<BlobCache::Original> original;
  };
  std::optional<BlobCache::Original> findOriginal(uint32_t blob) const;
  File write(uint32_t blob);

  const TraceReader& trace_;
  std::optional<BlobCache> cache_;
  std::string directory_;  // empty: memory files
  std::map<uint32_t, File> files_;
  std::vector<UniqueFd> memoryFiles_;
};

}  // namespace airr
