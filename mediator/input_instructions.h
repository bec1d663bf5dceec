// Finds the instructions of an ELF file, or of code that a program has generated, that are inputs:
// RDRAND, RDSEED, RDTSC and RDTSCP. The mediator puts int3 in their place, and gives the program a
// recorded value instead.
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

struct InputInstruction {
  enum class Kind : uint8_t { kRdrand, kRdseed, kRdtsc, kRdtscp };
  enum class Confidence : uint8_t {
    kFunction,      // reached by decoding a function, or generated code, from its start
    kSynchronised,  // no function is known here; reached from wherever decoding began before it
  };

  uint64_t offset = 0;  // of the first byte, prefixes included, in what was scanned
  uint8_t length = 0;
  Kind kind = Kind::kRdrand;
  uint8_t operandBits = 0;  // of RDRAND and RDSEED: 16, 32 or 64
  uint8_t reg = 0;  // of the same, the destination as the processor numbers it: 0 = rax … 15 = r15
  Confidence confidence = Confidence::kFunction;

  bool operator==(const InputInstruction&) const = default;
};

// In order of offset. Empty for anything that is not an x86-64 ELF file.
std::vector<InputInstruction> findInputInstructions(std::span<const uint8_t> elfBytes);

// Of bytes that are code from the first on. Where they stop to be, as at data among the code, what
// comes behind is taken for code only with a kSynchronised site's evidence.
std::vector<InputInstruction> findInputInstructionsOfCode(std::span<const uint8_t> code);

}  // namespace airr
