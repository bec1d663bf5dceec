// What a key file holds: the root key as it is, or sealed by a passphrase or by this host's TPM.
//
// Ownership: value types; a RootKey erases itself. Any thread, but for the passphrase, which is
// read from the terminal. Failure: encodings that are none are return values; sealing and unsealing
// throw Error (kFailure).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/signing.h"

namespace airr {

struct RootKey {
  std::array<uint8_t, 32> bytes{};
  ~RootKey();
};
// The first bytes of the root key's SHA-256: says which key, not what it is.
using KeyId = std::array<uint8_t, 8>;
KeyId idOf(const RootKey& root);

enum class Protection : uint32_t { kNone = 0, kPassphrase = 1, kTpm = 2 };
const char* toString(Protection protection);

// Seals and unseals a root key. `context` is authenticated with it, where that is possible.
class KeyProtector {
 public:
  virtual ~KeyProtector() = default;
  virtual std::vector<uint8_t> seal(const RootKey& root, Bytes context) = 0;
  virtual RootKey unseal(Bytes sealed, Bytes context) = 0;
  // Not for kNone.
  static std::unique_ptr<KeyProtector> of(Protection protection);
};

// A file of 32 bytes is the root key itself. Any other has, little-endian:
//   0  magic[8]  89 41 49 52 52 4b 0d 0a
//   8  protection[4]    12  length of the sealed key[4]
//  16  key id[8]    24  public key[32]    56  the sealed key
struct KeyFile {
  static constexpr size_t kSealedAt = 56;
  static constexpr size_t kMaxSealed = 4096;
  static constexpr size_t kMaxSize = kSealedAt + kMaxSealed;

  Protection protection = Protection::kNone;
  KeyId id{};
  PublicKey publicKey{};  // kNone: not set
  RootKey root;           // kNone only
  std::vector<uint8_t> sealed;

  std::vector<uint8_t> encode() const;
  // Nothing if it is no key file.
  static std::optional<KeyFile> decode(Bytes file);
  // What is authenticated with the sealed key: all that comes before it, with a length of 0.
  std::vector<uint8_t> context() const { return start(0); }

 private:
  std::vector<uint8_t> start(uint32_t length) const;
};

// --- Passphrases (RFC 7914, AES-256-GCM)
// -----------------------------------------------------------

// From the file that $AIRR_PASSPHRASE_FILE names (its first line), else from the terminal; `twice`
// for a new one.
std::string readPassphrase(bool twice);
std::vector<uint8_t> sealByPassphrase(const RootKey& root, Bytes context,
                                      const std::string& passphrase);
// Nothing if the passphrase is another, or the sealed key was altered.
std::optional<RootKey> unsealByPassphrase(Bytes sealed, Bytes context,
                                          const std::string& passphrase);

}  // namespace airr
