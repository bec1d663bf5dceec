#include "mediator/elf_functions.h"

#include <algorithm>
#include <span>

namespace airr {
namespace {

using Bytes = std::span<const uint8_t>;

// Real files have up to some hundred thousand.
constexpr size_t kMostFunctions = 1 << 20;

// Formats of pointers in exception frames: the lower half is the size, the upper half what it is
// relative to.
constexpr uint8_t kAbsolute = 0x00, kUdata4 = 0x03, kUdata8 = 0x04, kSdata4 = 0x0b, kSdata8 = 0x0c;
constexpr uint8_t kToItself = 0x10;

bool skipLeb(Bytes bytes, uint64_t& at) {
  for (int i = 0; i < 10; ++i) {
    const auto byte = loadAt<uint8_t>(bytes, at++);
    if (!byte) return false;
    if ((*byte & 0x80) == 0) return true;
  }
  return false;
}

// The letter R of a common information entry's augmentation, or the format that goes without it.
std::optional<uint8_t> pointerFormat(Bytes bytes, uint64_t entry) {
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
  if (count == 0) return kAbsolute;
  if (bytes[letters] != 'z') return std::nullopt;
  // Code alignment, data alignment, return address register, length of what follows.
  for (int field = 0; field < 4; ++field) {
    if (!skipLeb(bytes, at)) return std::nullopt;
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
  return kAbsolute;
}

// Where .eh_frame is: its index knows, which static programs do without, or the section headers.
std::optional<Extent> frames(const ElfCode& elf) {
  if (elf.unwindIndex()) {
    const auto at = elf.offsetOf(*elf.unwindIndex());
    const auto version = at ? loadAt<uint8_t>(elf.bytes(), *at) : std::nullopt;
    const auto format = at ? loadAt<uint8_t>(elf.bytes(), *at + 1) : std::nullopt;
    const auto distance = at ? loadAt<int32_t>(elf.bytes(), *at + 4) : std::nullopt;
    if (distance && version == 1 && format == (kToItself | kSdata4)) {
      const auto start = elf.offsetOf(*elf.unwindIndex() + 4 + static_cast<uint64_t>(int64_t{*distance}));
      if (start) return Extent{*start, elf.bytes().size()};
    }
  }
  return elf.section(".eh_frame");
}

}  // namespace

ElfFunctions::ElfFunctions(const ElfCode& elf) {
  addFrames(elf);
  addGo(elf);
  std::stable_sort(functions_.begin(), functions_.end(),
                   [](const Extent& a, const Extent& b) { return a.start < b.start; });
  functions_.erase(std::unique(functions_.begin(), functions_.end(),
                               [](const Extent& a, const Extent& b) { return a.start == b.start; }),
                   functions_.end());
}

void ElfFunctions::add(const ElfCode& elf, uint64_t address, uint64_t length) {
  const auto start = elf.offsetOf(address);
  // Both in one segment, or the bytes between them are no code.
  if (!start || length == 0 || elf.addressOf(*start) != address || functions_.size() == kMostFunctions) return;
  functions_.push_back({*start, *start + std::min<uint64_t>(length, elf.bytes().size() - *start)});
}

// Entries follow each other, each with its length in front; one of length 0 ends them. A function's
// entry says how far back that is which it shares with others.
void ElfFunctions::addFrames(const ElfCode& elf) {
  const auto section = frames(elf);
  const Bytes bytes = elf.bytes();
  uint64_t shared = UINT64_MAX;
  std::optional<uint8_t> format;
  for (uint64_t at = section ? section->start : 0; section && at < section->end;) {
    const auto size = loadAt<uint32_t>(bytes, at);
    const auto back = loadAt<uint32_t>(bytes, at + 4);
    if (!size || !back || *size == 0 || *size == UINT32_MAX) return;
    const uint64_t entry = at;
    at += 4 + uint64_t{*size};
    if (*back == 0 || *back > entry + 4) continue;
    if (entry + 4 - *back != shared) {
      shared = entry + 4 - *back;
      format = pointerFormat(bytes, shared);
    }
    if (!format || ((*format & 0xf0) != kToItself && (*format & 0xf0) != kAbsolute)) continue;
    const uint64_t field = entry + 8;
    const auto fieldAddress = elf.addressInFile(field);
    if (!fieldAddress) continue;
    const uint64_t base = (*format & 0xf0) == kToItself ? *fieldAddress : 0;
    const uint8_t kind = *format & 0x0f;
    if (kind == kUdata4 || kind == kSdata4) {
      const auto start = loadAt<int32_t>(bytes, field);
      const auto length = loadAt<uint32_t>(bytes, field + 4);
      const uint64_t distance = kind == kSdata4 ? static_cast<uint64_t>(int64_t{start.value_or(0)})
                                                : static_cast<uint32_t>(start.value_or(0));
      if (start && length) add(elf, base + distance, *length);
    } else if (kind == kAbsolute || kind == kUdata8 || kind == kSdata8) {
      const auto start = loadAt<uint64_t>(bytes, field);
      const auto length = loadAt<uint64_t>(bytes, field + 8);
      if (start && length) add(elf, base + *start, *length);
    }
  }
}

// Go, src/runtime/symtab.go (pcHeader, functab): starts of functions, ascending, each beside where
// more is said of it, and the end of the last.
void ElfFunctions::addGo(const ElfCode& elf) {
  const auto section = elf.section(".gopclntab");
  if (!section) return;
  const Bytes bytes = elf.bytes();
  const auto magic = loadAt<uint32_t>(bytes, section->start);
  const auto minimum = loadAt<uint8_t>(bytes, section->start + 6);
  const auto pointer = loadAt<uint8_t>(bytes, section->start + 7);
  const auto count = loadAt<uint64_t>(bytes, section->start + 8);
  const auto text = loadAt<uint64_t>(bytes, section->start + 24);
  const auto table = loadAt<uint64_t>(bytes, section->start + 64);
  constexpr uint32_t kGo118 = 0xfffffff0, kGo120 = 0xfffffff1;
  if (!table || (*magic != kGo118 && *magic != kGo120) || *minimum != 1 || *pointer != 8) return;
  // Where text is not known before the program is loaded, neither are functions.
  if (*text == 0 || *table >= section->end - section->start) return;
  const uint64_t first = section->start + *table;
  constexpr uint64_t kEntry = 8;
  for (uint64_t i = 0; i < *count; ++i) {
    const auto start = loadAt<uint32_t>(bytes, first + i * kEntry);
    const auto next = loadAt<uint32_t>(bytes, first + (i + 1) * kEntry);
    if (!start || !next || *next <= *start) return;
    const auto offset = elf.offsetOf(*text + *start);
    if (!offset) return;
    // INT3 fills up to the next function. Some of it may be the end of the last instruction, which
    // can have a constant of eight bytes.
    constexpr uint8_t kFill = 0xcc;
    constexpr uint64_t kConstant = 8;
    const uint64_t end = std::min<uint64_t>(*offset + (*next - *start), bytes.size());
    uint64_t fill = 0;
    while (fill < end - *offset && bytes[end - fill - 1] == kFill) ++fill;
    add(elf, *text + *start, *next - *start - (fill > kConstant ? fill - kConstant : 0));
  }
}

std::vector<Extent>::const_iterator ElfFunctions::behind(uint64_t offset) const {
  return std::upper_bound(functions_.begin(), functions_.end(), offset,
                          [](uint64_t at, const Extent& function) { return at < function.start; });
}

std::optional<Extent> ElfFunctions::covering(uint64_t offset) const {
  const auto next = behind(offset);
  if (next == functions_.begin() || !std::prev(next)->contains(offset)) return std::nullopt;
  return *std::prev(next);
}

std::vector<Extent> ElfFunctions::gapsNear(uint64_t offset, uint64_t reach) const {
  std::vector<Extent> gaps;
  auto at = behind(offset > reach ? offset - reach : 0);
  if (at != functions_.begin()) --at;
  for (; at != functions_.end() && std::next(at) != functions_.end(); ++at) {
    if (at->start > offset + reach) break;
    if (at->end < std::next(at)->start) gaps.push_back({at->end, std::next(at)->start});
  }
  return gaps;
}

}  // namespace airr
