#include "recorder/keys.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "recorder/digest.h"
#include "recorder/files.h"
#include "recorder/system.h"
#include "schema/error.h"

namespace airr {
namespace {

std::string quoted(const std::string& path) { return "'" + path + "'"; }

KeyFile readKey(const std::string& path, int fd) {
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
  std::vector<uint8_t> bytes(KeyFile::kMaxSize + 1);
  const ssize_t n = readWhole(fd, bytes, 0);
  if (n < 0) throw systemError("cannot read the key " + quoted(path));
  auto key = KeyFile::decode(Bytes(bytes).first(static_cast<size_t>(n)));
  OPENSSL_cleanse(bytes.data(), bytes.size());
  if (!key) {
    throw Error(ExitCode::kFailure,
                quoted(path) + ", which has " + std::to_string(status.st_size) +
                    " bytes, is no key of airr",
                "restore it from a copy, or move it away and record with a new key");
  }
  return *key;
}

// Nothing if there is no such file.
std::optional<KeyFile> findKey(const std::string& path) {
  // O_NONBLOCK: a FIFO in the key's place must not hang us.
  UniqueFd file = openOwn(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (file) return readKey(path, file.get());
  if (errno == ENOENT) return std::nullopt;
  if (errno == ELOOP) {
    throw Error(ExitCode::kFailure, "the key " + quoted(path) + " is a symbolic link",
                "set AIRR_KEY_FILE to the file itself");
  }
  throw systemError("cannot open the key " + quoted(path), errno,
                    "make it readable to you, or set AIRR_KEY_FILE to another");
}

Error noKey(const std::string& path) {
  return Error(ExitCode::kFailure, "there is no key at " + quoted(path),
               "set AIRR_KEY_FILE to the key with which the trace was recorded");
}

RootKey unsealed(const KeyFile& file) {
  if (file.protection == Protection::kNone) return file.root;
  RootKey root = KeyProtector::of(file.protection)->unseal(file.sealed, file.context());
  if (idOf(root) != file.id) {
    throw Error(ExitCode::kFailure, "the unsealed key is not the one that its file names",
                "restore the key file from a copy");
  }
  return root;
}

PublicKey publicKeyOf(const RootKey& root) {
  return SigningKey(hkdf(root.bytes, {}, "airr identity v2")).publicKey();
}

KeyFile newKey(Protection protection) {
  KeyFile file;
  System::host().randomize(file.root.bytes);
  file.id = idOf(file.root);
  file.publicKey = publicKeyOf(file.root);
  if (protection == Protection::kNone) return file;
  file.protection = protection;
  file.sealed = KeyProtector::of(protection)->seal(file.root, file.context());
  return file;
}

// Creates the file complete or not at all: link(2) from a temporary name. False if it exists
// already.
bool createKey(const std::string& path, const KeyFile& key) {
  const std::string remedy = "set AIRR_KEY_FILE to a place that can be written";
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0 && !makePrivateDirectory(path.substr(0, slash))) {
    throw systemError("cannot create the directory of the key " + quoted(path), errno, remedy);
  }
  std::array<uint8_t, 8> suffix;
  System::host().randomize(suffix);
  const std::string draft = path + ".new." + hex(suffix);
  UniqueFd file = openOwn(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  std::vector<uint8_t> bytes = key.encode();
  const bool written = file && writeWhole(file.get(), {bytes}) && ::fsync(file.get()) == 0;
  OPENSSL_cleanse(bytes.data(), bytes.size());
  const bool linked = written && ::link(draft.c_str(), path.c_str()) == 0;
  const int error = errno;
  ::unlink(draft.c_str());
  if (!linked && !(written && error == EEXIST)) {
    throw systemError("cannot create the key " + quoted(path), error, remedy);
  }
  return linked;
}

std::string asidePath(const std::string& path, std::span<const uint8_t> id) {
  return path + "." + hex(id);
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
  auto file = findKey(path);
  if (!file && create) {
    store.created_ = createKey(path, newKey(Protection::kNone));
    file = findKey(path);
  }
  if (!file) throw noKey(path);
  store.root_ = unsealed(*file);
  return store;
}

KeyStore KeyStore::load(const std::string& path, std::span<const uint8_t> id) {
  if (const auto current = findKey(path); current && !std::ranges::equal(current->id, id)) {
    if (const auto former = findKey(asidePath(path, id))) {
      KeyStore store;
      store.path_ = asidePath(path, id);
      store.root_ = unsealed(*former);
      return store;
    }
  }
  return load(path, false);
}

KeyStore KeyStore::create(const std::string& path, Protection protection) {
  KeyStore store;
  store.path_ = path;
  store.created_ = true;
  const KeyFile key = newKey(protection);
  if (!createKey(path, key)) {
    throw Error(ExitCode::kFailure, "there is a key at " + quoted(path) + " already",
                "'airr key rotate' makes another and keeps this one");
  }
  store.root_ = key.root;
  return store;
}

KeyStore KeyStore::rotate(const std::string& path, Protection protection) {
  const auto former = findKey(path);
  if (!former) throw noKey(path);
  const KeyFile key = newKey(protection);  // may ask for a passphrase, and fail
  const std::string aside = asidePath(path, former->id);
  if (::link(path.c_str(), aside.c_str()) != 0 && errno != EEXIST) {
    throw systemError("cannot put the key " + quoted(path) + " aside as " + quoted(aside));
  }
  if (::unlink(path.c_str()) != 0)
    throw systemError("cannot put the key " + quoted(path) + " aside");
  KeyStore store;
  store.path_ = path;
  store.created_ = createKey(path, key);
  store.root_ = key.root;
  return store;
}

KeyFile KeyStore::peek(const std::string& path) {
  auto file = findKey(path);
  if (!file) throw noKey(path);
  if (file->protection == Protection::kNone) file->publicKey = publicKeyOf(file->root);
  return *file;
}

std::string KeyStore::directoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

SessionKey::~SessionKey() {
  OPENSSL_cleanse(hmac.data(), hmac.size());
  OPENSSL_cleanse(identity.data(), identity.size());
}

PublicKey KeyStore::publicKey() const { return publicKeyOf(root_); }

Identity KeyStore::identity() const {
  Digest secret = hkdf(root_.bytes, {}, "airr encryption v3");
  Identity identity(secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  return identity;
}

PublicKey loadPublicKey(const std::string& path) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) throw systemError("cannot open the public key " + quoted(path));
  std::array<uint8_t, 4096> text;
  const ssize_t n = readWhole(file.get(), text, 0);
  if (n < 0) throw systemError("cannot read the public key " + quoted(path));
  const auto key =
      publicKeyFromPem({reinterpret_cast<const char*>(text.data()), static_cast<size_t>(n)});
  if (!key) {
    throw Error(ExitCode::kFailure, quoted(path) + " is not an Ed25519 public key in PEM",
                "write one with 'airr key export-public' where the trace was recorded");
  }
  return *key;
}

SessionKey KeyStore::sessionKey(std::span<const uint8_t> sessionId) const {
  SessionKey key;
  key.hmac = hkdf(root_.bytes, sessionId, "airr session v2");
  key.identity = hkdf(root_.bytes, {}, "airr identity v2");
  key.cache = hkdf(root_.bytes, {}, "airr blob cache v1");
  key.rootId = id();
  return key;
}

}  // namespace airr
