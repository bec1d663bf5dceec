// Encryption of what a trace holds, to those who may read it (docs/trace-format.md, "Encryption"):
// a random content key, sealed to the X25519 key of each recipient (RFC 7748), and the ciphers and
// digests that it gives.
//
// Ownership: value types; secrets are erased from memory with them. An Identity may be copied.
// Threads: each object one at a time.
// Failure: Error (kFailure) if OpenSSL lacks an algorithm or memory, or a file holds no such key;
// what cannot be opened is a return value.
#pragma once

#include <openssl/evp.h>
#include <schema/encryption.capnp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "recorder/digest.h"

namespace airr {

// The X25519 public key of somebody who may read.
using Recipient = std::array<uint8_t, 32>;

// Reads one from a file in PEM (RFC 8410), as `openssl pkey -pubout` writes it.
Recipient loadRecipient(const std::string& path);
std::string recipientToPem(const Recipient& recipient);

// Who can read what was encrypted to recipient().
class Identity {
 public:
  explicit Identity(std::span<const uint8_t, 32> secret);
  static Identity generate();
  // From a file in PEM (PKCS #8), as toPem() and `openssl genpkey -algorithm X25519` write it. One
  // with a passphrase is asked for it on the terminal.
  static Identity load(const std::string& path);

  const Recipient& recipient() const { return recipient_; }
  std::string toPem() const;
  // X25519 of the two keys; nothing if the other is none that may be used.
  std::optional<Digest> agree(const Recipient& other) const;

 private:
  explicit Identity(std::shared_ptr<EVP_PKEY> key);

  std::shared_ptr<EVP_PKEY> key_;  // OpenSSL erases the secret when it frees it
  Recipient recipient_{};
};

struct ContentKey {
  std::array<uint8_t, 32> bytes{};
  ~ContentKey();
  static ContentKey random();
};

struct SealedKey {
  static constexpr size_t kSize = 48;
  Recipient recipient{}, ephemeral{};
  std::array<uint8_t, kSize> sealed{};
};

constexpr size_t kMaxRecipients = 64;

// What a content key is for: a key for one purpose or session does not open anything of another.
struct KeyUse {
  std::string_view purpose;
  Bytes sessionId;
};
constexpr std::string_view kTraceKey = "airr trace key v3";
constexpr std::string_view kRedactionKey = "airr redaction key v3";

SealedKey sealTo(const Recipient& recipient, const ContentKey& key, const KeyUse& use);
// To each; kMaxRecipients at most.
std::vector<SealedKey> sealToAll(std::span<const Recipient> recipients, const ContentKey& key,
                                 const KeyUse& use);
// By the first of the identities that is one of the recipients; nothing if none is, or what is
// sealed was altered.
std::optional<ContentKey> openKey(std::span<const SealedKey> sealed,
                                  std::span<const Identity> identities, const KeyUse& use);

using SealedKeyList = capnp::List<schema::SealedKey>;
void writeSealedKeys(std::span<const SealedKey> from, SealedKeyList::Builder to);
// Nothing: they are too many, or of wrong lengths.
std::optional<std::vector<SealedKey>> readSealedKeys(SealedKeyList::Reader from);

// AES-256-GCM with a key of its own, derived from the content key. The number of a frame is its
// nonce: seal no two contents with one number.
class FrameCipher {
 public:
  static constexpr size_t kTag = 16;  // bytes that a content becomes longer by
  static constexpr uint64_t kFileHeader = 0;  // in place of a frame's number

  FrameCipher(const ContentKey& key, const KeyUse& use);

  // Valid until the next call.
  Bytes seal(uint64_t frame, Bytes content);
  // Nothing: it is not what was sealed with this number. Valid until the next call.
  std::optional<Bytes> open(uint64_t frame, Bytes sealed);

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> encrypt_, decrypt_;
  std::vector<uint8_t> buffer_;
};

// Digests of contents that tell nothing to who has not the content key, though they could guess the
// content.
class ContentDigests {
 public:
  ContentDigests(const ContentKey& key, const KeyUse& use);
  // What stands for a blob's SHA-256.
  Digest blob(const Digest& sha256);
  // What is hashed in front of a leaf's events, the first of which has this number.
  Digest salt(uint64_t firstEvent);

 private:
  Hmac hmac_;
};

}  // namespace airr
