#include "mediator/call_sites.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace airr {
namespace {

std::vector<uint8_t> contentOf(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

constexpr const char* kLibc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
constexpr const char* kLoader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

uint64_t jumpAt(const CallSite& site) {
  return site.padding == 0 ? site.offset - site.before
                           : site.offset + 2 + static_cast<uint64_t>(int64_t{site.padding});
}

class OfFile : public testing::TestWithParam<const char*> {};

TEST_P(OfFile, EachSiteHasItsInstructionAndItsOwnRoom) {
  const std::vector<uint8_t> bytes = contentOf(GetParam());
  ASSERT_FALSE(bytes.empty());
  const std::vector<CallSite> sites = findCallSites(bytes);
  std::set<uint64_t> changed;
  for (const CallSite& site : sites) {
    EXPECT_EQ(bytes[site.offset], 0x0f);
    EXPECT_EQ(bytes[site.offset + 1], site.number == CallSite::kCounter ? 0x31 : 0x05);
    EXPECT_EQ(site.padding == 0, site.before != 0 || site.behind != 0);
    if (site.padding == 0) {
      EXPECT_GE(site.before + 2u + site.behind, CallSite::kJump);
    }
    const uint64_t jump = jumpAt(site);
    const uint64_t end = site.padding == 0 ? site.offset + 2 + site.behind : jump + CallSite::kJump;
    for (uint64_t at = jump; at < end; ++at)
      EXPECT_TRUE(changed.insert(at).second) << at;
    if (site.padding != 0) {
      EXPECT_TRUE(changed.insert(site.offset).second);
      EXPECT_TRUE(changed.insert(site.offset + 1).second);
      // What lies between functions is fill: NOP of some length, or int3.
      EXPECT_TRUE(bytes[jump] == 0x0f || bytes[jump] == 0x66 || bytes[jump] == 0x2e ||
                  bytes[jump] == 0x90 || bytes[jump] == 0xcc || bytes[jump] == 0x1f ||
                  bytes[jump] == 0x84 || bytes[jump] == 0x00)
          << std::hex << jump;
    }
  }
  EXPECT_TRUE(std::is_sorted(sites.begin(), sites.end(), [](const CallSite& a, const CallSite& b) {
    return a.offset < b.offset;
  }));
}

INSTANTIATE_TEST_SUITE_P(Host, OfFile, testing::Values(kLibc, kLoader));

bool has(const std::vector<CallSite>& sites, uint64_t number) {
  return std::any_of(sites.begin(), sites.end(),
                     [number](const CallSite& site) { return site.number == number; });
}

TEST(CallSites, TheCallsThatProgramsMakeMostAreFound) {
  const std::vector<CallSite> libc = findCallSites(contentOf(kLibc));
  for (uint64_t number : {SYS_read, SYS_close, SYS_lseek, SYS_newfstatat, SYS_rt_sigprocmask,
                          SYS_rt_sigaction})
    EXPECT_TRUE(has(libc, number)) << number;
  const std::vector<CallSite> loader = findCallSites(contentOf(kLoader));
  for (uint64_t number :
       {uint64_t{SYS_read}, uint64_t{SYS_newfstatat}, uint64_t{CallSite::kCounter}})
    EXPECT_TRUE(has(loader, number)) << number;
}

// A long jump that seems to lead into what gives way, by bytes that are not its distance, is none.
TEST(CallSites, BytesThatAreNoDistanceLeadNowhere) {
  const std::vector<CallSite> libc = findCallSites(contentOf(kLibc));
  EXPECT_TRUE(std::any_of(libc.begin(), libc.end(), [](const CallSite& site) {
    return site.number == SYS_openat && site.before != 0;  // open64_nocancel(), of Debian 12
  }));
}

// Linked without an index of its frames.
TEST(CallSites, AStaticProgramsAreFound) {
  const std::vector<uint8_t> bytes = contentOf("/usr/bin/busybox");
  if (bytes.empty()) GTEST_SKIP() << "busybox-static is not installed";
  const std::vector<CallSite> sites = findCallSites(bytes);
  for (uint64_t number : {SYS_close, SYS_brk, SYS_rt_sigaction}) EXPECT_TRUE(has(sites, number)) << number;
}

TEST(CallSites, CountersOfLargeFunctionsAreFound) {
  const std::vector<CallSite> loader = findCallSites(contentOf(kLoader));
  EXPECT_TRUE(std::any_of(loader.begin(), loader.end(), [](const CallSite& site) { return site.behind != 0; }));
}

TEST(CallSites, AnyBytesAreTaken) {
  std::vector<uint8_t> bytes = contentOf(kLoader);
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    std::vector<uint8_t> damaged = bytes;
    for (int i = 0; i < 200; ++i) {
      // Half of them in the headers and the tables behind them.
      const size_t at = (i % 2 ? random() : random() % 4096) % damaged.size();
      damaged[at] = static_cast<uint8_t>(random());
    }
    damaged.resize(damaged.size() - random() % damaged.size() / 2);
    for (const CallSite& site : findCallSites(damaged)) {
      ASSERT_LE(site.offset + 2, damaged.size());
      ASSERT_LE(jumpAt(site) + CallSite::kJump, damaged.size());
    }
  }
  EXPECT_TRUE(findCallSites({}).empty());
}

}  // namespace
}  // namespace airr
