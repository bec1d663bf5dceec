#include "mediator/elf_code.h"

#include <elf.h>

#include <algorithm>

namespace airr {
namespace {

// Real files have up to a dozen; addresses are looked up linearly.
constexpr size_t kMostSegments = 256;

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

std::optional<uint64_t> ElfCode::addressInFile(uint64_t offset) const {
  for (const Segment& segment : segments_) {
    if (segment.file.contains(offset)) return segment.address + (offset - segment.file.start);
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

std::optional<Extent> ElfCode::section(std::string_view name) const {
  const auto header = loadAt<Elf64_Ehdr>(bytes_, 0);
  if (!header || code_.empty() || header->e_shentsize != sizeof(Elf64_Shdr)) return std::nullopt;
  const auto at = [&](uint64_t index) {
    return loadAt<Elf64_Shdr>(bytes_, header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  const auto names = at(header->e_shstrndx);
  if (!names) return std::nullopt;
  for (uint64_t i = 1; i < header->e_shnum; ++i) {
    const auto section = at(i);
    if (!section) return std::nullopt;
    const uint64_t nameAt = names->sh_offset + section->sh_name;
    const bool there = nameAt < bytes_.size() && bytes_.size() - nameAt > name.size();
    if (!there || memcmp(bytes_.data() + nameAt, name.data(), name.size()) != 0 ||
        bytes_[nameAt + name.size()] != 0)
      continue;
    if (section->sh_type == SHT_NOBITS || section->sh_offset >= bytes_.size()) return std::nullopt;
    return Extent{section->sh_offset,
                  section->sh_offset + std::min<uint64_t>(section->sh_size, bytes_.size() - section->sh_offset)};
  }
  return std::nullopt;
}

}  // namespace airr
