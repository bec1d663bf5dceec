#include "mediator/elf_code.h"

#include <elf.h>

#include <algorithm>

namespace airr {
namespace {

// Real files have up to a dozen; addresses are looked up linearly.
constexpr size_t kMostSegments = 256;
constexpr uint8_t kUdata4 = 0x03, kUdata8 = 0x04, kSdata4 = 0x0b, kSdata8 = 0x0c;

}  // namespace

ElfCode ElfCode::ofCode(std::span<const uint8_t> bytes) {
  ElfCode elf{std::span<const uint8_t>()};
  elf.bytes_ = bytes;
  elf.code_ = {{0, bytes.size()}};
  return elf;
}

ElfCode::ElfCode(std::span<const uint8_t> bytes) : bytes_(bytes) {
  const auto header = loadAt<Elf64_Ehdr>(bytes, 0);
  if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != EM_X86_64 || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return;
  }
  // The count is 16 bits wide, and each header lies in the file.
  for (uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = loadAt<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) break;
    if (segment->p_type == PT_LOAD)
      addSegment(segment->p_offset, segment->p_filesz, segment->p_vaddr, (segment->p_flags & PF_X) != 0);
    if (segment->p_type == PT_GNU_EH_FRAME) unwindIndex_ = segment->p_vaddr;
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& a, const Segment& b) { return a.file.start < b.file.start; });
  mergeCode();
  entry_ = offsetOf(header->e_entry);
}

std::optional<uint64_t> ElfCode::offsetOf(uint64_t address) const {
  for (const Segment& segment : segments_) {
    const uint64_t distance = address - segment.address;
    if (address >= segment.address && distance < segment.file.end - segment.file.start)
      return segment.file.start + distance;
  }
  return std::nullopt;
}

std::optional<uint64_t> ElfCode::addressOf(uint64_t offset) const {
  for (const Segment& segment : segments_) {
    if (segment.executable && segment.file.contains(offset))
      return segment.address + (offset - segment.file.start);
  }
  return std::nullopt;
}

void ElfCode::addSegment(uint64_t offset, uint64_t size, uint64_t address, bool executable) {
  if (segments_.size() == kMostSegments || offset >= bytes_.size()) return;
  const uint64_t length = std::min<uint64_t>(size, bytes_.size() - offset);
  if (length != 0) segments_.push_back({{offset, offset + length}, address, executable});
}

void ElfCode::mergeCode() {
  for (const Segment& segment : segments_) {
    if (!segment.executable) continue;
    if (!code_.empty() && segment.file.start <= code_.back().end) {
      code_.back().end = std::max(code_.back().end, segment.file.end);
    } else {
      code_.push_back(segment.file);
    }
  }
}

ElfFunctions::ElfFunctions(const ElfCode& elf) : elf_(elf) {
  if (!elf.unwindIndex()) return;
  const auto at = elf.offsetOf(*elf.unwindIndex());
  if (!at) return;
  constexpr uint64_t kHeaderSize = 12;
  const auto version = loadAt<uint8_t>(elf.bytes(), *at);
  const auto pointerEncoding = loadAt<uint8_t>(elf.bytes(), *at + 1);
  const auto countEncoding = loadAt<uint8_t>(elf.bytes(), *at + 2);
  const auto tableEncoding = loadAt<uint8_t>(elf.bytes(), *at + 3);
  const auto count = loadAt<uint32_t>(elf.bytes(), *at + 8);
  // What every linker writes: a 4-byte pointer, udata4, and datarel | sdata4.
  if (!count || version != 1 || (*pointerEncoding & 0x0f) != kSdata4 || countEncoding != 0x03 ||
      tableEncoding != 0x3b) {
    return;
  }
  table_ = *at + kHeaderSize;
  count_ = std::min<uint64_t>(*count, (elf.bytes().size() - table_) / kEntrySize);
  for (uint64_t i = 1; i < count_; ++i) {
    if (start(i) < start(i - 1)) count_ = 0;  // not the sorted table that it has to be
  }
}

int32_t ElfFunctions::start(uint64_t index) const {
  return *loadAt<int32_t>(elf_.bytes(), table_ + index * kEntrySize);
}

uint64_t ElfFunctions::entryBehind(uint64_t address) const {
  const auto relative = static_cast<int64_t>(address - *elf_.unwindIndex());
  uint64_t low = 0, high = count_;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (start(middle) <= relative) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<Extent> ElfFunctions::covering(uint64_t offset) const {
  const auto address = elf_.addressOf(offset);
  if (!address || count_ == 0) return std::nullopt;
  const uint64_t behind = entryBehind(*address);
  if (behind == 0) return std::nullopt;
  const uint64_t begin = *elf_.unwindIndex() + static_cast<uint64_t>(int64_t{start(behind - 1)});
  const auto length = lengthOf(behind - 1);
  const auto beginOffset = elf_.offsetOf(begin);
  if (!length || !beginOffset || *address - begin >= *length) return std::nullopt;
  // Both in one segment, or the bytes between them are no code.
  if (*beginOffset > offset || offset - *beginOffset != *address - begin) return std::nullopt;
  return Extent{*beginOffset,
                *beginOffset + std::min<uint64_t>(*length, elf_.bytes().size() - *beginOffset)};
}

std::vector<Extent> ElfFunctions::gapsNear(uint64_t offset, uint64_t reach) const {
  std::vector<Extent> gaps;
  const auto address = elf_.addressOf(offset);
  if (!address || count_ == 0) return gaps;
  const uint64_t low = *address > reach ? *address - reach : 0;
  const uint64_t first = entryBehind(low);
  constexpr uint64_t kMostFunctions = 256;  // real ones take some bytes each
  for (uint64_t i = first == 0 ? 0 : first - 1; i + 1 < count_ && i < first + kMostFunctions; ++i) {
    const auto length = lengthOf(i);
    const uint64_t begin = *elf_.unwindIndex() + static_cast<uint64_t>(int64_t{start(i)});
    const uint64_t next = *elf_.unwindIndex() + static_cast<uint64_t>(int64_t{start(i + 1)});
    if (begin > *address + reach) break;
    if (!length || *length > next - begin || begin + *length == next) continue;
    const auto from = elf_.offsetOf(begin + *length), end = elf_.offsetOf(next);
    if (from && end && *end - *from == next - begin - *length) gaps.push_back({*from, *end});
  }
  return gaps;
}

// The length field of the index's frame description entry: it follows the start, in the same
// format, which the common information entry names.
std::optional<uint64_t> ElfFunctions::lengthOf(uint64_t index) const {
  const std::span<const uint8_t> bytes = elf_.bytes();
  const int64_t relative = *loadAt<int32_t>(bytes, table_ + index * kEntrySize + 4);
  const auto frame = elf_.offsetOf(*elf_.unwindIndex() + static_cast<uint64_t>(relative));
  if (!frame) return std::nullopt;
  const auto size = loadAt<uint32_t>(bytes, *frame);
  const auto back = loadAt<uint32_t>(bytes, *frame + 4);
  if (!size || !back || *size == 0 || *size == UINT32_MAX || *back == 0 || *back > *frame + 4) {
    return std::nullopt;
  }
  const auto encoding = pointerEncoding(*frame + 4 - *back);
  if (!encoding) return std::nullopt;
  switch (*encoding & 0x0f) {
    case 0x00:  // a pointer, 8 bytes
    case kUdata8:
    case kSdata8:
      return loadAt<uint64_t>(bytes, *frame + 16);
    case kUdata4:
    case kSdata4:
      return loadAt<uint32_t>(bytes, *frame + 12);
    default:
      return std::nullopt;
  }
}

// The letter R of a common information entry's augmentation.
std::optional<uint8_t> ElfFunctions::pointerEncoding(uint64_t entry) const {
  const std::span<const uint8_t> bytes = elf_.bytes();
  uint64_t at = entry + 8;
  const auto version = loadAt<uint8_t>(bytes, at++);
  if (!version || (*version != 1 && *version != 3)) return std::nullopt;
  constexpr uint64_t kMostLetters = 8;
  const uint64_t letters = at;
  uint64_t count = 0;
  for (;; ++count) {
    const auto letter = loadAt<uint8_t>(bytes, letters + count);
    if (!letter || count == kMostLetters) return std::nullopt;
    if (*letter == 0) break;
  }
  at += count + 1;
  if (count == 0) return 0;
  if (bytes[letters] != 'z') return std::nullopt;
  // Code alignment, data alignment, return address register, length of what follows.
  for (int field = 0; field < 4; ++field) {
    if (!skipLeb(at)) return std::nullopt;
  }
  for (uint64_t i = 1; i < count; ++i) {
    const auto value = loadAt<uint8_t>(bytes, at);
    switch (bytes[letters + i]) {
      case 'R':
        return value;
      case 'L':
        at += 1;
        break;
      case 'P':
        if (!value) return std::nullopt;
        at += 1 + ((*value & 0x0f) == kUdata4 || (*value & 0x0f) == kSdata4 ? 4 : 8);
        break;
      case 'S':
      case 'B':
        break;
      default:
        return std::nullopt;
    }
  }
  return 0;
}

bool ElfFunctions::skipLeb(uint64_t& at) const {
  for (int i = 0; i < 10; ++i) {
    const auto byte = loadAt<uint8_t>(elf_.bytes(), at++);
    if (!byte) return false;
    if ((*byte & 0x80) == 0) return true;
  }
  return false;
}

}  // namespace airr
