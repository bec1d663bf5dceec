#include "recorder/epoch.h"

#include <openssl/crypto.h>

#include <string_view>

namespace airr {

EpochKey& EpochKey::operator=(const EpochKey& other) {
  key_ = other.key_;
  hmac_ = Hmac(key_);
  return *this;
}

EpochKey::~EpochKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

void EpochKey::advance() {
  constexpr std::string_view kNext = "airr next epoch v2";
  Digest next = hmac_.tag({{reinterpret_cast<const uint8_t*>(kNext.data()), kNext.size()}});
  key_ = next;
  hmac_ = Hmac(key_);
  OPENSSL_cleanse(next.data(), next.size());
}

std::vector<uint64_t> certifiedBy(uint64_t epoch) {
  std::vector<uint64_t> epochs = {epoch + 1};
  for (uint64_t step : {16, 256}) {
    if (epoch % step == 0) epochs.push_back(epoch + step);
  }
  return epochs;
}

uint64_t certifierOf(uint64_t epoch) {
  for (uint64_t step : {256, 16}) {
    if (epoch % step == 0) return epoch - step;
  }
  return epoch - 1;
}

std::vector<PublicKey> EpochSigners::certify(const std::vector<uint64_t>& epochs) {
  std::vector<PublicKey> certified;
  for (uint64_t epoch : epochs) {
    std::unique_ptr<SigningKey>& key = keys_[epoch];
    if (!key) {
      Seed seed;
      system_.randomize(seed);
      key = std::make_unique<SigningKey>(seed);
      OPENSSL_cleanse(seed.data(), seed.size());
    }
    certified.push_back(key->publicKey());
  }
  return certified;
}

Signature EpochSigners::sign(uint64_t epoch, Bytes message) {
  const Signature signature = keys_.at(epoch)->sign(message);
  keys_.erase(epoch);
  return signature;
}

}  // namespace airr
