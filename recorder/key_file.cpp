#include "recorder/key_file.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "recorder/key_tpm.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {0x89, 'A', 'I', 'R', 'R', 'K', '\r', '\n'};

class PassphraseProtector : public KeyProtector {
 public:
  std::vector<uint8_t> seal(const RootKey& root, Bytes context) override {
    return sealByPassphrase(root, context, readPassphrase(true));
  }
  RootKey unseal(Bytes sealed, Bytes context) override {
    if (auto root = unsealByPassphrase(sealed, context, readPassphrase(false))) return *root;
    throw Error(ExitCode::kFailure, "the passphrase does not open the key",
                "try again; without the passphrase the key is lost");
  }
};

}  // namespace

RootKey::~RootKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

KeyId idOf(const RootKey& root) {
  const Digest digest = sha256(root.bytes);
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

const char* toString(Protection protection) {
  switch (protection) {
    case Protection::kNone:
      return "none";
    case Protection::kPassphrase:
      return "passphrase";
    case Protection::kTpm:
      return "tpm";
  }
  return "unknown";
}

std::unique_ptr<KeyProtector> KeyProtector::of(Protection protection) {
  if (protection == Protection::kTpm) return newTpmProtector();
  return std::make_unique<PassphraseProtector>();
}

std::vector<uint8_t> KeyFile::start(uint32_t length) const {
  std::vector<uint8_t> out(kMagic.begin(), kMagic.end());
  auto put = [&out](const auto& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
  };
  put(protection);
  put(length);
  put(id);
  put(publicKey);
  return out;
}

std::vector<uint8_t> KeyFile::encode() const {
  if (protection == Protection::kNone) return {root.bytes.begin(), root.bytes.end()};
  std::vector<uint8_t> out = start(static_cast<uint32_t>(sealed.size()));
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

std::optional<KeyFile> KeyFile::decode(Bytes file) {
  KeyFile key;
  if (file.size() == key.root.bytes.size()) {
    std::ranges::copy(file, key.root.bytes.begin());
    key.id = idOf(key.root);
    return key;
  }
  if (file.size() < kSealedAt || file.size() > kMaxSize ||
      !std::equal(kMagic.begin(), kMagic.end(), file.begin())) {
    return std::nullopt;
  }
  uint32_t length;
  std::memcpy(&key.protection, file.data() + 8, sizeof key.protection);
  std::memcpy(&length, file.data() + 12, sizeof length);
  if (key.protection != Protection::kPassphrase && key.protection != Protection::kTpm) {
    return std::nullopt;
  }
  if (length != file.size() - kSealedAt) return std::nullopt;
  std::copy_n(file.begin() + 16, key.id.size(), key.id.begin());
  std::copy_n(file.begin() + 24, key.publicKey.size(), key.publicKey.begin());
  key.sealed.assign(file.begin() + kSealedAt, file.end());
  return key;
}

}  // namespace airr
