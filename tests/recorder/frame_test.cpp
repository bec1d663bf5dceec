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
  header.bodySize = 0x800;
  header.directorySize = 2 * Leaf::kSize;
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
            "01004800"
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
  EXPECT_NE(fault([](auto& h) { h.type = static_cast<FrameType>(7); }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.encoding = Encoding::kPlain; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.encoding = Encoding::kSame; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.state = BodyState::kRemoved; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.rawSize = kMaxEventsFrame + 8; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.rawSize = 0x1001; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.bodySize = 0; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.bodySize = 0x4000; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.eventCount = 0; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.eventCount = 1; }), nullptr);  // fewer than leaves
  EXPECT_NE(fault([](auto& h) { h.eventCount = 0x101; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.directorySize = 0; }), nullptr);
  EXPECT_NE(fault([](auto& h) { h.directorySize = Leaf::kSize + 1; }), nullptr);
  EXPECT_NE(fault([](auto& h) {
              h.rawSize = 1 << 20;
              h.eventCount = kMaxLeaves + 1;
              h.directorySize = (kMaxLeaves + 1) * Leaf::kSize;
            }),
            nullptr);

  auto blob = [](FrameHeader& h) {
    h.type = FrameType::kBlob;
    h.eventCount = 0;
    h.encoding = Encoding::kZstdStart;
    h.directorySize = 2 * sizeof(Digest);
  };
  EXPECT_EQ(fault(blob), nullptr);
  EXPECT_EQ(fault([&](auto& h) { blob(h), h.state = BodyState::kRemoved; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.bodySize = 0; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.directorySize = sizeof(Digest); }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.rawSize = kMaxBlob + 1; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { blob(h), h.encoding = Encoding::kZstdContinue; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.encoding = Encoding::kPlain; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { blob(h), h.encoding = static_cast<Encoding>(3); }), nullptr);
  auto same = [&](FrameHeader& h) {
    blob(h);
    h.encoding = Encoding::kSame;
    h.directorySize = sizeof(Digest);
    h.bodySize = 0;
  };
  EXPECT_EQ(fault(same), nullptr);
  EXPECT_NE(fault([&](auto& h) { same(h), h.bodySize = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { same(h), h.directorySize = 2 * sizeof(Digest); }), nullptr);
  EXPECT_NE(fault([&](auto& h) { same(h), h.state = BodyState::kRemoved; }),
            nullptr);  // there is nothing to remove

  auto part = [](FrameHeader& h) {
    h.type = FrameType::kPart;
    h.rawSize = 0;
    h.eventCount = 0;
    h.encoding = Encoding::kZstdContinue;
    h.directorySize = sizeof(Digest);
  };
  EXPECT_EQ(fault(part), nullptr);
  EXPECT_EQ(fault([&](auto& h) { part(h), h.bodySize = kMaxPart; }), nullptr);
  EXPECT_EQ(fault([&](auto& h) { part(h), h.state = BodyState::kRemoved; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.bodySize = kMaxPart + 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.bodySize = 0; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.rawSize = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.encoding = Encoding::kSame; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { part(h), h.directorySize = 0; }), nullptr);

  auto plain = [](FrameHeader& h, FrameType type, uint64_t size) {
    h.type = type;
    h.eventCount = 0;
    h.encoding = Encoding::kPlain;
    h.directorySize = 0;
    h.rawSize = h.bodySize = size;
  };
  auto seal = [&](FrameHeader& h) { plain(h, FrameType::kSeal, 104); };
  EXPECT_EQ(fault(seal), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.rawSize = h.bodySize = 112; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.eventCount = 1; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.directorySize = 36; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.encoding = Encoding::kZstdStart; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { seal(h), h.state = BodyState::kRemoved; }), nullptr);
  for (uint64_t size : {112, 144, 176}) {
    EXPECT_EQ(fault([&](auto& h) { plain(h, FrameType::kCheckpoint, size); }), nullptr) << size;
  }
  for (uint64_t size : {0, 80, 104, 111, 113, 208}) {
    EXPECT_NE(fault([&](auto& h) { plain(h, FrameType::kCheckpoint, size); }), nullptr) << size;
  }

  auto redaction = [&](FrameHeader& h) { plain(h, FrameType::kRedaction, 80); };
  EXPECT_EQ(fault(redaction), nullptr);
  EXPECT_NE(fault([&](auto& h) { redaction(h), h.state = BodyState::kRemoved; }), nullptr);
  EXPECT_NE(fault([&](auto& h) { plain(h, FrameType::kRedaction, 81); }), nullptr);
  EXPECT_NE(fault([&](auto& h) { plain(h, FrameType::kRedaction, kMaxRedaction + 8); }), nullptr);

  for (size_t at : {0, 1, 2, 3, 5}) {
    HeaderBytes bytes = encoded(sample());
    bytes[at] ^= 0x40;
    EXPECT_NE(FrameHeader::fault(bytes), nullptr) << at;
  }
}

TEST(Checkpoint, RoundTrip) {
  Checkpoint checkpoint{.epoch = 7, .frames = 4096, .keys = {PublicKey{1}, PublicKey{2}}};
  checkpoint.previous.fill(3);
  checkpoint.root.fill(4);
  auto body = checkpoint.encode();
  EXPECT_EQ(body.size(), 144u);
  EXPECT_EQ(Checkpoint::decode(FrameType::kCheckpoint, body).encode(), body);
  checkpoint.keys.clear();
  checkpoint.totals = SealTotals{5, 6, 7};
  body = checkpoint.encode();
  EXPECT_EQ(body.size(), 104u);
  EXPECT_EQ(Checkpoint::decode(FrameType::kSeal, body).encode(), body);
}

TEST(FrameHash, CoversTheBodyUnlessItCanBeRemoved) {
  FrameHash hash;
  FrameHeader header = sample();
  const ByteVector directory(72, 1), body = {1, 2, 3}, other = {1, 2, 4};
  const Digest before{};
  EXPECT_NE(hash.frame(encoded(header), before, directory, body),
            hash.frame(encoded(header), before, directory, other));
  for (FrameType type : {FrameType::kPart, FrameType::kBlob}) {
    header.type = type;
    const Digest digest = hash.frame(encoded(header), before, directory, body);
    EXPECT_EQ(digest, hash.frame(encoded(header), before, directory, other));
    header.state = BodyState::kRemoved;
    EXPECT_EQ(digest, hash.frame(encoded(header), before, directory, Bytes()));
    header.state = BodyState::kWritten;
  }
  EXPECT_NE(hash.frame(encoded(header), before, directory, body),
            hash.frame(encoded(header), Digest{1}, directory, body));
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
      EXPECT_TRUE(frame == 0 || sinceStart >= (starts == 2 ? kFirstInterval : kRestartInterval));
      sinceStart = 0;
      decompressor = EventDecompressor();  // nothing from before is needed
    }
    ByteVector raw(noisy.size());
    ASSERT_TRUE(decompressor.decompress(encoding, stored, raw));
    ASSERT_EQ(raw, noisy);
    total += raw.size();
    sinceStart += raw.size();
  }
  EXPECT_EQ(starts, 4);
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
