#include "recorder/epoch.h"

#include <algorithm>
#include <set>

#include "recorder/frame_tree.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

TEST(EpochKey, RatchetsForward) {
  Digest first{1};
  EpochKey key(first), same(first);
  const Digest frame{2};
  const Digest tag = key.tag(frame);
  EXPECT_EQ(tag, Hmac(first).tag({frame}));
  key.advance();
  const std::string next = "airr next epoch v2";
  const Digest second =
      Hmac(first).tag({Bytes(reinterpret_cast<const uint8_t*>(next.data()), next.size())});
  EXPECT_EQ(key.tag(frame), Hmac(second).tag({frame}));
  same = key;
  EXPECT_EQ(same.tag(frame), key.tag(frame));
  same.advance();
  EXPECT_NE(same.tag(frame), key.tag(frame));
}

// Every epoch's key is certified by an earlier one, and few certificates lead to it.
TEST(Certificates, LeadToEveryEpoch) {
  std::set<uint64_t> certified = {0};
  for (uint64_t epoch = 0; epoch < 5000; ++epoch) {
    ASSERT_TRUE(certified.contains(epoch));
    for (uint64_t other : certifiedBy(epoch)) {
      ASSERT_GT(other, epoch);
      certified.insert(other);
    }
    uint64_t steps = 0;
    for (uint64_t at = epoch; at != 0; at = certifierOf(at)) {
      const auto by = certifiedBy(certifierOf(at));
      ASSERT_TRUE(std::ranges::count(by, at) == 1) << at;
      ++steps;
    }
    ASSERT_LE(steps, epoch / 256 + 30);
  }
}

TEST(EpochSigners, SignsOnceWithEachKey) {
  EpochSigners signers(System::host());
  const PublicKey first = signers.certify({0}).front();
  const auto next = signers.certify(certifiedBy(0));
  ASSERT_EQ(next.size(), 3u);
  EXPECT_EQ(signers.certify({1}).front(), next[0]);
  const ByteVector message = {1, 2, 3};
  EXPECT_TRUE(verifies(first, message, signers.sign(0, message)));
  EXPECT_TRUE(verifies(next[0], message, signers.sign(1, message)));
  EXPECT_TRUE(verifies(next[1], message, signers.sign(16, message)));
  EXPECT_THROW(signers.sign(0, message), std::out_of_range);  // erased
}

TEST(FrameTree, RootsAndPathsOfAllShapes) {
  std::vector<Digest> frames;
  std::set<Digest> roots;
  FrameTree tree;
  for (uint64_t count = 0; count <= 600; ++count) {
    const Digest root = tree.root();
    ASSERT_TRUE(roots.insert(root).second) << count;
    ASSERT_EQ(tree.count(), count);
    const bool all = count < 40 || count == 255 || count == 256 || count == 257 || count == 600;
    for (uint64_t index = all ? 0 : count / 2; index < (all ? count : count / 2 + 1); ++index) {
      const FramePath path = framePath(frames, index);
      ASSERT_EQ(rootOf(frames[index], index, count, path), root) << count << " " << index;
      ASSERT_NE(rootOf(Digest{9}, index, count, path), root);
      if (index + 1 < count) {
        ASSERT_NE(rootOf(frames[index], index + 1, count, path), root);
      }
      FramePath longer = path;
      longer.push_back({});
      ASSERT_FALSE(rootOf(frames[index], index, count, longer));
      ASSERT_FALSE(rootOf(frames[index], count, count, path));
    }
    Digest next{};
    std::memcpy(next.data(), &count, sizeof count);
    next[31] = 1;
    frames.push_back(next);
    tree.add(next);
  }
  FrameTree one;
  one.add(frames[0]);
  EXPECT_EQ(one.root(), sha256(frames[0]));
  one.clear();
  EXPECT_EQ(one.root(), Digest{});
}

}  // namespace
}  // namespace airr
