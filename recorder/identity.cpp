#include "recorder/identity.h"

#include <sys/stat.h>

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "recorder/digest.h"
#include "recorder/file_notes.h"
#include "recorder/files.h"

namespace airr {
namespace {

// A machine id is to be kept from other hosts (machine-id(5)), so it is the key of a hash.
std::optional<Digest> hostIdentity() {
  UniqueFd file = openOwn("/etc/machine-id", O_RDONLY | O_NOCTTY);
  std::array<uint8_t, 32> id;  // 32 hexadecimal digits
  if (!file || readWhole(file.get(), id, 0) != static_cast<ssize_t>(id.size())) return std::nullopt;
  constexpr std::string_view kPurpose = "airr host v2";
  return Hmac(id).tag({{reinterpret_cast<const uint8_t*>(kPurpose.data()), kPurpose.size()}});
}

std::optional<Digest> hashOf(int fd) {
  Sha256 hash;
  std::vector<uint8_t> chunk(1 << 20);
  for (uint64_t at = 0;;) {
    const ssize_t n = readWhole(fd, chunk, at);
    if (n < 0) return std::nullopt;
    if (n == 0) return hash.finish();
    hash.update(Bytes(chunk).first(static_cast<size_t>(n)));
    at += static_cast<uint64_t>(n);
  }
}

std::optional<Digest> executableIdentity(const SessionKey& key) {
  UniqueFd file = openOwn("/proc/self/exe", O_RDONLY);
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0) return std::nullopt;
  const FileVersion version = FileVersion::of(status);
  const FileNotes notes(key.cache, "sha256");
  if (const auto known = notes.find(version); known && known->size() == sizeof(Digest)) {
    Digest digest;
    std::copy(known->begin(), known->end(), digest.begin());
    return digest;
  }
  const auto digest = hashOf(file.get());
  if (digest) notes.keep(version, *digest);
  return digest;
}

}  // namespace

void describeRecorder(schema::Header::Builder header, const SessionKey& key) {
  if (const auto host = hostIdentity()) header.setHostId(kj::arrayPtr(host->data(), host->size()));
  if (const auto executable = executableIdentity(key)) {
    header.setExecutableHash(kj::arrayPtr(executable->data(), executable->size()));
  }
}

}  // namespace airr
