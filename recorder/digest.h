// SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104), by OpenSSL's functions for this one hash: those for any
// hash would first set up all that there are, which takes 1.3 ms here.
//
// Not thread-safe; use one object a thread. Failure: Error (kFailure) if OpenSSL cannot be set up.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace airr {

using Bytes = std::span<const uint8_t>;
using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  void update(Bytes bytes);
  Digest finish();  // and begins anew

 private:
  SHA256_CTX context_;
};

Digest sha256(Bytes bytes);

// Bytes and their SHA-256, for whom needs it more than once.
struct HashedBytes {
  Bytes bytes;
  Digest sha256{};
};
inline HashedBytes hashed(Bytes bytes) { return {bytes, sha256(bytes)}; }

class Hmac {
 public:
  explicit Hmac(std::span<const uint8_t, 32> key);
  ~Hmac();  // erases what it has of the key
  // Over the concatenation of the parts.
  Digest tag(std::initializer_list<Bytes> parts);

 private:
  // The states after the inner and the outer pad: one compression less each, for every tag.
  SHA256_CTX inner_, outer_;
};

// HKDF-SHA-256 (RFC 5869) with 32 bytes of output and a salt of at most 32, or Error (kFailure); no salt is 32 zeros.
Digest hkdf(std::span<const uint8_t, 32> key, Bytes salt, std::string_view info);

// In time that does not depend on where they differ.
bool equal(const Digest& a, const Digest& b);

// For containers: a digest is as good a hash as any.
struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t hash;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

std::string hex(Bytes bytes);

}  // namespace airr
