#include "mediator/own_memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "schema/types.h"

// Of the linker (ld(1)).
extern "C" const char __executable_start[], end[];

namespace airr {
namespace {

constexpr uint64_t kHugePage = 2 << 20;  // x86-64, PMD_SIZE
constexpr uint64_t kPages = 16;          // as many as judging with two threads takes
constexpr uint64_t kMoreThanIsLeft = 512 << 10;  // of the heap so far

uint64_t addressOf(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

// The best of a few first touches counts: others may be interrupted.
bool faultsAreDear() {
  using Clock = std::chrono::steady_clock;
  constexpr auto kDear = std::chrono::microseconds(4);
  constexpr size_t kTouches = 4;
  void* const pages = mmap(nullptr, kTouches * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  auto best = Clock::duration::max();
  for (size_t i = 0; i < kTouches; ++i) {
    const auto began = Clock::now();
    static_cast<volatile uint8_t*>(pages)[i * kPageSize] = 1;
    best = std::min(best, Clock::now() - began);
  }
  munmap(pages, kTouches * kPageSize);
  return best > kDear;
}

}  // namespace

void saveFaults() {
  if (!faultsAreDear()) return;
  useHugePages();
  mapWholeProgram();
}

void useHugePages() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kHugePage);
  mallopt(M_TOP_PAD, static_cast<int>((kPages + 1) * kHugePage));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(kPages * kHugePage * 2));
  // A huge page comes at the first touch of its range, and only if the range was mapped before; but
  // malloc touches the end of what it hands out. So it is made to hand out all up to the first byte
  // of the range, which stays unused. malloc goes on behind a break that others have moved (glibc,
  // malloc.c, sysmalloc).
  const uint64_t end = addressOf(sbrk(0));
  const uint64_t room = kMoreThanIsLeft + kPageSize;
  const uint64_t start = (end + room + kHugePage - 1) / kHugePage * kHugePage;
  if (sbrk(static_cast<intptr_t>(start - room - end)) == reinterpret_cast<void*>(-1)) return;
  void* const first = malloc(kMoreThanIsLeft);
  if (addressOf(first) < start - room || addressOf(first) >= start) return;
  madvise(reinterpret_cast<void*>(start), kPages * kHugePage, MADV_HUGEPAGE);
  const uint64_t next = addressOf(first) + malloc_usable_size(first) + sizeof(size_t);
  if (next < start) [[maybe_unused]] void* const volatile rest = malloc(start - next);
}

void mapWholeProgram() {
  const uint64_t start = addressOf(__executable_start);
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ (Linux 5.14)
  madvise(reinterpret_cast<void*>(start), addressOf(end) / kPageSize * kPageSize - start, kPopulateRead);
}

}  // namespace airr
