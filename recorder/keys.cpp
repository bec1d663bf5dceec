#include "recorder/keys.h"

#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "recorder/digest.h"
#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

using RootKey = std::array<uint8_t, 32>;

// RFC 5869 with SHA-256, for a salt of up to 32 bytes and one block of output. Shorter HMAC keys are
// filled up with zeros (RFC 2104), and so is a missing salt.
std::array<uint8_t, 32> hkdf(const RootKey& root, Bytes salt, std::string_view info) {
  Digest paddedSalt{};
  if (salt.size() > paddedSalt.size()) {
    throw Error(ExitCode::kFailure, "a session id of more than 32 bytes");
  }
  std::copy(salt.begin(), salt.end(), paddedSalt.begin());
  const Digest pseudorandom = Hmac(paddedSalt).tag({root});
  const uint8_t firstBlock = 1;
  return Hmac(pseudorandom)
      .tag({{reinterpret_cast<const uint8_t*>(info.data()), info.size()}, {&firstBlock, 1}});
}

std::string quoted(const std::string& path) { return "'" + path + "'"; }

RootKey readKey(const std::string& path, int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw systemError("cannot inspect the key " + quoted(path));
  if (!S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kFailure, "the key " + quoted(path) + " is not a regular file",
                "set AIRR_KEY_FILE to the file that holds the key");
  }
  if (status.st_uid != ::geteuid()) {
    throw Error(ExitCode::kFailure, "the key " + quoted(path) + " belongs to another user",
                "set AIRR_KEY_FILE to a key of your own");
  }
  if ((status.st_mode & 077) != 0) {
    throw Error(
        ExitCode::kFailure, "the key " + quoted(path) + " is accessible to other users",
        "others may have read it: run 'chmod 600 " + path +
            "' if you are sure that nobody did, else move it away and record with a new key");
  }
  RootKey key;
  if (status.st_size != static_cast<off_t>(key.size())) {
    throw Error(ExitCode::kFailure,
                "the key " + quoted(path) + " has " + std::to_string(status.st_size) +
                    " bytes, not " + std::to_string(key.size()),
                "restore it from a copy, or move it away and record with a new key");
  }
  const ssize_t n = readWhole(fd, key, 0);
  if (n < 0) throw systemError("cannot read the key " + quoted(path));
  if (n != static_cast<ssize_t>(key.size())) {
    throw Error(ExitCode::kFailure, "the key " + quoted(path) + " changed while it was read");
  }
  return key;
}

// Creates the file complete or not at all: link(2) from a temporary name. False if it exists
// already.
bool createKey(const std::string& path) {
  const std::string remedy = "set AIRR_KEY_FILE to a place that can be written";
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0 && !makePrivateDirectory(path.substr(0, slash))) {
    throw systemError("cannot create the directory of the key " + quoted(path), errno, remedy);
  }
  RootKey key;
  std::array<uint8_t, 8> suffix;
  auto randomize = [](auto& bytes) {
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      throw systemError("cannot get random bytes for a new key");
    }
  };
  randomize(key);
  randomize(suffix);
  const std::string draft = path + ".new." + hex(suffix);
  UniqueFd file = openOwn(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  const bool written = file && writeWhole(file.get(), {key}) && ::fsync(file.get()) == 0;
  OPENSSL_cleanse(key.data(), key.size());
  const bool linked = written && ::link(draft.c_str(), path.c_str()) == 0;
  const int error = errno;
  ::unlink(draft.c_str());
  if (!linked && !(written && error == EEXIST)) {
    throw systemError("cannot create the key " + quoted(path), error, remedy);
  }
  return linked;
}

}  // namespace

std::string KeyStore::defaultPath() {
  if (const char* file = std::getenv("AIRR_KEY_FILE"); file != nullptr && *file != '\0')
    return file;
  if (std::string data = pathFromEnvironment("XDG_DATA_HOME"); !data.empty()) {
    return data + "/airr/root.key";
  }
  if (std::string home = pathFromEnvironment("HOME"); !home.empty()) {
    return home + "/.local/share/airr/root.key";
  }
  throw Error(ExitCode::kFailure, "no place for the key: HOME is not set",
              "set AIRR_KEY_FILE to the file that holds the key");
}

KeyStore KeyStore::load(const std::string& path, bool create) {
  KeyStore store;
  store.path_ = path;
  // O_NONBLOCK: a FIFO in the key's place must not hang us.
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  UniqueFd file = openOwn(path, flags);
  if (!file && errno == ENOENT && create) {
    store.created_ = createKey(path);
    file = openOwn(path, flags);
  }
  if (!file) {
    if (errno == ENOENT) {
      throw Error(ExitCode::kFailure, "there is no key at " + quoted(path),
                  "set AIRR_KEY_FILE to the key with which the trace was recorded");
    }
    if (errno == ELOOP) {
      throw Error(ExitCode::kFailure, "the key " + quoted(path) + " is a symbolic link",
                  "set AIRR_KEY_FILE to the file itself");
    }
    throw systemError("cannot open the key " + quoted(path), errno,
                      "make it readable to you, or set AIRR_KEY_FILE to another");
  }
  store.root_ = readKey(path, file.get());
  return store;
}

SessionKey KeyStore::sessionKey(std::span<const uint8_t> sessionId) const {
  SessionKey key;
  key.hmac = hkdf(root_, sessionId, "airr session v1");
  key.cache = hkdf(root_, {}, "airr blob cache v1");
  const Digest id = sha256(root_);
  std::copy_n(id.begin(), key.rootId.size(), key.rootId.begin());
  return key;
}

}  // namespace airr
