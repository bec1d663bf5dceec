#include "recorder/encryption.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>

#include "recorder/files.h"
#include "recorder/system.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kMaxPem = 16 << 10;
constexpr size_t kNonce = 12;

void require(bool ok) {
  if (!ok) throw Error(ExitCode::kFailure, "OpenSSL cannot compute X25519 or AES-256-GCM");
}

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, BioFree>;

std::shared_ptr<EVP_PKEY> shared(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

Recipient publicOf(const EVP_PKEY* key) {
  Recipient recipient;
  size_t size = recipient.size();
  require(EVP_PKEY_get_raw_public_key(key, recipient.data(), &size) == 1 &&
          size == recipient.size());
  return recipient;
}

// What the file's PEM holds, read by `parse`; null if that is not an X25519 key.
template <class Parse>
std::shared_ptr<EVP_PKEY> readPem(const std::string& path, Parse parse) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) throw systemError("cannot open the key '" + path + "'");
  std::vector<uint8_t> text(kMaxPem);
  const ssize_t n = readWhole(file.get(), text, 0);
  if (n < 0) throw systemError("cannot read the key '" + path + "'");
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(n)));
  require(bio != nullptr);
  auto key = shared(parse(bio.get()));
  OPENSSL_cleanse(text.data(), text.size());
  if (key && EVP_PKEY_is_a(key.get(), "X25519") != 1) key.reset();
  return key;
}

template <class Write>
std::string pem(Write write) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  require(bio && write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::shared_ptr<EVP_PKEY> keyOf(const Recipient& recipient) {
  auto key = shared(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, recipient.data(), recipient.size()));
  require(key != nullptr);
  return key;
}

std::string_view textOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The key that one content key is sealed with, for one recipient.
Digest wrappingKey(const Digest& agreed, const SealedKey& key, const KeyUse& use) {
  std::string info(use.purpose);
  info.append(textOf(key.ephemeral)).append(textOf(key.recipient));
  return hkdf(agreed, use.sessionId, info);
}

std::array<uint8_t, kNonce> nonceOf(uint64_t frame) {
  std::array<uint8_t, kNonce> nonce{};
  std::memcpy(nonce.data(), &frame, sizeof frame);
  return nonce;
}

}  // namespace

// --- Keys ----------------------------------------------------------------------------------------

Recipient loadRecipient(const std::string& path) {
  const auto key =
      readPem(path, [](BIO* bio) { return PEM_read_bio_PUBKEY(bio, nullptr, nullptr, nullptr); });
  if (!key) {
    throw Error(ExitCode::kFailure, "'" + path + "' is not an X25519 public key in PEM",
                "whoever is to read writes one with 'airr key new-identity' or 'airr key "
                "export-recipient'");
  }
  return publicOf(key.get());
}

std::string recipientToPem(const Recipient& recipient) {
  return pem([key = keyOf(recipient)](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key.get()); });
}

Identity::Identity(std::shared_ptr<EVP_PKEY> key)
    : key_(std::move(key)), recipient_(publicOf(key_.get())) {}

Identity::Identity(std::span<const uint8_t, 32> secret)
    : key_(shared(
          EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()))) {
  require(key_ != nullptr);
  recipient_ = publicOf(key_.get());
}

Identity Identity::generate() { return Identity(ContentKey::random().bytes); }

Identity Identity::load(const std::string& path) {
  auto key = readPem(
      path, [](BIO* bio) { return PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr); });
  if (!key) {
    throw Error(ExitCode::kFailure, "'" + path + "' is not an X25519 private key in PEM",
                "'airr key new-identity' makes one");
  }
  return Identity(std::move(key));
}

std::string Identity::toPem() const {
  return pem([this](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::optional<Digest> Identity::agree(const Recipient& other) const {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new(key_.get(), nullptr), EVP_PKEY_CTX_free);
  require(context && EVP_PKEY_derive_init(context.get()) == 1);
  const auto peer = keyOf(other);
  Digest agreed;
  size_t size = agreed.size();
  // Fails for points of small order, whose result would be zero (RFC 7748, 6.1).
  if (EVP_PKEY_derive_set_peer(context.get(), peer.get()) != 1 ||
      EVP_PKEY_derive(context.get(), agreed.data(), &size) != 1 || size != agreed.size()) {
    return std::nullopt;
  }
  return agreed;
}

ContentKey::~ContentKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

ContentKey ContentKey::random() {
  ContentKey key;
  System::host().randomize(key.bytes);
  return key;
}

SealedKey sealTo(const Recipient& recipient, const ContentKey& key, const KeyUse& use) {
  const Identity ephemeral = Identity::generate();
  const auto agreed = ephemeral.agree(recipient);
  if (!agreed) {
    throw Error(ExitCode::kFailure,
                "nothing can be encrypted to the key " + hex(recipient) + ": it is a weak one");
  }
  SealedKey sealed{recipient, ephemeral.recipient(), {}};
  FrameCipher cipher({wrappingKey(*agreed, sealed, use)}, use);
  std::ranges::copy(cipher.seal(0, key.bytes), sealed.sealed.begin());
  return sealed;
}

std::vector<SealedKey> sealToAll(std::span<const Recipient> recipients, const ContentKey& key,
                                 const KeyUse& use) {
  if (recipients.size() > kMaxRecipients) {
    throw Error(ExitCode::kFailure, "a trace can be encrypted to " +
                                        std::to_string(kMaxRecipients) + " recipients, not " +
                                        std::to_string(recipients.size()));
  }
  std::vector<SealedKey> sealed;
  for (const Recipient& recipient : recipients) sealed.push_back(sealTo(recipient, key, use));
  return sealed;
}

void writeSealedKeys(std::span<const SealedKey> from, SealedKeyList::Builder to) {
  for (unsigned i = 0; i < from.size(); ++i) {
    to[i].setRecipient({from[i].recipient.data(), from[i].recipient.size()});
    to[i].setEphemeral({from[i].ephemeral.data(), from[i].ephemeral.size()});
    to[i].setSealed({from[i].sealed.data(), from[i].sealed.size()});
  }
}

std::optional<std::vector<SealedKey>> readSealedKeys(SealedKeyList::Reader from) {
  if (from.size() > kMaxRecipients) return std::nullopt;
  std::vector<SealedKey> keys;
  auto take = [](capnp::Data::Reader data, auto& to) {
    if (data.size() != to.size()) return false;
    std::ranges::copy(data, to.begin());
    return true;
  };
  for (auto one : from) {
    SealedKey& key = keys.emplace_back();
    if (!take(one.getRecipient(), key.recipient) || !take(one.getEphemeral(), key.ephemeral) ||
        !take(one.getSealed(), key.sealed)) {
      return std::nullopt;
    }
  }
  return keys;
}

std::optional<ContentKey> openKey(std::span<const SealedKey> sealed,
                                  std::span<const Identity> identities, const KeyUse& use) {
  for (const SealedKey& one : sealed) {
    for (const Identity& identity : identities) {
      if (identity.recipient() != one.recipient) continue;
      const auto agreed = identity.agree(one.ephemeral);
      if (!agreed) continue;
      FrameCipher cipher({wrappingKey(*agreed, one, use)}, use);
      const auto bytes = cipher.open(0, one.sealed);
      if (!bytes) continue;
      ContentKey key;
      std::ranges::copy(*bytes, key.bytes.begin());
      return key;
    }
  }
  return std::nullopt;
}

// --- What a content key gives --------------------------------------------------------------------

FrameCipher::FrameCipher(const ContentKey& key, const KeyUse& use)
    : encrypt_(EVP_CIPHER_CTX_new()), decrypt_(EVP_CIPHER_CTX_new()) {
  Digest derived = hkdf(key.bytes, use.sessionId, "airr frames v3");
  require(encrypt_ && decrypt_ &&
          EVP_EncryptInit_ex2(encrypt_.get(), EVP_aes_256_gcm(), derived.data(), nullptr,
                              nullptr) == 1 &&
          EVP_DecryptInit_ex2(decrypt_.get(), EVP_aes_256_gcm(), derived.data(), nullptr,
                              nullptr) == 1);
  OPENSSL_cleanse(derived.data(), derived.size());
}

Bytes FrameCipher::seal(uint64_t frame, Bytes content) {
  const auto nonce = nonceOf(frame);
  const size_t size = content.size() + kTag;
  if (buffer_.size() < size) buffer_.resize(size);
  int out = 0, rest = 0;
  require(EVP_EncryptInit_ex2(encrypt_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1 &&
          EVP_EncryptUpdate(encrypt_.get(), buffer_.data(), &out, content.data(),
                            static_cast<int>(content.size())) == 1 &&
          EVP_EncryptFinal_ex(encrypt_.get(), buffer_.data() + out, &rest) == 1 &&
          EVP_CIPHER_CTX_ctrl(encrypt_.get(), EVP_CTRL_AEAD_GET_TAG, kTag,
                              buffer_.data() + content.size()) == 1);
  return {buffer_.data(), size};
}

std::optional<Bytes> FrameCipher::open(uint64_t frame, Bytes sealed) {
  if (sealed.size() < kTag) return std::nullopt;
  const auto nonce = nonceOf(frame);
  const Bytes content = sealed.first(sealed.size() - kTag);
  std::array<uint8_t, kTag> tag;
  std::ranges::copy(sealed.last(kTag), tag.begin());
  if (buffer_.size() < sealed.size()) buffer_.resize(sealed.size());
  int out = 0, rest = 0;
  require(EVP_DecryptInit_ex2(decrypt_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1 &&
          EVP_DecryptUpdate(decrypt_.get(), buffer_.data(), &out, content.data(),
                            static_cast<int>(content.size())) == 1 &&
          EVP_CIPHER_CTX_ctrl(decrypt_.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) == 1);
  if (EVP_DecryptFinal_ex(decrypt_.get(), buffer_.data() + out, &rest) != 1) return std::nullopt;
  return Bytes{buffer_.data(), content.size()};
}

ContentDigests::ContentDigests(const ContentKey& key, const KeyUse& use)
    : hmac_(hkdf(key.bytes, use.sessionId, "airr digests v3")) {}

Digest ContentDigests::blob(const Digest& sha256) {
  constexpr std::array<uint8_t, 5> kBlob = {'b', 'l', 'o', 'b', 0};
  return hmac_.tag({kBlob, sha256});
}

Digest ContentDigests::salt(uint64_t firstEvent) {
  constexpr std::array<uint8_t, 5> kLeaf = {'l', 'e', 'a', 'f', 0};
  std::array<uint8_t, sizeof firstEvent> number;
  std::memcpy(number.data(), &firstEvent, sizeof firstEvent);
  return hmac_.tag({kLeaf, number});
}

}  // namespace airr
