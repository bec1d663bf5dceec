// The blobs and shared objects of a trace as files that replayed tasks can map.
//
// Ownership: owns a temporary directory (or memory files, where the temporary directory forbids
// execution) and everything in it; the destructor removes it. Not thread-safe. Throws Error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replayer/trace_reader.h"
#include "schema/unique_fd.h"

namespace airr {

class BlobFiles {
 public:
  explicit BlobFiles(const TraceReader&);
  ~BlobFiles();
  BlobFiles(const BlobFiles&) = delete;
  BlobFiles& operator=(const BlobFiles&) = delete;

  // A path under which a task of this machine can open the blob's content, read-only.
  const std::string& pathOf(uint32_t blob);

 private:
  const TraceReader& trace_;
  std::string directory_;  // empty: memory files
  std::map<uint32_t, std::string> paths_;
  std::vector<UniqueFd> memoryFiles_;
};

}  // namespace airr
