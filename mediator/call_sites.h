// Finds the `syscall` and RDTSC instructions of an ELF file that can be made to jump into the gate,
// and how.
//
// The jump to the gate takes seven bytes, and these instructions have two. Either it becomes a
// short jump to padding between functions within reach, where the long one is put; or the
// instructions before a `syscall` or behind an RDTSC, which must be ones that can be run elsewhere,
// give way as well, and nothing may jump to what lies between the first and the last of them.
//
// A pure function of the bytes, which are treated as hostile: any bytes are scanned in time about
// linear in their number and nothing fails. Usable from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace airr {

struct CallSite {
  static constexpr uint64_t kJump = 7;  // jmp *address (FF /4, absolute)
  static constexpr uint8_t kMostMoved = 15;

  uint64_t offset = 0;  // of the instruction in the file
  uint8_t before = 0;   // bytes of instructions before it that give way to the jump
  uint8_t behind = 0;   // the same behind it
  int8_t padding = 0;  // from behind it to the padding that takes the jump; 0: the jump is in place

  static constexpr uint16_t kUnknown = 0xffff, kCounter = 0xfffe;
  uint16_t number =
      kUnknown;  // of the syscall, where an instruction right before loads it; or RDTSC

  bool operator==(const CallSite&) const = default;
};

// LEA of an address relative to the instruction, into a register of 64 bits. It may be the first that
// gives way behind a site: elsewhere it loads that address as a constant.
constexpr size_t kLeaLength = 7;
bool isRipRelativeLea(std::span<const uint8_t> instruction);

// In order of offset. Empty for anything that is not an x86-64 ELF file of which functions are known.
std::vector<CallSite> findCallSites(std::span<const uint8_t> elfBytes);

}  // namespace airr
