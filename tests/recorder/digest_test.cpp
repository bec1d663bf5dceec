#include "recorder/digest.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace airr {
namespace {

Bytes bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// FIPS 180-4, appendix B of its predecessor.
TEST(Sha256, KnownAnswerAndReuse) {
  Sha256 hash;
  for (int i = 0; i < 2; ++i) {
    hash.update(bytesOf("a"));
    hash.update(bytesOf("bc"));
    EXPECT_EQ(hex(hash.finish()),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// RFC 4231, test cases 1 and 2; a key shorter than the block is padded with zeros.
TEST(Hmac, KnownAnswers) {
  std::array<uint8_t, 32> key{};
  std::fill_n(key.begin(), 20, 0x0b);
  Hmac first(key);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(hex(first.tag({bytesOf("Hi"), bytesOf(" "), bytesOf("There")})),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  }
  key = {'J', 'e', 'f', 'e'};
  EXPECT_EQ(hex(Hmac(key).tag({bytesOf("what do ya want for nothing?")})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace airr
