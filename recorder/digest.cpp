#define OPENSSL_SUPPRESS_DEPRECATED  // OpenSSL 3 would have all hashes called alike
#include "recorder/digest.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "schema/error.h"

namespace airr {
namespace {

// Before OpenSSL is used for anything, without what it sets up for names, texts and configuration files: that takes
// 0.4 ms, and the environment says where such files are.
void initializeOnce() {
  static const bool initialized =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                              OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
                          nullptr) == 1;
  if (!initialized) throw Error(ExitCode::kFailure, "OpenSSL cannot be set up");
}

}  // namespace

Sha256::Sha256() {
  initializeOnce();
  SHA256_Init(&context_);
}

void Sha256::update(Bytes bytes) { SHA256_Update(&context_, bytes.data(), bytes.size()); }

Digest Sha256::finish() {
  Digest digest;
  SHA256_Final(digest.data(), &context_);
  SHA256_Init(&context_);
  return digest;
}

Digest sha256(Bytes bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Hmac::Hmac(std::span<const uint8_t, 32> key) {
  initializeOnce();
  std::array<uint8_t, 64> pad;
  auto absorb = [&](SHA256_CTX& context, uint8_t filler) {
    pad.fill(filler);
    for (size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
    SHA256_Init(&context);
    SHA256_Update(&context, pad.data(), pad.size());
  };
  absorb(inner_, 0x36);
  absorb(outer_, 0x5c);
  OPENSSL_cleanse(pad.data(), pad.size());
}

Hmac::~Hmac() {
  OPENSSL_cleanse(&inner_, sizeof inner_);
  OPENSSL_cleanse(&outer_, sizeof outer_);
}

Digest Hmac::tag(std::initializer_list<Bytes> parts) {
  Digest digest;
  SHA256_CTX state = inner_;
  for (Bytes part : parts) SHA256_Update(&state, part.data(), part.size());
  SHA256_Final(digest.data(), &state);
  state = outer_;
  SHA256_Update(&state, digest.data(), digest.size());
  SHA256_Final(digest.data(), &state);
  return digest;
}

// HMAC fills a key shorter than its block with zeros (RFC 2104), and so is a missing salt.
Digest hkdf(std::span<const uint8_t, 32> key, Bytes salt, std::string_view info) {
  Digest paddedSalt{};
  if (salt.size() > paddedSalt.size()) {
    throw Error(ExitCode::kFailure, "a session id of more than 32 bytes");
  }
  std::copy(salt.begin(), salt.end(), paddedSalt.begin());
  const Digest pseudorandom = Hmac(paddedSalt).tag({key});
  const uint8_t firstBlock = 1;
  return Hmac(pseudorandom)
      .tag({{reinterpret_cast<const uint8_t*>(info.data()), info.size()}, {&firstBlock, 1}});
}

bool equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace airr
