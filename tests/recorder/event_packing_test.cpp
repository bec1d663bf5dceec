#include "recorder/event_packing.h"

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

using Words = std::vector<uint64_t>;

Bytes bytesOf(const Words& words) {
  return {reinterpret_cast<const uint8_t*>(words.data()), words.size() * sizeof(uint64_t)};
}

ByteVector packed(EventPacker& packer, const Words& words) {
  const Bytes bytes = packer.pack(bytesOf(words));
  return {bytes.begin(), bytes.end()};
}

// Nothing: it is refused.
std::optional<Words> unpacked(EventUnpacker& unpacker, Bytes bytes, size_t words) {
  Words result(words);
  const std::span<uint8_t> raw(reinterpret_cast<uint8_t*>(result.data()), words * sizeof(uint64_t));
  if (!unpacker.unpack(bytes, raw)) return std::nullopt;
  return result;
}
std::optional<Words> unpacked(Bytes bytes, size_t words) {
  EventUnpacker unpacker;
  return unpacked(unpacker, bytes, words);
}

// The segment table of a message of so many words.
uint64_t table(uint64_t words) { return (words - 1) << 32; }

TEST(EventPacker, HasTheDocumentedLayout) {
  EventPacker packer;
  EXPECT_EQ(packed(packer, {table(4), 0, 0x0000000a00000001, 0x1234}),
            (ByteVector{0, 4,                 // slot, words
                        0x10, 3,              // byte 4 of the segment table
                        0, 0,                 // one word as it was
                        0x11, 1, 0x0a,        // bytes 0 and 4
                        0x03, 0x34, 0x12}));  // bytes 0 and 1
  EXPECT_EQ(packed(packer, {table(5), 0, 0x0000000a00000001, 0x1235, 0x0807060504030201}),
            (ByteVector{0, 5, 0x10, 4, 0, 1, 0x01, 0x35, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(EventPacker, KeepsOneReferenceForEachKindOfCall) {
  auto call = [](uint64_t number, uint64_t time) {
    return Words{table(8), 3,      uint64_t{1} << 32 | 7,      time, 0,
                 4,        number, 0x1111111111110000 | number};
  };
  EventPacker packer;
  packed(packer, call(3, 100));
  packed(packer, call(4, 100));
  // All that is new of either: when it was.
  const ByteVector third = packed(packer, call(3, 101)), fourth = packed(packer, call(4, 101));
  EXPECT_EQ(ByteVector(third.begin() + 1, third.end()), (ByteVector{8, 0, 2, 0x01, 101, 0, 3}));
  EXPECT_EQ(ByteVector(fourth.begin() + 1, fourth.end()), (ByteVector{8, 0, 7}));
  EXPECT_NE(third[0], fourth[0]);
  packer.reset();
  EXPECT_GT(packed(packer, call(4, 101)).size(), 16u);
}

TEST(EventPacker, TextsStayInOnePiece) {
  Words message(100, 0x2f72737520736177);
  message[0] = table(100);
  message[1] = 0;
  message[90] = 0;  // where there are no references: data, not interrupted by one zero
  EventPacker packer;
  const ByteVector bytes = packed(packer, message);
  EXPECT_EQ(bytes.size(), 2 + 2 + 2 + 2 + 98 * sizeof(uint64_t));
}

Words manyMessages(unsigned seed) {
  Words all;
  const ByteVector random = noise(1 << 16, seed);
  for (size_t at = 0; at + 8 < random.size(); at += 8) {
    const size_t words = 2 + random[at] % 7 * random[at + 1] % 300;
    Words message(words);
    message[0] = table(words);
    for (size_t i = 1; i < words; ++i) {
      const uint8_t kind = random[(at + 3 * i) % random.size()];
      message[i] = kind < 100   ? 0
                   : kind < 180 ? uint64_t{random[(at + i) % random.size()]} << kind % 64
                                : 0x9e3779b97f4a7c15 * (kind % 4 == 0 ? i : at + i);
    }
    all.insert(all.end(), message.begin(), message.end());
    if (all.size() > 200'000) break;
  }
  return all;
}

TEST(EventUnpacker, GivesBackEachFrame) {
  EventPacker packer;
  EventUnpacker unpacker;
  for (unsigned seed = 1; seed < 6; ++seed) {
    const Words words = manyMessages(seed);
    const ByteVector bytes = packed(packer, words);
    EXPECT_LE(bytes.size(), maxPacked(words.size() * sizeof(uint64_t)));
    ASSERT_EQ(unpacked(unpacker, bytes, words.size()), words) << seed;
  }
}

TEST(EventPacker, TakesWhatAreNoMessages) {
  for (const Words& words : {Words{UINT64_MAX, UINT64_MAX}, Words{0xffffffff, 1, 2, 3},
                             Words{UINT64_MAX}, Words{table(1), table(1)}, Words{}}) {
    EventPacker packer;
    const ByteVector bytes = packed(packer, words);
    EXPECT_EQ(unpacked(bytes, words.size()), words);
  }
}

TEST(EventPacker, WorstWordsStayBelowTheBound) {
  Words words;
  for (int i = 0; i < 5000; ++i) {
    words.push_back(table(2));
    words.push_back(0x0101010101010101 * static_cast<uint64_t>(i % 2 + 1));
  }
  EventPacker packer;
  const ByteVector bytes = packed(packer, words);
  EXPECT_LE(bytes.size(), maxPacked(words.size() * sizeof(uint64_t)));
  EXPECT_EQ(unpacked(bytes, words.size()), words);
}

TEST(EventUnpacker, RefusesWhatIsNotExactlyTheFrame) {
  const Words words = manyMessages(9);
  EventPacker packer;
  const ByteVector bytes = packed(packer, words);
  ASSERT_TRUE(unpacked(bytes, words.size()));
  EXPECT_FALSE(unpacked(bytes, words.size() + 1));
  EXPECT_FALSE(unpacked(bytes, words.size() - 1));
  for (size_t size = 0; size < bytes.size(); size += 10'007)
    EXPECT_FALSE(unpacked(Bytes(bytes).first(size), words.size())) << size;
}

TEST(EventUnpacker, RefusesWhatIsImpossible) {
  const ByteVector good = {0, 2, 0, 1};
  EXPECT_EQ(unpacked(good, 2), (Words{0, 0}));
  for (const ByteVector& bad : {
           ByteVector{0, 0},                                   // a message of no words
           ByteVector{0, 3, 0, 2},                             // of more than there are
           ByteVector{0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0},  // of a number without an end
           ByteVector{0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 1},  // of a great number
           ByteVector{0, 2, 0, 2},                             // a run beyond its end
           ByteVector{0, 2, 0xff, 2, 1, 2, 3, 4, 5, 6, 7, 8},  // the same, in full
           ByteVector{0, 2, 0xff, 1, 1, 2, 3, 4, 5, 6, 7, 8},  // words that are not there
           ByteVector{0, 2, 0x07, 1, 2},                       // bytes that are not there
           ByteVector{0, 2, 0},                                // a run without its length
           ByteVector{0, 2, 0, 0},                             // a word too few
           ByteVector{0, 2, 0, 1, 0},                          // something behind it
           ByteVector{0},
           ByteVector{},
       }) {
    EXPECT_FALSE(unpacked(bad, 2)) << hex(bad);
  }
}

TEST(EventUnpacker, TakesAnyBytes) {
  for (unsigned seed = 1; seed < 200; ++seed) {
    const ByteVector bytes = noise(300, seed);
    EventUnpacker unpacker;
    for (size_t words : {2u, 30u, 400u}) unpacked(unpacker, bytes, words);
  }
  const Words words = manyMessages(3);
  EventPacker packer;
  const ByteVector whole = packed(packer, words);
  const ByteVector random = noise(4000, 5);
  for (size_t i = 0; i + 3 < random.size(); i += 3) {
    ByteVector bytes = whole;
    bytes[(random[i] | size_t{random[i + 1]} << 8) % bytes.size()] ^= random[i + 2];
    EventUnpacker unpacker;
    unpacked(unpacker, Bytes(bytes).first(std::min<size_t>(bytes.size(), 70'000)), words.size());
  }
}

}  // namespace
}  // namespace airr
