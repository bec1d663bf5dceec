// The root key of this user and the keys derived from it.
//
// Value types. Not thread-safe. load() throws Error when the store is unreadable or too open.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace airr {

// Authenticates the frames of one session: HKDF-SHA256(root key, salt = session id, info = "airr
// session v1") (RFC 5869).
struct SessionKey {
  std::array<uint8_t, 32> hmac{};
  // The first bytes of SHA-256(root key): says which key, not what it is.
  std::array<uint8_t, 8> rootId{};
  // Authenticates this host's blob cache; the same in all sessions (info = "airr blob cache v1").
  std::array<uint8_t, 32> cache{};
};

class KeyStore {
 public:
  // AIRR_KEY_FILE, else $XDG_DATA_HOME/airr/root.key, else ~/.local/share/airr/root.key.
  static std::string defaultPath();
  // Reads the root key; `create`: makes one (0600) if there is none and says so in `created`.
  static KeyStore load(const std::string& path, bool create);

  SessionKey sessionKey(std::span<const uint8_t> sessionId) const;
  bool created() const { return created_; }
  const std::string& path() const { return path_; }

 private:
  std::array<uint8_t, 32> root_{};
  std::string path_;
  bool created_ = false;
};

}  // namespace airr
