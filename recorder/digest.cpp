#include "recorder/digest.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "schema/error.h"

namespace airr {
namespace {

void require(int ok) {
  if (ok != 1) throw Error(ExitCode::kFailure, "OpenSSL cannot compute SHA-256");
}

// Without what OpenSSL sets up for names, texts and configuration files, which takes 0.4 ms.
void initializeOnce() {
  static const bool initialized =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                              OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
                          nullptr) == 1;
  require(initialized);
}

DigestContext newContext() {
  initializeOnce();
  DigestContext context(EVP_MD_CTX_new());
  require(context != nullptr);
  require(EVP_DigestInit_ex2(context.get(), EVP_sha256(), nullptr));
  return context;
}

void finishInto(EVP_MD_CTX* context, Digest& digest) {
  require(EVP_DigestFinal_ex(context, digest.data(), nullptr));
}

}  // namespace

Sha256::Sha256() : context_(newContext()) {}

void Sha256::update(Bytes bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Digest Sha256::finish() {
  Digest digest;
  finishInto(context_.get(), digest);
  require(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr));
  return digest;
}

Digest sha256(Bytes bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Hmac::Hmac(std::span<const uint8_t, 32> key)
    : inner_(newContext()), outer_(newContext()), scratch_(newContext()) {
  std::array<uint8_t, 64> pad;
  auto absorb = [&](EVP_MD_CTX* context, uint8_t filler) {
    pad.fill(filler);
    for (size_t i = 0; i < key.size(); ++i) pad[i] ^= key[i];
    require(EVP_DigestUpdate(context, pad.data(), pad.size()));
  };
  absorb(inner_.get(), 0x36);
  absorb(outer_.get(), 0x5c);
  OPENSSL_cleanse(pad.data(), pad.size());
}

Digest Hmac::tag(std::initializer_list<Bytes> parts) {
  Digest digest;
  require(EVP_MD_CTX_copy_ex(scratch_.get(), inner_.get()));
  for (Bytes part : parts) {
    require(EVP_DigestUpdate(scratch_.get(), part.data(), part.size()));
  }
  finishInto(scratch_.get(), digest);
  require(EVP_MD_CTX_copy_ex(scratch_.get(), outer_.get()));
  require(EVP_DigestUpdate(scratch_.get(), digest.data(), digest.size()));
  finishInto(scratch_.get(), digest);
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
