#include "mediator/call_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <memory>

namespace airr {
namespace {

constexpr uint64_t kSmall = 4096;
constexpr uint64_t kChunk = 1 << 18;
constexpr char kUnreadable[] = "unreadable";

}  // namespace

uint64_t hashInputs(const syscalls::Syscall& model, const syscalls::Call& call,
                    syscalls::MemoryReader& memory, std::vector<Region>& regions) {
  regions.clear();
  syscalls::inputRegions(model, call, memory, regions);
  if (regions.empty()) return 0;
  uint8_t small[kSmall];
  if (regions.size() == 1 && regions[0].length <= kSmall) {
    if (memory.read(regions[0].start, small, regions[0].length))
      return XXH3_64bits(small, regions[0].length);
    return XXH3_64bits(kUnreadable, sizeof kUnreadable);
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  std::unique_ptr<uint8_t[]> large;
  for (const Region& region : regions) {
    uint64_t left = region.length;
    for (Address at = region.start; left > 0;) {
      uint8_t* buffer = small;
      uint64_t n = std::min(left, kSmall);
      if (left > kSmall) {
        if (!large) large = std::make_unique_for_overwrite<uint8_t[]>(kChunk);
        buffer = large.get();
        n = std::min(left, kChunk);
      }
      if (memory.read(at, buffer, n)) {
        XXH3_64bits_update(&state, buffer, n);
      } else {
        XXH3_64bits_update(&state, kUnreadable, sizeof kUnreadable);
        break;
      }
      at = at + n;
      left -= n;
    }
  }
  return XXH3_64bits_digest(&state);
}

uint64_t hashInput(std::span<const uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace airr
