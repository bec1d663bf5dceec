#include "mediator/call_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <memory>

#include "recorder/gate/gate.h"

namespace airr {
namespace {

constexpr uint64_t kSmall = 4096;
constexpr uint64_t kChunk = 1 << 18;
constexpr char kUnreadable[] = "unreadable";

// What a program's pointer finds where the gate is, is not its own, and differs between record and replay.
class OutsideGate : public syscalls::MemoryReader {
 public:
  explicit OutsideGate(syscalls::MemoryReader& memory) : memory_(memory) {}
  bool read(Address from, void* to, uint64_t size) override {
    return (from.value >= AIRR_GATE_END || from.value + size <= AIRR_GATE_TEXT) && memory_.read(from, to, size);
  }

 private:
  syscalls::MemoryReader& memory_;
};

// Of a name that ends with a NUL behind `size` bytes.
uint64_t hashName(const char* name, size_t size) { return XXH3_64bits(name, size + 1); }

}  // namespace

uint64_t hashInputs(const syscalls::Syscall& model, const syscalls::Call& call,
                    syscalls::MemoryReader& all, std::vector<Region>& regions) {
  OutsideGate memory(all);
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

void setPath(schema::Syscall::Builder call, const std::string& path) {
  call.setPath(path);
  const uint64_t digest = call.getInputHash();
  if (digest == 0) return;
  const auto isNameFrom = [&](size_t start) {
    const size_t length = path.size() - start;
    if (length == 0 || length > UINT16_MAX || hashName(path.c_str() + start, length) != digest) return false;
    call.setInputHash(0);
    call.setNameLength(static_cast<uint16_t>(length));
    return true;
  };
  if (isNameFrom(0)) return;
  // Relative; or absolute where a link stands for what comes before (/lib for /usr/lib).
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    if (isNameFrom(slash + 1) || isNameFrom(slash)) return;
}

std::optional<std::string_view> passedName(schema::Syscall::Reader call) {
  static const uint64_t kEmpty = hashName("", 0);
  const auto path = call.getPath();
  const size_t length = std::min<size_t>(call.getNameLength(), path.size());
  if (length == 0 && call.getInputHash() != kEmpty) return std::nullopt;
  return std::string_view(path.end() - length, length);
}

syscalls::Call callOf(schema::Syscall::Reader event) {
  syscalls::Call call;
  call.number = event.getNumber();
  const auto arguments = event.getArguments();
  for (unsigned i = 0; i < std::min(arguments.size(), 6u); ++i) call.arguments[i] = arguments[i];
  return call;
}

uint64_t inputHashOf(schema::Syscall::Reader call) {
  const auto name = passedName(call);
  return name ? hashName(name->data(), name->size()) : call.getInputHash();
}

}  // namespace airr
