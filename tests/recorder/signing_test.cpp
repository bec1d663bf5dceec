#include "recorder/signing.h"

#include <algorithm>
#include <string>

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

ByteVector bytesOf(const std::string& hexadecimal) {
  ByteVector bytes;
  for (size_t i = 0; i < hexadecimal.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hexadecimal.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// RFC 8032, 7.1, TEST 2.
TEST(Signing, IsEd25519) {
  Seed seed;
  std::ranges::copy(bytesOf("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
                    seed.begin());
  const SigningKey key(seed);
  EXPECT_EQ(hex(key.publicKey()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Signature signature = key.sign(ByteVector{0x72});
  EXPECT_EQ(hex(signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(verifies(key.publicKey(), ByteVector{0x72}, signature));
  EXPECT_FALSE(verifies(key.publicKey(), ByteVector{0x73}, signature));
  for (size_t bit = 0; bit < 512; ++bit) {
    Signature altered = signature;
    altered[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(verifies(key.publicKey(), ByteVector{0x72}, altered)) << bit;
  }
}

TEST(Signing, PublicKeysInPem) {
  const PublicKey key = SigningKey(Seed{7}).publicKey();
  const std::string pem = toPem(key);
  EXPECT_EQ(publicKeyFromPem(pem), key);
  EXPECT_EQ(publicKeyFromPem("a comment\n" + pem), key);
  std::string crlf;
  for (char c : pem) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(publicKeyFromPem(crlf), key);
  for (size_t size = 0; size + 1 < pem.size(); ++size) {
    EXPECT_FALSE(publicKeyFromPem(pem.substr(0, size))) << size;
  }
  EXPECT_FALSE(publicKeyFromPem(""));
  EXPECT_FALSE(publicKeyFromPem(std::string(10'000, 'A')));
  // Another algorithm's (X25519) object identifier.
  std::string other = pem;
  other[other.find("K2Vw") + 3] = 'u';
  EXPECT_FALSE(publicKeyFromPem(other));
}

}  // namespace
}  // namespace airr
