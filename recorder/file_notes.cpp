#include "recorder/file_notes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "recorder/files.h"

namespace airr {
namespace {

Bytes bytesOf(const FileVersion& version) {
  return {reinterpret_cast<const uint8_t*>(&version), sizeof version};
}

}  // namespace

FileNotes::FileNotes(const std::array<uint8_t, 32>& key, std::string subject)
    : key_(key), subject_(std::move(subject)), directory_(openCacheDirectory()) {}

Digest FileNotes::tagOf(const FileVersion& version, Bytes note) const {
  const Bytes subject(reinterpret_cast<const uint8_t*>(subject_.c_str()), subject_.size() + 1);
  return Hmac(key_).tag({subject, bytesOf(version), note});
}

std::optional<std::vector<uint8_t>> FileNotes::find(const FileVersion& version) const {
  if (!directory_ || !version.isSettled()) return std::nullopt;
  UniqueFd file = openOwn(directory_.get(), version.cacheName() + "." + subject_,
                          O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto size = static_cast<uint64_t>(status.st_size);
  Digest tag;
  if (size < tag.size() || size > tag.size() + kMostBytes) return std::nullopt;
  std::vector<uint8_t> stored(size);
  if (readWhole(file.get(), stored, 0) != static_cast<ssize_t>(size)) return std::nullopt;
  std::copy_n(stored.begin(), tag.size(), tag.begin());
  stored.erase(stored.begin(), stored.begin() + tag.size());
  if (!equal(tag, tagOf(version, stored))) return std::nullopt;
  ::futimens(file.get(), nullptr);  // used just now: last to be evicted
  return stored;
}

void FileNotes::keep(const FileVersion& version, Bytes note) const {
  if (!directory_ || !version.isSettled() || note.size() > kMostBytes) return;
  const Digest tag = tagOf(version, note);
  replaceFile(directory_.get(), version.cacheName() + "." + subject_, {tag, note});
}

}  // namespace airr
