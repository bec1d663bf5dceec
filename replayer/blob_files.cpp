#include "replayer/blob_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "schema/error.h"

namespace airr {

namespace {

bool isOnNoExec(const std::string& path) {
  struct statvfs status {};
  return statvfs(path.c_str(), &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

}  // namespace

BlobFiles::BlobFiles(const TraceReader& trace, const KeyStore* keys) : trace_(trace) {
  // In an encrypted trace something else stands for the digests of contents.
  if (keys != nullptr && trace.authenticated() && trace.recipients().empty()) {
    const auto session = trace.header().getSessionId();
    cache_.emplace(keys->sessionKey({session.begin(), session.size()}).cache);
  }
  const char* base = getenv("TMPDIR");
  std::string name = std::string(base && *base ? base : "/tmp") + "/airr-replay-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return;
  directory_ = name;
  // Programs are mapped from these files.
  if (isOnNoExec(name)) {
    rmdir(name.c_str());
    directory_.clear();
  }
}

BlobFiles::~BlobFiles() {
  if (directory_.empty()) return;
  for (const auto& [blob, file] : files_) {
    if (!file.original) unlink(file.path.c_str());
  }
  rmdir(directory_.c_str());
}

const std::string& BlobFiles::pathOf(uint32_t blob) {
  const auto found = files_.find(blob);
  if (found == files_.end()) return lastPathOf(blob);
  File& file = found->second;
  if (file.original && !file.original->isUnchanged()) file = write(blob);
  return file.path;
}

const std::string& BlobFiles::lastPathOf(uint32_t blob) {
  const auto found = files_.find(blob);
  if (found != files_.end()) return found->second.path;
  auto original = findOriginal(blob);
  File file = original ? File{original->path, original} : write(blob);
  return files_.emplace(blob, std::move(file)).first->second.path;
}

std::optional<BlobCache::Original> BlobFiles::findOriginal(uint32_t blob) const {
  if (!cache_) return std::nullopt;
  const TraceReader::BlobInfo info = trace_.blobInfo(blob);
  // What was taken out of the trace is not to come back from elsewhere.
  if (info.size < BlobCache::kSmallestFile || info.redacted || info.reencrypted) return std::nullopt;
  auto original = cache_->findOriginal(info.digest);
  if (!original || original->version.size != info.size || isOnNoExec(original->path)) return std::nullopt;
  trace_.checkStored(blob);
  return original;
}

BlobFiles::File BlobFiles::write(uint32_t blob) {
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
  try {
    trace_.writeBlob(blob, file.get());
  } catch (...) {
    if (!directory_.empty()) unlink(path.c_str());
    throw;
  }
  if (directory_.empty()) memoryFiles_.push_back(std::move(file));
  return {std::move(path), std::nullopt};
}

}  // namespace airr
