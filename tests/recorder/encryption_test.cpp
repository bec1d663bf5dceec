#include "recorder/encryption.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

const ByteVector kSession(16, 5);
const KeyUse kUse{kTraceKey, kSession};

ByteVector copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

using KeyFiles = TraceTest;

TEST_F(KeyFiles, BothHalvesGoThroughPem) {
  const Identity identity = Identity::generate();
  const std::string secret = identity.toPem(), open = recipientToPem(identity.recipient());
  writeFile(path("secret.pem"), {secret.begin(), secret.end()});
  writeFile(path("open.pem"), {open.begin(), open.end()});
  EXPECT_EQ(Identity::load(path("secret.pem")).recipient(), identity.recipient());
  EXPECT_EQ(loadRecipient(path("open.pem")), identity.recipient());
  EXPECT_THROW(Identity::load(path("open.pem")), Error);
  EXPECT_THROW(loadRecipient(path("secret.pem")), Error);
  EXPECT_THROW(loadRecipient(path("absent")), Error);
  const std::string signing = toPem(SigningKey(Seed{1}).publicKey());  // another algorithm
  writeFile(path("signing.pem"), {signing.begin(), signing.end()});
  EXPECT_THROW(loadRecipient(path("signing.pem")), Error);
}

TEST_F(KeyFiles, KeyStoreHasItsOwnIdentity) {
  EXPECT_EQ(keys_.identity().recipient(), KeyStore::load(path("key"), false).identity().recipient());
  EXPECT_NE(keys_.identity().recipient(), keys_.publicKey());
}

std::array<uint8_t, 32> fromHex(const std::string& text) {
  std::array<uint8_t, 32> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

// RFC 7748, 6.1.
TEST(Agreement, IsThatOfTheStandard) {
  const Identity bob(fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(hex(bob.recipient()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto agreed =
      bob.agree(fromHex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  ASSERT_TRUE(agreed);
  EXPECT_EQ(hex(*agreed), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_FALSE(bob.agree(Recipient{})) << "a point of small order";
}

TEST(SealedKeys, OpenForTheirRecipientsAlone) {
  const Identity one = Identity::generate(), other = Identity::generate(), third = Identity::generate();
  const ContentKey key = ContentKey::random();
  const std::vector<Recipient> recipients = {one.recipient(), other.recipient()};
  const std::vector<SealedKey> sealed = sealToAll(recipients, key, kUse);
  for (const Identity& identity : {one, other}) {
    const auto opened = openKey(sealed, {&identity, 1}, kUse);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->bytes, key.bytes);
  }
  EXPECT_FALSE(openKey(sealed, {&third, 1}, kUse));
  EXPECT_FALSE(openKey(sealed, {}, kUse));
  EXPECT_FALSE(openKey(sealed, {&one, 1}, {kRedactionKey, kSession})) << "for another use";
  EXPECT_FALSE(openKey(sealed, {&one, 1}, {kTraceKey, ByteVector(16, 6)})) << "of another session";
  for (size_t at = 0; at < SealedKey::kSize; ++at) {
    SealedKey altered = sealed[0];
    altered.sealed[at] ^= 1;
    EXPECT_FALSE(openKey({&altered, 1}, {&one, 1}, kUse)) << at;
  }
  EXPECT_THROW(sealTo(Recipient{}, key, kUse), Error);
  EXPECT_THROW(sealToAll(std::vector<Recipient>(kMaxRecipients + 1, one.recipient()), key, kUse),
               Error);
}

TEST(Ciphers, OpenWhatTheySealedAndNothingElse) {
  const ContentKey key = ContentKey::random();
  FrameCipher cipher(key, kUse), again(key, kUse), other(ContentKey::random(), kUse);
  for (size_t size : {0, 1, 15, 16, 17, 70'000}) {
    const ByteVector content = noise(size, 1);
    const ByteVector sealed = copy(cipher.seal(7, content));
    EXPECT_EQ(sealed.size(), size + FrameCipher::kTag);
    const auto opened = again.open(7, sealed);
    ASSERT_TRUE(opened);
    EXPECT_EQ(copy(*opened), content);
    EXPECT_FALSE(again.open(8, sealed)) << "in another frame's place";
    EXPECT_FALSE(other.open(7, sealed));
    ByteVector altered = sealed;
    altered[size / 2] ^= 4;
    EXPECT_FALSE(again.open(7, altered));
    altered = sealed;
    altered.pop_back();
    EXPECT_FALSE(again.open(7, altered));
  }
}

TEST(Ciphers, DigestsDependOnTheKey) {
  const ContentKey key = ContentKey::random();
  ContentDigests digests(key, kUse), again(key, kUse), other(ContentKey::random(), kUse);
  const Digest content = sha256(noise(10, 1));
  EXPECT_EQ(digests.blob(content), again.blob(content));
  EXPECT_NE(digests.blob(content), other.blob(content));
  EXPECT_NE(digests.salt(1), digests.salt(2));
}

}  // namespace
}  // namespace airr
