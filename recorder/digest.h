// SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104) on contexts that are set up once and used often.
//
// Ownership: each object owns its OpenSSL contexts. Not thread-safe; use one object a thread.
// Failure: Error (kFailure) if OpenSSL has no SHA-256 or no memory.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace airr {

using Bytes = std::span<const uint8_t>;
using Digest = std::array<uint8_t, 32>;

struct DigestContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, DigestContextFree>;

class Sha256 {
 public:
  Sha256();
  void update(Bytes bytes);
  Digest finish();  // and begins anew

 private:
  DigestContext context_;
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
  // Over the concatenation of the parts.
  Digest tag(std::initializer_list<Bytes> parts);

 private:
  // The states after the inner and the outer pad: one compression less each, for every tag.
  DigestContext inner_, outer_, scratch_;
};

// HKDF-SHA-256 (RFC 5869) with 32 bytes of output and a salt of at most 32; no salt is 32 zeros.
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
