#include "mediator/input_instructions.h"

#include <Zydis/Zydis.h>
#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "mediator/elf_code.h"
#include "mediator/elf_functions.h"

namespace airr {
namespace {

using Bytes = std::span<const uint8_t>;

// The length of an opcode that stands here: 0F C7 with mod = 3 and reg = 6 or 7 (RDRAND and RDSEED
// of a register), 0F 31 (RDTSC), 0F 01 F9 (RDTSCP). 0 if none does. `left` is at least 2.
uint64_t opcodeLength(const uint8_t* at, uint64_t left) {
  if (at[0] != 0x0f) return 0;
  if (at[1] == 0x31) return 2;
  if (left < 3) return 0;
  return (at[1] == 0xc7 && at[2] >= 0xf0) || (at[1] == 0x01 && at[2] == 0xf9) ? 3 : 0;
}

// Where an opcode stands. Its last byte is the instruction's.
struct Candidate {
  uint64_t start = 0;
  uint64_t end = 0;
};

// Calls found(Candidate) for each, ascending. Sixteen bytes at a time, since this runs over all
// code of everything that is mapped.
template <class Found>
void forEachCandidate(Bytes bytes, Extent extent, const Found& found) {
  const uint8_t* const data = bytes.data();
  uint64_t at = extent.start;
  const auto check = [&](uint64_t offset) {
    const uint64_t length = opcodeLength(data + offset, extent.end - offset);
    if (length != 0) found(Candidate{offset, offset + length});
  };
  const auto equal = [](__m128i value, int to) {
    return _mm_cmpeq_epi8(value, _mm_set1_epi8(static_cast<char>(to)));
  };
  for (; at + 18 <= extent.end; at += 16) {
    const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
    const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at + 1));
    const __m128i second =
        _mm_or_si128(_mm_or_si128(equal(next, 0xc7), equal(next, 0x31)), equal(next, 0x01));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(_mm_and_si128(equal(here, 0x0f), second)));
    for (; mask != 0; mask &= mask - 1) check(at + static_cast<unsigned>(std::countr_zero(mask)));
  }
  for (; at + 2 <= extent.end; ++at) check(at);
}

class Scanner {
 public:
  explicit Scanner(ElfCode elf)
      : elf_(std::move(elf)), functions_(elf_), budget_(elf_.bytes().size() + kLeastBudget) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  std::vector<InputInstruction> run() {
    for (const Extent& code : elf_.code()) {
      forEachCandidate(elf_.bytes(), code, [&](Candidate candidate) { confirm(code, candidate); });
    }
    return std::move(sites_);
  }

  std::vector<InputInstruction> runFromTheFirstByte() {
    sweep_.function = {0, elf_.bytes().size()};
    return run();
  }

 private:
  // Bounds the work on hostile files: in real code, a megabyte has a few dozen candidates at most.
  static constexpr uint64_t kMostCandidates = 1 << 16;

  static constexpr uint64_t kLeastBudget = 1 << 20;

  // Where decoding from a function's start has come to.
  struct Sweep {
    Extent function;
    bool known = false;  // by its unwind data, and not only as what follows the entry point
    uint64_t at = 0;
    bool broken = false;
  };
  enum class Landing { kOn, kPast, kLost };

  void confirm(const Extent& code, Candidate candidate) {
    using enum InputInstruction::Confidence;
    if (++candidates_ > kMostCandidates) return;
    uint64_t instruction = 0;
    if (enterFunction(code, candidate.start)) {
      switch (sweepTo(code, candidate, instruction)) {
        case Landing::kOn:
          return report(code, instruction, kFunction);
        case Landing::kPast:
          if (sweep_.known) return;
          break;
        case Landing::kLost:
          break;  // data among the code
      }
    }
    if (synchronises(code, candidate, instruction)) report(code, instruction, kSynchronised);
  }

  // Points the sweep at the function around the candidate, if one is known.
  bool enterFunction(const Extent& code, uint64_t candidate) {
    if (sweep_.function.contains(candidate) && sweep_.at <= candidate) return true;
    auto function = functions_.covering(candidate);
    const bool known = function.has_value();
    if (!known && elf_.entry()) {
      constexpr uint64_t kEntryReach = 4096;
      function = Extent{*elf_.entry(), *elf_.entry() + kEntryReach};
    }
    if (!function || !function->contains(candidate) || !code.contains(function->start)) {
      return false;
    }
    sweep_ = {*function, known, function->start, false};
    return true;
  }

  // Decodes onwards from where the previous candidate of the function was. Functions that overlap
  // many times over exhaust the budget, and nothing else does.
  Landing sweepTo(const Extent& code, Candidate candidate, uint64_t& instruction) {
    ZydisDecodedInstruction decoded;
    if (!sweep_.known) skipPadding(candidate.start);
    while (!sweep_.broken && budget_ != 0 && decode(code, sweep_.at, decoded)) {
      --budget_;
      const uint64_t end = sweep_.at + decoded.length;
      if (end > candidate.start) {
        instruction = sweep_.at;
        return isSite(decoded, sweep_.at, candidate) ? Landing::kOn : Landing::kPast;
      }
      sweep_.at = end;
      if (!sweep_.known) skipPadding(candidate.start);
    }
    sweep_.broken = true;
    return Landing::kLost;
  }

  // Zeros decode, two at a time, but lie between pieces of code and not in them.
  void skipPadding(uint64_t candidate) {
    if (loadAt<uint16_t>(elf_.bytes(), sweep_.at) != 0) return;
    while (sweep_.at < candidate && elf_.bytes()[sweep_.at] == 0) ++sweep_.at;
  }

  // Decoding x86 from a wrong start falls into step with the real instructions soon, or meets bytes
  // that no program contains. So all starts that meet none must land here, enough of them must come
  // from afar, and the result must be used as results of these instructions are.
  bool synchronises(const Extent& code, Candidate found, uint64_t& instruction) {
    const uint64_t candidate = found.start;
    if (!resultIsUsed(code, found)) return false;
    constexpr uint64_t kNearest = 32, kFar = 80, kFarthest = 128, kEnough = 12;
    uint64_t fromAfar = 0;
    for (uint64_t distance = kFarthest; distance >= kNearest; --distance) {
      if (candidate - code.start < distance) continue;
      if (distance < kFar && fromAfar < kEnough) return false;
      const auto landing = decodeTo(code, candidate - distance, candidate);
      if (!landing) continue;
      if (!isSite(landing->decoded, landing->at, found)) return false;
      if (fromAfar != 0 && landing->at != instruction) return false;
      instruction = landing->at;
      if (distance >= kFar) ++fromAfar;
    }
    return fromAfar >= kEnough;
  }

  struct Decoded {
    uint64_t at;
    ZydisDecodedInstruction decoded;
  };

  // The instruction that covers the candidate, if everything before it is plausible.
  std::optional<Decoded> decodeTo(const Extent& code, uint64_t start, uint64_t candidate) {
    Decoded here{start, {}};
    while (budget_ != 0 && decode(code, here.at, here.decoded) && !isImplausible(here.decoded)) {
      --budget_;
      if (here.at + here.decoded.length > candidate) return here;
      here.at += here.decoded.length;
    }
    return std::nullopt;
  }

  // The carry flag, which says whether RDRAND gave a number, is tested; of the counter, the upper
  // half in edx is shifted to its place.
  bool resultIsUsed(const Extent& code, Candidate candidate) const {
    constexpr int kReach = 8;
    const bool random = elf_.bytes()[candidate.start + 1] == 0xc7;
    uint64_t at = candidate.end;
    for (int i = 0; i < kReach; ++i) {
      ZydisDecodedInstruction decoded;
      if (!decode(code, at, decoded) || isImplausible(decoded)) return false;
      if (random && decoded.cpu_flags != nullptr &&
          (decoded.cpu_flags->tested & ZYDIS_CPUFLAG_CF) != 0) {
        return true;
      }
      if (!random && decoded.mnemonic == ZYDIS_MNEMONIC_SHL && decoded.operand_width == 64 &&
          decoded.raw.imm[0].value.u == 32) {
        return true;
      }
      at += decoded.length;
      // Go's runtime.cputicks shares the shift between its two ways to read the counter.
      if (decoded.mnemonic == ZYDIS_MNEMONIC_JMP &&
          (decoded.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0) {
        at += static_cast<uint64_t>(decoded.raw.imm[0].value.s);
        if (!code.contains(at)) return false;
      }
    }
    return false;
  }

  bool decode(const Extent& code, uint64_t at, ZydisDecodedInstruction& decoded) const {
    return at < code.end &&
           ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, elf_.bytes().data() + at,
                                                      code.end - at, &decoded));
  }

  static bool isImplausible(const ZydisDecodedInstruction& decoded) {
    return (decoded.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0 ||
           decoded.meta.category == ZYDIS_CATEGORY_IO ||
           decoded.meta.category == ZYDIS_CATEGORY_IOSTRINGOP ||
           decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
  }

  static std::optional<InputInstruction::Kind> kindOf(const ZydisDecodedInstruction& decoded) {
    using enum InputInstruction::Kind;
    switch (decoded.mnemonic) {
      case ZYDIS_MNEMONIC_RDRAND:
        return kRdrand;
      case ZYDIS_MNEMONIC_RDSEED:
        return kRdseed;
      case ZYDIS_MNEMONIC_RDTSC:
        return kRdtsc;
      case ZYDIS_MNEMONIC_RDTSCP:
        return kRdtscp;
      default:
        return std::nullopt;
    }
  }

  // Is this, decoded at `at`, the instruction whose opcode is the candidate?
  static bool isSite(const ZydisDecodedInstruction& decoded, uint64_t at, Candidate candidate) {
    return kindOf(decoded) && at + decoded.length == candidate.end;
  }

  void report(const Extent& code, uint64_t at, InputInstruction::Confidence confidence) {
    ZydisDecodedInstruction decoded;
    if (!decode(code, at, decoded)) return;
    InputInstruction site{at, decoded.length, *kindOf(decoded), 0, 0, confidence};
    if (site.kind <= InputInstruction::Kind::kRdseed) {
      site.operandBits = decoded.operand_width;
      site.reg = static_cast<uint8_t>(decoded.raw.modrm.rm | decoded.raw.rex.B << 3);
    }
    sites_.push_back(site);
  }

  const ElfCode elf_;
  const ElfFunctions functions_;
  ZydisDecoder decoder_;
  Sweep sweep_;
  uint64_t budget_;  // instructions to decode
  uint64_t candidates_ = 0;
  std::vector<InputInstruction> sites_;
};

}  // namespace

std::vector<InputInstruction> findInputInstructions(Bytes elfBytes) {
  return Scanner(ElfCode(elfBytes)).run();
}

std::vector<InputInstruction> findInputInstructionsOfCode(Bytes code) {
  return Scanner(ElfCode::ofCode(code)).runFromTheFirstByte();
}

}  // namespace airr
