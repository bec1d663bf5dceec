// Finds the RDRAND and RDSEED instructions of an ELF file, or of code that a program has generated,
// so that the mediator can put int3 in their place, and give the program a recorded value instead.
//
// A changed byte that was no instruction would corrupt the program, so a site is reported only if
// it was reached by decoding.
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
    kFunction,      // reached by decoding a function, or generated code, from its start
    kSynchronised,  // no function is known here; reached from wherever decoding began before it
  };

  uint64_t offset = 0;  // of the first byte, prefixes included, in what was scanned
  uint8_t length = 0;
  Kind kind = Kind::kRdrand;
  uint8_t operandBits = 0;  // 16, 32 or 64
  uint8_t reg = 0;          // the destination as the processor numbers it: 0 = rax … 15 = r15
  Confidence confidence = Confidence::kFunction;

  bool operator==(const RdrandSite&) const = default;
};

// In order of offset. Empty for anything that is not an x86-64 ELF file.
std::vector<RdrandSite> scanForRdrand(std::span<const uint8_t> elfBytes);

// Of bytes that are code from the first on. Where they stop to be, as at data among the code, what
// comes behind is taken for code only with a kSynchronised site's evidence.
std::vector<RdrandSite> scanCode(std::span<const uint8_t> code);

}  // namespace airr
