#include "recorder/signing.h"

#include <algorithm>
#include <vector>

#include "schema/error.h"

namespace airr {
namespace {

// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } up to the key itself (RFC 8410, 4).
constexpr std::array<uint8_t, 12> kDerPrefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kEnd = "-----END PUBLIC KEY-----";
constexpr size_t kMaxPem = 4096;

void require(bool ok) {
  if (!ok) throw Error(ExitCode::kFailure, "OpenSSL cannot compute Ed25519 signatures");
}

struct DigestContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, DigestContextFree>;

DigestContext newContext() {
  DigestContext context(EVP_MD_CTX_new());
  require(context != nullptr);
  return context;
}

}  // namespace

SigningKey::SigningKey(const Seed& seed)
    : key_(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size())) {
  size_t size = public_.size();
  require(key_ && EVP_PKEY_get_raw_public_key(key_.get(), public_.data(), &size) == 1 &&
          size == public_.size());
}

Signature SigningKey::sign(Bytes message) const {
  const DigestContext context = newContext();
  Signature signature;
  size_t size = signature.size();
  require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
          EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) ==
              1 &&
          size == signature.size());
  return signature;
}

bool verifies(const PublicKey& key, Bytes message, const Signature& signature) {
  const EvpKey loaded(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  if (!loaded) return false;
  const DigestContext context = newContext();
  require(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, loaded.get()) == 1);
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

std::string fingerprint(const PublicKey& key) { return hex(Bytes(sha256(key)).first(8)); }

std::string toPem(const PublicKey& key) {
  std::array<uint8_t, kDerPrefix.size() + sizeof(PublicKey)> der;
  std::copy(key.begin(), key.end(), std::copy(kDerPrefix.begin(), kDerPrefix.end(), der.begin()));
  std::array<uint8_t, 64> text;
  const int length = EVP_EncodeBlock(text.data(), der.data(), static_cast<int>(der.size()));
  return std::string(kBegin) + '\n' +
         std::string(reinterpret_cast<char*>(text.data()), static_cast<size_t>(length)) + '\n' +
         std::string(kEnd) + '\n';
}

std::optional<PublicKey> publicKeyFromPem(std::string_view text) {
  if (text.size() > kMaxPem) return std::nullopt;
  const size_t begin = text.find(kBegin);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t from = begin + kBegin.size();
  const size_t end = text.find(kEnd, from);
  if (end == std::string_view::npos) return std::nullopt;
  std::string encoded;
  for (char c : text.substr(from, end - from)) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') encoded += c;
  }
  // 44 bytes: 58 2/3 characters and one of padding.
  if (encoded.size() != 60) return std::nullopt;
  std::array<uint8_t, 45> der;
  const int size = EVP_DecodeBlock(der.data(), reinterpret_cast<const uint8_t*>(encoded.data()),
                                   static_cast<int>(encoded.size()));
  if (size != static_cast<int>(der.size()) ||
      !std::equal(kDerPrefix.begin(), kDerPrefix.end(), der.begin())) {
    return std::nullopt;
  }
  PublicKey key;
  std::copy_n(der.begin() + kDerPrefix.size(), key.size(), key.begin());
  if (toPem(key).find(encoded) == std::string::npos) return std::nullopt;  // one form only
  return key;
}

}  // namespace airr
