#include "recorder/frame.h"

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

FrameHeader sample() {
  FrameHeader header;
  header.type = FrameType::kEvents;
  header.sequence = 0x1122334455667788;
  header.rawSize = 0x1000;
  header.firstEvent = 0x99;
  header.eventCount = 7;
  header.encoding = Encoding::kZstdContinue;
  header.storedSize = 0x800;
  header.tag.fill(0xcc);
  return header;
}

using HeaderBytes = std::array<uint8_t, kFrameHeaderSize>;

HeaderBytes encoded(const FrameHeader& header) {
  HeaderBytes bytes;
  header.encode(bytes);
  return bytes;
}

TEST(FrameHeader, HasTheDocumentedLayout) {
  EXPECT_EQ(hex(encoded(sample())),
            "4146524d"
            "01000000"
            "8877665544332211"
            "0010000000000000"
            "9900000000000000"
            "07000000"
            "02000000"
            "0008000000000000"
            "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");
}

TEST(FrameHeader, RoundTrip) {
  const HeaderBytes bytes = encoded(sample());
  EXPECT_EQ(FrameHeader::fault(bytes), nullptr);
  EXPECT_EQ(encoded(FrameHeader::decode(bytes)), bytes);
}

TEST(FrameHeader, FindsWhatIsImpossible) {
  auto fault = [](auto change) {
    FrameHeader header = sample();
    change(header);
    return FrameHeader::fault(encoded(header));
  };
  auto unchanged = [](FrameHeader&) {};
  EXPECT_EQ(fault(unchanged), nullptr);
  EXPECT_NE(fault([](auto& h) { h.type = static_cast<FrameType>(0); }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.type = static_cast<FrameType>(5); }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.encoding = Encoding::kPlain; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.encoding = Encoding::kRedacted; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.rawSize = kMaxEventsFrame + 8; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.rawSize = 0x1001; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.storedSize = 0; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.storedSize = 0x2000; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.eventCount = 0; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.eventCount = 0x101; }), nullptr);

  auto blob = [](FrameHeader& h) {
    h.type = FrameType::kBlob;
    h.eventCount = 0;
    h.encoding = Encoding::kZstdStart;
  };
  EXPECT_EQ(fault(blob), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.storedSize = 32; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.storedSize = 31; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.rawSize = kMaxBlob + 1; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { blob(h), h.encoding = Encoding::kZstdContinue; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.encoding = Encoding::kPlain; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.encoding = Encoding::kSame; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { blob(h), h.encoding = Encoding::kSame, h.storedSize = 32; }),
            nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.encoding = Encoding::kRedacted; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { blob(h), h.encoding = Encoding::kRedacted, h.storedSize = 32; }),
            nullptr);

  auto part = [](FrameHeader& h) {
    h.type = FrameType::kPart;
    h.rawSize = 0;
    h.eventCount = 0;
    h.encoding = Encoding::kZstdContinue;
  };
  EXPECT_EQ(fault(part), nullptr);
  EXPECT_EQ(fault([&](auto& h) { part(h), h.storedSize = kMaxPart; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.storedSize = kMaxPart + 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.storedSize = 0; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.rawSize = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.encoding = Encoding::kSame; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.encoding = Encoding::kRedacted; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { part(h), h.encoding = Encoding::kRedacted, h.storedSize = 0; }),
            nullptr);

  auto seal = [](FrameHeader& h) {
    h.type = FrameType::kSeal;
    h.eventCount = 0;
    h.encoding = Encoding::kPlain;
    h.rawSize = h.storedSize = 24;
  };
  EXPECT_EQ(fault(seal), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.storedSize = 32; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.encoding = Encoding::kZstdStart; }), nullptr);

  for (size_t at : {0, 1, 2, 3, 5, 6, 7}) {
    HeaderBytes bytes = encoded(sample());
    bytes[at] ^= 0x40;
    EXPECT_NE(FrameHeader::fault(bytes), nullptr) << at;
  }
}

TEST(EventCompressor, ContinuesAndRestarts) {
  EventCompressor compressor;
  EventDecompressor decompressor;
  const ByteVector noisy = noise(96 << 10, 1);
  uint64_t total = 0, sinceStart = 0;
  int starts = 0;
  size_t secondSize = 0;
  for (int frame = 0; total < 3 * kRestartInterval; ++frame) {
    Encoding encoding;
    const Bytes stored = compressor.compress(noisy, encoding);
    if (frame == 1) secondSize = stored.size();
    if (encoding == Encoding::kZstdStart) {
      ++starts;
      EXPECT_TRUE(frame == 0 || sinceStart >= kRestartInterval);
      sinceStart = 0;
      decompressor = EventDecompressor();  // nothing from before is needed
    }
    ByteVector raw(noisy.size());
    ASSERT_TRUE(decompressor.decompress(encoding, stored, raw));
    ASSERT_EQ(raw, noisy);
    total += raw.size();
    sinceStart += raw.size();
  }
  EXPECT_EQ(starts, 3);
  EXPECT_LT(secondSize, noisy.size() / 10);  // the second frame refers to the first
}

TEST(EventDecompressor, RefusesWhatIsNotExactlyTheFrame) {
  const ByteVector raw = noise(5000, 3);
  EventCompressor compressor;
  Encoding encoding;
  const Bytes view = compressor.compress(raw, encoding);
  const ByteVector stored(view.begin(), view.end());
  auto accepts = [&](Encoding as, const ByteVector& bytes, size_t size) {
    ByteVector out(size);
    return EventDecompressor().decompress(as, bytes, out);
  };
  EXPECT_TRUE(accepts(Encoding::kZstdStart, stored, raw.size()));
  EXPECT_FALSE(accepts(Encoding::kZstdContinue, stored, raw.size()));
  EXPECT_FALSE(accepts(Encoding::kZstdStart, stored, raw.size() + 8));
  EXPECT_FALSE(accepts(Encoding::kZstdStart, stored, raw.size() - 8));
  for (size_t size = 0; size < stored.size(); size += 97) {
    EXPECT_FALSE(
        accepts(Encoding::kZstdStart, {stored.begin(), stored.begin() + size}, raw.size()));
  }
}

// A zstd frame may ask its reader for a window of terabytes.
TEST(EventDecompressor, RefusesLargeWindows) {
  ZstdCompressContext context(ZSTD_createCCtx());
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, kMaxWindowLog + 1);
  const ByteVector raw = noise(4096, 3);
  ByteVector stored(ZSTD_compressBound(raw.size()));
  ZSTD_inBuffer in{raw.data(), raw.size(), 0};
  ZSTD_outBuffer out{stored.data(), stored.size(), 0};
  ASSERT_EQ(ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_flush), 0u);
  stored.resize(out.pos);
  ByteVector result(raw.size());
  EXPECT_FALSE(EventDecompressor().decompress(Encoding::kZstdStart, stored, result));
}

}  // namespace
}  // namespace airr
