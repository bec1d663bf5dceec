#include "mediator/call_sites.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <map>
#include <optional>

#include "mediator/elf_code.h"
#include "mediator/elf_functions.h"

namespace airr {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr uint64_t kSyscall = 2;  // its length
// Bounds the work on hostile files.
constexpr size_t kMostCandidates = 1 << 14;
constexpr uint64_t kMostFunction = 1 << 20;

class Finder {
 public:
  explicit Finder(Bytes bytes)
      : elf_(bytes), functions_(elf_), budget_(bytes.size() + kMostFunction) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  }

  std::vector<CallSite> run() {
    size_t candidates = 0;
    for (const Extent& code : elf_.code()) {
      const uint8_t* const data = elf_.bytes().data();
      for (uint64_t at = code.start; at + kSyscall <= code.end; ++at) {
        const void* next = memchr(data + at, 0x0f, code.end - at - 1);
        if (next == nullptr) break;
        at = static_cast<uint64_t>(static_cast<const uint8_t*>(next) - data);
        const bool site = data[at + 1] == 0x05 || data[at + 1] == 0x31;  // SYSCALL, RDTSC
        if (site && ++candidates <= kMostCandidates) consider(code, at);
      }
    }
    dropTargets();
    return std::move(sites_);
  }

 private:
  struct Decoded {
    uint64_t at = 0;
    ZydisDecodedInstruction instruction;
  };

  void consider(const Extent& code, uint64_t at) {
    const auto function = functions_.covering(at);
    if (!function || function->end > code.end || function->start < code.start ||
        function->end - function->start > kMostFunction)
      return;
    if (!sweepTo(*function, at)) return;
    const bool counter = elf_.bytes()[at + 1] == 0x31;
    const uint16_t number = counter ? CallSite::kCounter : numberBefore();
    if (const auto padding = takePadding(at + kSyscall))
      return sites_.push_back({at, 0, 0, *padding, number});
    if (counter) return considerBehind(*function, at);
    uint8_t before = 0;
    for (size_t i = previous_.size(); i-- > 0 && before + kSyscall < CallSite::kJump;) {
      if (!canMove(previous_[i].instruction)) return;
      before = static_cast<uint8_t>(before + previous_[i].instruction.length);
    }
    if (before + kSyscall < CallSite::kJump || before > CallSite::kMostMoved || at - before < claimedTo_) return;
    sites_.push_back({at, before, 0, 0, number});
  }

  void considerBehind(const Extent& function, uint64_t at) {
    uint8_t behind = 0;
    while (behind + kSyscall < CallSite::kJump) {
      ZydisDecodedInstruction instruction;
      const uint64_t next = at + kSyscall + behind;
      if (!decode(next, function.end, instruction)) return;
      const bool leaFirst =
          behind == 0 && isRipRelativeLea(elf_.bytes().subspan(next, instruction.length));
      if (!leaFirst && !canMove(instruction)) return;
      behind = static_cast<uint8_t>(behind + instruction.length);
    }
    if (behind > CallSite::kMostMoved || at < claimedTo_) return;
    sites_.push_back({at, 0, behind, 0, CallSite::kCounter});
    claimedTo_ = at + kSyscall + behind;
  }

  // The constant that the instructions right before seem to load into eax: a guess.
  uint16_t numberBefore() const {
    for (auto before = previous_.rbegin(); before != previous_.rend(); ++before) {
      const uint8_t* const bytes = elf_.bytes().data() + before->at;
      if (before->instruction.length == 5 && bytes[0] == 0xb8) {  // mov $number, %eax
        const auto number = *loadAt<uint32_t>(elf_.bytes(), before->at + 1);
        return number < CallSite::kCounter ? static_cast<uint16_t>(number) : CallSite::kUnknown;
      }
      const bool zero = before->instruction.length == 2 && (bytes[0] == 0x31 || bytes[0] == 0x33) && bytes[1] == 0xc0;
      if (zero) return 0;  // xor %eax, %eax
    }
    return CallSite::kUnknown;
  }

  // Decodes from the function's start; true if an instruction `syscall` is met at `at`. previous_
  // has the instructions right before it then.
  bool sweepTo(const Extent& function, uint64_t at) {
    if (function.start != sweptStart_ || sweptTo_ > at) {
      sweptStart_ = sweptTo_ = function.start;
      previous_.clear();
    }
    while (sweptTo_ <= at && budget_ != 0) {
      --budget_;
      Decoded here{sweptTo_, {}};
      if (!decode(sweptTo_, function.end, here.instruction)) return false;
      if (sweptTo_ == at) {
        const auto mnemonic = here.instruction.mnemonic;
        return (mnemonic == ZYDIS_MNEMONIC_SYSCALL || mnemonic == ZYDIS_MNEMONIC_RDTSC) &&
               here.instruction.length == kSyscall;
      }
      sweptTo_ += here.instruction.length;
      constexpr size_t kKept = 5;
      if (previous_.size() == kKept) previous_.erase(previous_.begin());
      previous_.push_back(here);
    }
    return false;
  }

  bool decode(uint64_t at, uint64_t end, ZydisDecodedInstruction& to) const {
    return at < end && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                           &decoder_, nullptr, elf_.bytes().data() + at, end - at, &to));
  }

  // Can be run elsewhere with the same effect, and cannot fault: it uses registers, or what lies on
  // the stack.
  static bool canMove(const ZydisDecodedInstruction& instruction) {
    if ((instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0) return false;
    switch (instruction.mnemonic) {
      case ZYDIS_MNEMONIC_LEA:
        return true;
      case ZYDIS_MNEMONIC_XOR:
      case ZYDIS_MNEMONIC_MOV:
      case ZYDIS_MNEMONIC_OR:
      case ZYDIS_MNEMONIC_SHL:
        return !hasMemory(instruction) || isOnStack(instruction);
      default:
        return false;
    }
  }

  static bool hasMemory(const ZydisDecodedInstruction& instruction) {
    constexpr uint8_t kRegister = 3;
    return (instruction.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && instruction.raw.modrm.mod != kRegister;
  }

  // Relative to the stack pointer, or below the frame pointer, where locals are.
  static bool isOnStack(const ZydisDecodedInstruction& instruction) {
    constexpr uint8_t kStackPointer = 4, kFramePointer = 5;
    if (instruction.raw.rex.B != 0) return false;
    if ((instruction.attributes & ZYDIS_ATTRIB_HAS_SIB) != 0)
      return instruction.raw.sib.base == kStackPointer && instruction.raw.sib.index == kStackPointer &&
             instruction.raw.rex.X == 0;
    return instruction.raw.modrm.mod != 0 && instruction.raw.modrm.rm == kFramePointer &&
           instruction.raw.disp.value < 0;
  }

  // Room for a jump within reach of a short one, from what no other site has taken.
  std::optional<int8_t> takePadding(uint64_t behind) {
    constexpr uint64_t kReach = 127;
    for (const Extent& gap : functions_.gapsNear(behind, kReach)) {
      if (!isPadding(gap)) continue;
      uint64_t& used = taken_.try_emplace(gap.start, gap.start).first->second;
      if (gap.end - used < CallSite::kJump) continue;
      const auto distance = static_cast<int64_t>(used - behind);
      if (distance < INT8_MIN || distance > INT8_MAX || distance == 0) continue;
      used += CallSite::kJump;
      return static_cast<int8_t>(distance);
    }
    return std::nullopt;
  }

  bool isPadding(const Extent& gap) const {
    constexpr uint64_t kMostPadding = 64;
    if (gap.end - gap.start > kMostPadding) return false;
    for (uint64_t at = gap.start; at < gap.end;) {
      ZydisDecodedInstruction instruction;
      if (!decode(at, gap.end, instruction)) return false;
      if (instruction.mnemonic != ZYDIS_MNEMONIC_NOP && instruction.mnemonic != ZYDIS_MNEMONIC_INT3)
        return false;
      at += instruction.length;
    }
    return true;
  }

  // What a jump must not lead to: all that gives way but its first byte.
  static uint64_t firstInside(const CallSite& site) { return site.offset - site.before + 1; }
  static uint64_t endInside(const CallSite& site) {
    return site.behind != 0 ? site.offset + kSyscall + site.behind : site.before != 0 ? site.offset + 1 : 0;
  }

  // Whether what stands before could be an instruction that goes on with a distance: CALL, JMP, Jcc,
  // XBEGIN, or any with an address relative to itself, such as a LEA of a label.
  static bool endsInDistance(const uint8_t* at) {
    const uint8_t last = at[-1], before = at[-2];
    return last == 0xe8 || last == 0xe9 || (before == 0x0f && (last & 0xf0) == 0x80) ||
           (before == 0xc7 && last == 0xf8) || (last & 0xc7) == 0x05;
  }

  // Where the instructions of a function start. False if it is not all code.
  bool findStarts(const Extent& function) {
    if (startsOf_ == function.start) return startsFound_;
    startsOf_ = function.start;
    starts_.assign(function.end - function.start, false);
    startsFound_ = false;
    for (uint64_t at = function.start; at < function.end;) {
      ZydisDecodedInstruction instruction;
      if (budget_ == 0 || !decode(at, function.end, instruction)) return false;
      --budget_;
      starts_[at - function.start] = true;
      at += instruction.length;
    }
    return startsFound_ = true;
  }

  // Whether four bytes are the distance in an instruction; or may be, where it is not known what the code is.
  bool isDistance(uint64_t at) {
    const auto function = functions_.covering(at);
    if (!function || function->end - function->start > kMostFunction || !findStarts(*function)) return true;
    uint64_t start = at;
    while (!starts_[start - function->start]) --start;
    ZydisDecodedInstruction instruction;
    if (!decode(start, function->end, instruction)) return true;
    const auto holds = [&](uint8_t size, uint8_t offset) { return size == 32 && start + offset == at; };
    return (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0 &&
           (holds(instruction.raw.disp.size, instruction.raw.disp.offset) ||
            holds(instruction.raw.imm[0].size, instruction.raw.imm[0].offset));
  }

  // Leaves out sites with a jump to the middle of what gives way. Whatever could be the distance of a
  // long jump is taken for one, in code that is not known, and so is a short one from another function.
  void dropTargets() {
    std::vector<bool> inside(elf_.bytes().size());
    bool any = false;
    for (const CallSite& site : sites_) {
      for (uint64_t at = firstInside(site); at < endInside(site); ++at) inside[at] = any = true;
    }
    if (!any) return;
    std::vector<bool> hit(elf_.bytes().size());
    const auto isInside = [&](uint64_t target) { return target < inside.size() && inside[target]; };
    const uint8_t* const data = elf_.bytes().data();
    for (const Extent& code : elf_.code()) {
      // File and memory distances are the same inside one segment, where alone sites have code.
      for (uint64_t at = code.start + 2; at + 4 <= code.end; ++at) {
        if (!endsInDistance(data + at)) continue;
        int32_t distance;
        memcpy(&distance, data + at, sizeof distance);
        const uint64_t target = at + 4 + static_cast<uint64_t>(int64_t{distance});
        if (isInside(target) && isDistance(at)) hit[target] = true;
      }
    }
    std::erase_if(sites_, [&](const CallSite& site) {
      constexpr uint64_t kShort = 130;
      if (site.before == 0 && site.behind == 0) return false;
      const uint64_t from = site.offset > kShort ? site.offset - kShort : 0;
      const uint64_t end = std::min<uint64_t>(site.offset + kShort, elf_.bytes().size() - 1);
      const auto function = functions_.covering(site.offset);
      const bool swept = function && findStarts(*function);
      for (uint64_t at = from; at < end; ++at) {
        if (swept && at >= function->start && at < function->end && !starts_[at - function->start]) continue;
        const bool jump =
            (data[at] & 0xf0) == 0x70 || data[at] == 0xeb || (data[at] & 0xfc) == 0xe0;
        const uint64_t target = at + 2 + static_cast<uint64_t>(int64_t{static_cast<int8_t>(data[at + 1])});
        if (jump && isInside(target)) hit[target] = true;
      }
      for (uint64_t at = firstInside(site); at < endInside(site); ++at)
        if (hit[at]) return true;
      return false;
    });
  }

  const ElfCode elf_;
  const ElfFunctions functions_;
  ZydisDecoder decoder_;
  uint64_t budget_;  // instructions to decode
  uint64_t sweptStart_ = 0, sweptTo_ = 0;
  std::vector<Decoded> previous_;
  uint64_t startsOf_ = UINT64_MAX;  // the function that starts_ is about
  bool startsFound_ = false;
  std::vector<bool> starts_;
  uint64_t claimedTo_ = 0;  // the end of what last gives way behind a site
  std::map<uint64_t, uint64_t> taken_;  // padding: start → first byte that is free
  std::vector<CallSite> sites_;
};

}  // namespace

bool isRipRelativeLea(Bytes instruction) {
  return instruction.size() == kLeaLength && (instruction[0] & 0xfb) == 0x48 && instruction[1] == 0x8d &&
         (instruction[2] & 0xc7) == 0x05;
}

std::vector<CallSite> findCallSites(Bytes elfBytes) { return Finder(elfBytes).run(); }

}  // namespace airr
