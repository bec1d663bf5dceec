#include "mediator/elf_functions.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace airr {
namespace {

using ByteVector = std::vector<uint8_t>;

constexpr const char* kLibc = "/usr/lib/x86_64-linux-gnu/libc.so.6";

ByteVector contentOf(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <class T>
T& at(ByteVector& bytes, uint64_t offset) {
  return *reinterpret_cast<T*>(bytes.data() + offset);
}

void dropUnwindIndex(ByteVector& file) {
  const auto header = at<Elf64_Ehdr>(file, 0);
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    auto& segment = at<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_GNU_EH_FRAME) segment.p_type = PT_NULL;
  }
}

// What covers every 16th byte of the file.
std::vector<std::pair<uint64_t, uint64_t>> functionsOf(const ByteVector& file) {
  const ElfCode elf(file);
  const ElfFunctions functions(elf);
  std::vector<std::pair<uint64_t, uint64_t>> found;
  for (uint64_t offset = 0; offset < file.size(); offset += 16) {
    const auto function = functions.covering(offset);
    if (!function) continue;
    EXPECT_TRUE(function->contains(offset));
    EXPECT_LE(function->end, file.size());
    if (found.empty() || found.back().first != function->start) found.emplace_back(function->start, function->end);
  }
  return found;
}

TEST(ElfFunctions, FramesAreFoundByTheirIndexOrTheirSection) {
  ByteVector file = contentOf(kLibc);
  const auto byIndex = functionsOf(file);
  EXPECT_GT(byIndex.size(), 2000u);
  dropUnwindIndex(file);
  EXPECT_EQ(functionsOf(file), byIndex);
  at<Elf64_Ehdr>(file, 0).e_shnum = 0;
  EXPECT_TRUE(functionsOf(file).empty());
}

// An executable that has been built by Go, with functions of these lengths, each filled up to 32 bytes with INT3.
ByteVector goProgram(const std::vector<uint32_t>& lengths, uint32_t magic) {
  constexpr uint64_t kText = 0x1000, kAddress = 0x401000, kTable = 0x3000, kNames = 0x4000, kSections = 0x5000;
  ByteVector file(0x6000);
  auto& header = at<Elf64_Ehdr>(file, 0);
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shoff = kSections;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;
  at<Elf64_Phdr>(file, header.e_phoff) = {PT_LOAD, PF_R | PF_X, kText, kAddress, kAddress, 0x1000, 0x1000, 0x1000};
  constexpr char kStrings[] = "\0.gopclntab";
  std::copy(std::begin(kStrings), std::end(kStrings), file.begin() + kNames);
  at<Elf64_Shdr>(file, kSections + sizeof(Elf64_Shdr)) = {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_flags = 0,
                                                        .sh_addr = 0, .sh_offset = kTable, .sh_size = 0x800,
                                                        .sh_link = 0, .sh_info = 0, .sh_addralign = 1, .sh_entsize = 0};
  at<Elf64_Shdr>(file, kSections + 2 * sizeof(Elf64_Shdr)) = {
      .sh_name = 0, .sh_type = SHT_STRTAB, .sh_flags = 0, .sh_addr = 0, .sh_offset = kNames,
      .sh_size = sizeof kStrings, .sh_link = 0, .sh_info = 0, .sh_addralign = 1, .sh_entsize = 0};

  constexpr uint64_t kEntries = 0x100;
  at<uint32_t>(file, kTable) = magic;
  at<uint8_t>(file, kTable + 6) = 1;
  at<uint8_t>(file, kTable + 7) = 8;
  at<uint64_t>(file, kTable + 8) = lengths.size();
  at<uint64_t>(file, kTable + 24) = kAddress;
  at<uint64_t>(file, kTable + 64) = kEntries;
  uint32_t start = 0;
  for (size_t i = 0; i <= lengths.size(); ++i) {
    at<uint32_t>(file, kTable + kEntries + 8 * i) = start;
    if (i == lengths.size()) break;
    const uint32_t end = (start + lengths[i] + 31) / 32 * 32;
    std::fill_n(file.begin() + kText + start, end - start, uint8_t{0xcc});
    std::fill_n(file.begin() + kText + start, lengths[i], uint8_t{0x90});
    start = end;
  }
  return file;
}

TEST(ElfFunctions, GosTableIsRead) {
  for (const uint32_t magic : {0xfffffff0u, 0xfffffff1u}) {
    const ByteVector file = goProgram({40, 64, 5}, magic);
    const ElfCode elf(file);
    const ElfFunctions functions(elf);
    const auto first = functions.covering(0x1000 + 39);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->start, 0x1000u);
    EXPECT_EQ(first->end, 0x1000u + 48);  // eight bytes of what fills it up may be its own
    EXPECT_FALSE(functions.covering(0x1000 + 48));
    const auto second = functions.covering(0x1000 + 64);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->end, 0x1000u + 128);
    const auto gaps = functions.gapsNear(0x1000 + 70, 127);
    ASSERT_EQ(gaps.size(), 1u);
    EXPECT_EQ(gaps[0].start, 0x1000u + 48);
    EXPECT_EQ(gaps[0].end, 0x1000u + 64);
  }
  EXPECT_TRUE(functionsOf(goProgram({40, 64, 5}, 0xfffffffb)).empty());  // of Go 1.2
}

TEST(ElfFunctions, AnyBytesAreTaken) {
  const ByteVector libc = contentOf(kLibc), go = goProgram({40, 64, 5, 700, 33}, 0xfffffff1);
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    ByteVector damaged = round % 2 != 0 ? go : libc;
    // Section headers are at the end, what they are about is in the middle.
    for (int i = 0; i < 300; ++i) {
      const size_t place = i % 3 == 0   ? random() % 1024
                           : i % 3 == 1 ? damaged.size() - 1 - random() % 4096
                                        : random() % damaged.size();
      damaged[place] = static_cast<uint8_t>(random());
    }
    at<Elf64_Ehdr>(damaged, 0).e_machine = EM_X86_64;
    functionsOf(damaged);
  }
}

}  // namespace
}  // namespace airr
