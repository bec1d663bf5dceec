// Ed25519 signatures (RFC 8032), and public keys as files.
//
// Ownership: a SigningKey owns its secret, which is erased from memory with it. Not thread-safe.
// Failure: Error (kFailure) if OpenSSL has no Ed25519 or no memory; what is malformed or does not
// verify is a return value.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "recorder/digest.h"

namespace airr {

using PublicKey = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;
using Seed = std::array<uint8_t, 32>;

struct EvpKeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using EvpKey = std::unique_ptr<EVP_PKEY, EvpKeyFree>;

class SigningKey {
 public:
  explicit SigningKey(const Seed& seed);
  const PublicKey& publicKey() const { return public_; }
  Signature sign(Bytes message) const;

 private:
  EvpKey key_;  // OpenSSL erases the secret when it frees it
  PublicKey public_;
};

bool verifies(const PublicKey& key, Bytes message, const Signature& signature);

// The first 8 bytes of the key's SHA-256, in hexadecimal: how people name it.
std::string fingerprint(const PublicKey& key);

// SubjectPublicKeyInfo in PEM (RFC 8410, RFC 7468), as `openssl pkey -pubin` reads it.
std::string toPem(const PublicKey& key);
// Nothing: the text is not one Ed25519 public key.
std::optional<PublicKey> publicKeyFromPem(std::string_view text);

}  // namespace airr
