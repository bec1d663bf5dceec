// The key store: the root key of this user, former ones, and the keys that are derived from them.
//
// Value types, which erase their secrets from memory when they end. Not thread-safe. Throws Error
// when the store is unreadable or too open, or the key cannot be unsealed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "recorder/encryption.h"
#include "recorder/key_file.h"
#include "recorder/signing.h"

namespace airr {

// What is derived from the root key by HKDF-SHA256 (RFC 5869).
struct SessionKey {
  // Authenticates the first epoch of one session (salt = session id, info = "airr session v2").
  std::array<uint8_t, 32> hmac{};
  // Of the Ed25519 key that signs the header; the same in all sessions (info = "airr identity v2").
  Seed identity{};
  KeyId rootId{};
  // Authenticates this host's blob cache; the same in all sessions (info = "airr blob cache v1").
  std::array<uint8_t, 32> cache{};

  ~SessionKey();
};

class KeyStore {
 public:
  // AIRR_KEY_FILE, else $XDG_DATA_HOME/airr/root.key, else ~/.local/share/airr/root.key.
  static std::string defaultPath();
  // Reads the root key; `create`: makes one (0600) if there is none and says so in `created`.
  static KeyStore load(const std::string& path, bool create);
  // The key with this id: the current one, or one that rotate() put aside. The current one if there
  // is no such.
  static KeyStore load(const std::string& path, std::span<const uint8_t> id);

  // Makes a key where there is none; an Error (kFailure) if there is one.
  static KeyStore create(const std::string& path, Protection protection);
  // Puts the key aside, for the traces that were recorded with it, and makes another in its place.
  static KeyStore rotate(const std::string& path, Protection protection);
  // What can be known of the key without unsealing it.
  static KeyFile peek(const std::string& path);

  // What nothing in a session may reach: the directory of the keys.
  static std::string directoryOf(const std::string& path);

  SessionKey sessionKey(std::span<const uint8_t> sessionId) const;
  // With which third parties verify.
  PublicKey publicKey() const;
  // Reads what was encrypted to this key store (info = "airr encryption v3").
  Identity identity() const;
  KeyId id() const { return idOf(root_); }
  bool created() const { return created_; }
  const std::string& path() const { return path_; }

 private:
  RootKey root_;
  std::string path_;
  bool created_ = false;
};

// Reads a public key in PEM, as `airr key export-public` writes it. Error kFailure if there is
// none.
PublicKey loadPublicKey(const std::string& path);

}  // namespace airr
