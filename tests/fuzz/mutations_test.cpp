// Every fuzz target on mutations of its seeds, the same in every run.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "tests/fuzz/targets.h"

namespace airr::fuzz {
namespace {

using Input = std::vector<uint8_t>;

Input mutated(const std::vector<Input>& seeds, std::mt19937_64& random) {
  Input input = seeds[random() % seeds.size()];
  for (uint64_t edits = 1 + random() % 5; edits > 0; --edits) {
    const size_t at = input.empty() ? 0 : random() % input.size();
    const auto place = input.begin() + static_cast<ptrdiff_t>(at);
    const auto rest = static_cast<uint64_t>(input.end() - place);
    switch (random() % 7) {
      case 0:
        if (rest > 0) *place ^= static_cast<uint8_t>(1 << random() % 8);
        break;
      case 1:
        if (rest > 0) *place = static_cast<uint8_t>(random());
        break;
      case 2:
        input.erase(place, place + static_cast<ptrdiff_t>(std::min(rest, random() % 40)));
        break;
      case 3:
        input.insert(place, random() % 40, static_cast<uint8_t>(random()));
        break;
      case 4:  // a number that is likely to be a limit
        for (uint64_t i = 0; i < std::min<uint64_t>(rest, 1 + random() % 8); ++i) {
          place[static_cast<ptrdiff_t>(i)] = random() % 2 == 0 ? 0xff : 0;
        }
        break;
      case 5:
        input.resize(at);
        break;
      default: {  // a piece of another seed
        const Input& other = seeds[random() % seeds.size()];
        if (other.empty()) break;
        const size_t from = random() % other.size();
        const size_t size = std::min<size_t>(random() % 200, other.size() - from);
        input.insert(place, other.begin() + static_cast<ptrdiff_t>(from),
                     other.begin() + static_cast<ptrdiff_t>(from + size));
        break;
      }
    }
  }
  return input;
}

class Mutations : public testing::TestWithParam<size_t> {};

TEST_P(Mutations, NeitherCrashNorTakeMuchMemory) {
  const Target& target = targets()[GetParam()];
  const std::vector<Input> seeds = target.seeds();
  for (const Input& seed : seeds) target.run(seed);
  std::mt19937_64 random(GetParam());
  for (int i = 0; i < 4000; ++i) target.run(mutated(seeds, random));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 600 << 10);  // KiB
}

INSTANTIATE_TEST_SUITE_P(Targets, Mutations, testing::Range<size_t>(0, 5),
                         [](const auto& target) { return targets()[target.param].name; });

}  // namespace
}  // namespace airr::fuzz
