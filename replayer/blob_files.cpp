#include "replayer/blob_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>

#include "schema/error.h"

namespace airr {

BlobFiles::BlobFiles(const TraceReader& trace) : trace_(trace) {
  const char* base = getenv("TMPDIR");
  std::string name = std::string(base && *base ? base : "/tmp") + "/airr-replay-XXXXXX";
  struct statvfs s {};
  if (mkdtemp(name.data()) == nullptr) return;
  directory_ = name;
  // Programs are mapped from these files.
  if (statvfs(name.c_str(), &s) == 0 && (s.f_flag & ST_NOEXEC) != 0) {
    rmdir(name.c_str());
    directory_.clear();
  }
}

BlobFiles::~BlobFiles() {
  if (directory_.empty()) return;
  for (const auto& [blob, path] : paths_) unlink(path.c_str());
  rmdir(directory_.c_str());
}

const std::string& BlobFiles::pathOf(uint32_t blob) {
  auto found = paths_.find(blob);
  if (found != paths_.end()) return found->second;
  std::string path;
  UniqueFd file;
  if (directory_.empty()) {
    file.reset(memfd_create("airr-blob", MFD_CLOEXEC));
    path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file.get());
  } else {
    path = directory_ + "/" + std::to_string(blob);
    file.reset(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
  }
  if (!file)
    throw systemError("storing blob " + std::to_string(blob) + " for replay", errno,
                      "free space in the temporary directory, or set TMPDIR");
  const std::string& kept = paths_.emplace(blob, path).first->second;
  trace_.writeBlob(blob, file.get());
  if (directory_.empty()) memoryFiles_.push_back(std::move(file));
  return kept;
}

}  // namespace airr
