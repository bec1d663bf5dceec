#include "mediator/known_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace airr {
namespace {

constexpr uint64_t kPage = 4096;

TEST(KnownRanges, RoundsToPages) {
  KnownRanges ranges;
  ranges.add(kPage, 1);
  EXPECT_TRUE(ranges.covers(kPage, kPage));
  EXPECT_FALSE(ranges.covers(kPage, kPage + 1));
  EXPECT_FALSE(ranges.touches(0, kPage));
  EXPECT_FALSE(ranges.touches(2 * kPage, kPage));
  EXPECT_TRUE(ranges.touches(0, kPage + 1));
}

TEST(KnownRanges, JoinsNeighboursAndSplits) {
  KnownRanges ranges;
  ranges.add(kPage, kPage);
  ranges.add(3 * kPage, kPage);
  EXPECT_FALSE(ranges.covers(kPage, 3 * kPage));
  ranges.add(2 * kPage, kPage);
  EXPECT_TRUE(ranges.covers(kPage, 3 * kPage));
  ranges.remove(2 * kPage, 1);
  EXPECT_TRUE(ranges.covers(kPage, kPage));
  EXPECT_FALSE(ranges.touches(2 * kPage, kPage));
  EXPECT_TRUE(ranges.covers(3 * kPage, kPage));
}

TEST(KnownRanges, LengthsDoNotWrap) {
  KnownRanges ranges;
  ranges.add(kPage, kPage);
  EXPECT_FALSE(ranges.covers(kPage, UINT64_MAX));
}

// Against a set of pages.
TEST(KnownRanges, AgreesWithAPlainModel) {
  std::mt19937 random(1);
  KnownRanges ranges;
  std::set<uint64_t> pages;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t start = random() % 64, count = 1 + random() % 8;
    const bool add = random() % 2;
    (add ? ranges.add(start * kPage, count * kPage) : ranges.remove(start * kPage, count * kPage));
    for (uint64_t page = start; page < start + count; ++page)
      add ? (void)pages.insert(page) : (void)pages.erase(page);
    const uint64_t from = random() % 64, length = 1 + random() % 8;
    bool all = true, any = false;
    for (uint64_t page = from; page < from + length; ++page) {
      all = all && pages.contains(page);
      any = any || pages.contains(page);
    }
    ASSERT_EQ(ranges.covers(from * kPage, length * kPage), all);
    ASSERT_EQ(ranges.touches(from * kPage, length * kPage), any);
  }
}

}  // namespace
}  // namespace airr
