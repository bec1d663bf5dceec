// Finds the RDRAND and RDSEED instructions of an ELF file, so that the mediator can put int3 in
// their place where the file is mapped, and give the program a recorded value instead.
//
// A changed byte that was no instruction would corrupt the program, so a site is reported only if
// it was reached by decoding. Code that is written or generated at run time is not seen.
//
// A pure function of the bytes, which are treated as hostile: any bytes are scanned in time about
// linear in their number and nothing fails. Usable from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace airr {

struct RdrandSite {
  enum class Kind : uint8_t { kRdrand, kRdseed };
  enum class Confidence : uint8_t {
    kFunction,      // reached by decoding a function from its start
    kSynchronised,  // no function is known here; reached from wherever decoding began before it
  };

  uint64_t fileOffset = 0;  // of the first byte, prefixes included
  uint8_t length = 0;
  Kind kind = Kind::kRdrand;
  uint8_t operandBits = 0;  // 16, 32 or 64
  uint8_t reg = 0;          // the destination as the processor numbers it: 0 = rax … 15 = r15
  Confidence confidence = Confidence::kFunction;

  bool operator==(const RdrandSite&) const = default;
};

// In order of file offset. Empty for anything that is not an x86-64 ELF file.
std::vector<RdrandSite> scanForRdrand(std::span<const uint8_t> elfBytes);

}  // namespace airr
