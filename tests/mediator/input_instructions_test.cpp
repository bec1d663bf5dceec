#include "mediator/input_instructions.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "schema/unique_fd.h"

namespace airr {
namespace {

using Kind = InputInstruction::Kind;
using Confidence = InputInstruction::Confidence;

constexpr const char* kLibrary = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3";
constexpr const char* kCppLibrary = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6";
constexpr const char* kLoader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

class MappedFile {
 public:
  explicit MappedFile(const char* path) {
    const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
    struct stat info;
    if (!fd || fstat(fd.get(), &info) != 0) return;
    size_ = static_cast<size_t>(info.st_size);
    void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
    if (mapped != MAP_FAILED) data_ = static_cast<const uint8_t*>(mapped);
  }
  ~MappedFile() {
    if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const uint8_t> bytes() const { return {data_, data_ == nullptr ? 0 : size_}; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

template <class T>
T* at(std::vector<uint8_t>& bytes, size_t offset) {
  return reinterpret_cast<T*>(bytes.data() + offset);
}

constexpr uint64_t kCodeOffset = 0x1000;

// An executable of one segment, entered at `entry` bytes into its code, without unwind tables.
std::vector<uint8_t> elfWith(const std::vector<uint8_t>& code, uint64_t entry = 0,
                             uint32_t flags = PF_R | PF_X) {
  std::vector<uint8_t> file(kCodeOffset + code.size());
  auto* header = at<Elf64_Ehdr>(file, 0);
  memcpy(header->e_ident, ELFMAG, SELFMAG);
  header->e_ident[EI_CLASS] = ELFCLASS64;
  header->e_ident[EI_DATA] = ELFDATA2LSB;
  header->e_machine = EM_X86_64;
  header->e_entry = 0x400000 + entry;
  header->e_phoff = sizeof(Elf64_Ehdr);
  header->e_phentsize = sizeof(Elf64_Phdr);
  header->e_phnum = 1;
  auto* segment = at<Elf64_Phdr>(file, sizeof(Elf64_Ehdr));
  segment->p_type = PT_LOAD;
  segment->p_flags = flags;
  segment->p_offset = kCodeOffset;
  segment->p_vaddr = 0x400000;
  segment->p_filesz = segment->p_memsz = code.size();
  std::copy(code.begin(), code.end(), file.begin() + kCodeOffset);
  return file;
}

std::vector<uint8_t> copyOf(const char* path) {
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

void forEachSegment(std::vector<uint8_t>& file, auto&& visit) {
  const auto* header = at<Elf64_Ehdr>(file, 0);
  for (int i = 0; i < header->e_phnum; ++i) {
    visit(*at<Elf64_Phdr>(file, header->e_phoff + sizeof(Elf64_Phdr) * static_cast<size_t>(i)));
  }
}

// "address mnemonic operand" of each, as objdump has them.
std::vector<std::string> disassembled(const char* path) {
  std::vector<std::string> lines;
  const std::string command = std::string("objdump -d --no-show-raw-insn ") + path +
                              R"( | grep -E '\s(rd(rand|seed)\s|rdtscp?)')";
  FILE* pipe = popen(command.c_str(), "r");
  for (std::array<char, 256> line; fgets(line.data(), line.size(), pipe) != nullptr;) {
    unsigned long address;
    char mnemonic[16], operand[16] = "";
    if (sscanf(line.data(), " %lx: %15s %15s", &address, mnemonic, operand) >= 2) {
      lines.push_back(std::to_string(address) + " " + mnemonic + " " + operand);
    }
  }
  pclose(pipe);
  return lines;
}

std::string describe(const InputInstruction& site, uint64_t address) {
  static constexpr const char* kNames[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  if (site.kind == Kind::kRdtsc) return std::to_string(address) + " rdtsc ";
  if (site.kind == Kind::kRdtscp) return std::to_string(address) + " rdtscp ";
  std::string reg;
  if (site.reg < 8) {
    reg = (site.operandBits == 64   ? "r"
           : site.operandBits == 32 ? "e"
                                    : "") +
          std::string(kNames[site.reg]);
  } else {
    reg = "r" + std::to_string(site.reg) +
          (site.operandBits == 64   ? ""
           : site.operandBits == 32 ? "d"
                                    : "w");
  }
  return std::to_string(address) + (site.kind == Kind::kRdrand ? " rdrand %" : " rdseed %") + reg;
}

class RealFile : public testing::TestWithParam<const char*> {};

TEST_P(RealFile, SitesAreThoseOfADisassembler) {
  auto file = copyOf(GetParam());
  if (file.empty()) GTEST_SKIP() << GetParam() << " is not installed";
  if (system("objdump --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no objdump";
  std::vector<std::string> found;
  for (const InputInstruction& site : findInputInstructions(file)) {
    EXPECT_EQ(site.confidence, Confidence::kFunction);
    forEachSegment(file, [&](const Elf64_Phdr& segment) {
      if (segment.p_type == PT_LOAD && site.offset >= segment.p_offset &&
          site.offset - segment.p_offset < segment.p_filesz) {
        found.push_back(describe(site, site.offset - segment.p_offset + segment.p_vaddr));
      }
    });
  }
  EXPECT_FALSE(found.empty());
  // The disassembler takes tables for code, as those of libcrypto's elliptic curves, and two bytes
  // of them for RDTSC.
  size_t tables = 0;
  auto expected = disassembled(GetParam());
  std::erase_if(expected, [&](const std::string& line) {
    const bool table = line.find("rdtsc") != std::string::npos &&
                       std::find(found.begin(), found.end(), line) == found.end();
    tables += table ? 1 : 0;
    return table;
  });
  EXPECT_EQ(found, expected);
  EXPECT_LE(tables, 1u);
}

TEST_P(RealFile, SitesAreFoundWithoutUnwindTablesToo) {
  auto file = copyOf(GetParam());
  if (file.empty()) GTEST_SKIP() << GetParam() << " is not installed";
  const auto inFunctions = findInputInstructions(file);
  forEachSegment(file, [](Elf64_Phdr& segment) {
    if (segment.p_type == PT_GNU_EH_FRAME) segment.p_type = PT_NULL;
  });
  at<Elf64_Ehdr>(file, 0)->e_shnum = 0;
  auto found = findInputInstructions(file);
  EXPECT_FALSE(found.empty());
  for (InputInstruction& site : found) site.confidence = Confidence::kFunction;
  // Of the counters, those whose upper half is shifted: not in libcrypto's OPENSSL_instrument_bus.
  for (const InputInstruction& site : inFunctions) {
    const bool isThere = std::find(found.begin(), found.end(), site) != found.end();
    EXPECT_TRUE(isThere || site.kind >= Kind::kRdtsc) << site.offset;
    if (isThere) found.erase(std::find(found.begin(), found.end(), site));
  }
  EXPECT_TRUE(found.empty());
}

INSTANTIATE_TEST_SUITE_P(, RealFile, testing::Values(kLibrary, kCppLibrary, kLoader));

TEST(InputInstructions, EveryRegisterAndWidth) {
  std::vector<uint8_t> code;
  std::vector<InputInstruction> expected;
  for (int kind = 0; kind < 2; ++kind) {
    for (int width : {16, 32, 64}) {
      for (int reg = 0; reg < 16; ++reg) {
        const size_t start = code.size();
        if (width == 16) code.push_back(0x66);
        const int rex = (width == 64 ? 8 : 0) | (reg >= 8 ? 1 : 0);
        if (rex != 0) code.push_back(static_cast<uint8_t>(0x40 | rex));
        const int modrm = 0xf0 | kind << 3 | (reg & 7);
        code.insert(code.end(), {0x0f, 0xc7, static_cast<uint8_t>(modrm)});
        expected.push_back({kCodeOffset + start, static_cast<uint8_t>(code.size() - start),
                            kind == 0 ? Kind::kRdrand : Kind::kRdseed, static_cast<uint8_t>(width),
                            static_cast<uint8_t>(reg), Confidence::kFunction});
      }
    }
  }
  EXPECT_EQ(findInputInstructions(elfWith(code)), expected);
}

TEST(InputInstructions, BytesThatAreNoSuchInstructionAreLeftAlone) {
  // mov eax, 0xf0c70f00; movabs rax, …; rdpid rax; cmpxchg8b [rdi]; ret
  const std::vector<uint8_t> code = {
      0xb8, 0x00, 0x0f, 0xc7, 0xf0, 0x48, 0xb8, 0x0f, 0xc7, 0xf1, 0x0f, 0xc7,
      0xf8, 0x90, 0x90, 0xf3, 0x0f, 0xc7, 0xf8, 0x0f, 0xc7, 0x0f, 0xc3,
  };
  EXPECT_TRUE(findInputInstructions(elfWith(code)).empty());
}

TEST(InputInstructions, DataIsNotScanned) {
  const std::vector<uint8_t> code = {0x0f, 0xc7, 0xf0, 0xc3};
  EXPECT_EQ(findInputInstructions(elfWith(code)).size(), 1u);
  EXPECT_TRUE(findInputInstructions(elfWith(code, 0, PF_R | PF_W)).empty());
}

TEST(InputInstructions, WithoutAKnownFunctionTheResultMustBeTested) {
  std::vector<uint8_t> code(256, 0x90);
  const std::vector<uint8_t> tested = {0x48, 0x0f, 0xc7, 0xf2,
                                       0x73, 0xfa, 0xc3};  // 1: rdrand; jnc 1b
  std::copy(tested.begin(), tested.end(), code.begin() + 140);
  const uint64_t nowhere = 1 << 20;
  const auto sites = findInputInstructions(elfWith(code, nowhere));
  const InputInstruction expected{kCodeOffset + 140,        4, Kind::kRdrand, 64, 2,
                                  Confidence::kSynchronised};
  EXPECT_EQ(sites, std::vector{expected});
  code[144] = code[145] = 0x90;
  EXPECT_TRUE(findInputInstructions(elfWith(code, nowhere)).empty());
}

TEST(InputInstructions, GeneratedCodeIsDecodedFromItsFirstByte) {
  // movabs rax, 0xf1c70f…; rdrand rax; ret; data that is no instruction; rdseed cx, untested
  std::vector<uint8_t> code = {0x48, 0xb8, 0x0f, 0xc7, 0xf1, 0x0f, 0xc7, 0xf8,
                               0x90, 0x90, 0x48, 0x0f, 0xc7, 0xf0, 0xc3};
  const InputInstruction expected{10, 4, Kind::kRdrand, 64, 0, Confidence::kFunction};
  EXPECT_EQ(findInputInstructionsOfCode(code), std::vector{expected});
  const std::vector<uint8_t> last = {0x66, 0x0f, 0xc7, 0xf9};
  auto longer = code;
  longer.resize(5000);
  longer.insert(longer.end(), last.begin(), last.end());
  auto sites = findInputInstructionsOfCode(longer);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[1], (InputInstruction{5000, 4, Kind::kRdseed, 16, 1, Confidence::kFunction}));
  code.insert(code.end(), {0x06, 0x06, 0x06});
  code.insert(code.end(), last.begin(), last.end());
  EXPECT_EQ(findInputInstructionsOfCode(code), std::vector{expected});
  EXPECT_TRUE(findInputInstructionsOfCode({}).empty());
}

TEST(InputInstructions, GeneratedCodeBehindDataMustTestTheResult) {
  std::vector<uint8_t> code(256, 0x90);
  code[0] = 0x06;  // no instruction
  const std::vector<uint8_t> tested = {0x48, 0x0f, 0xc7, 0xf2,
                                       0x73, 0xfa, 0xc3};  // 1: rdrand; jnc 1b
  std::copy(tested.begin(), tested.end(), code.begin() + 140);
  const InputInstruction expected{140, 4, Kind::kRdrand, 64, 2, Confidence::kSynchronised};
  EXPECT_EQ(findInputInstructionsOfCode(code), std::vector{expected});
  code[144] = code[145] = 0x90;
  EXPECT_TRUE(findInputInstructionsOfCode(code).empty());
}

TEST(InputInstructions, CodeThatLooksLikeAFileIsCode) {
  auto file = elfWith({0x0f, 0xc7, 0xf0, 0xc3});
  ASSERT_EQ(findInputInstructions(file).size(), 1u);
  // The magic number decodes (jg, rex.RB pop…), and no segment says where the code is.
  for (const InputInstruction& site : findInputInstructionsOfCode(file))
    EXPECT_LE(site.offset + site.length, file.size());
}

TEST(InputInstructions, CandidatesAtTheEdgesOfTheCode) {
  for (size_t length = 3; length < 80; ++length) {
    std::vector<uint8_t> code(length, 0x90);
    code[length - 3] = 0x0f, code[length - 2] = 0xc7, code[length - 1] = 0xf0;
    const auto sites = findInputInstructions(elfWith(code));
    ASSERT_EQ(sites.size(), 1u) << length;
    EXPECT_EQ(sites[0].offset, kCodeOffset + length - 3);
    code.pop_back();
    EXPECT_TRUE(findInputInstructions(elfWith(code)).empty()) << length;
  }
}

TEST(InputInstructions, RandomBytesHoldNoInstructions) {
  std::mt19937_64 random(1);
  std::vector<uint8_t> code(32 << 20);
  for (size_t i = 0; i + 8 <= code.size(); i += 8) *at<uint64_t>(code, i) = random();
  EXPECT_TRUE(findInputInstructions(code).empty());
  EXPECT_TRUE(findInputInstructions(elfWith(code, code.size())).empty());
}

TEST(InputInstructions, DamagedFilesAreScannedWithoutHarm) {
  const auto whole = copyOf(kCppLibrary);
  if (whole.empty()) GTEST_SKIP() << kCppLibrary << " is not installed";
  const auto sites = findInputInstructions(whole);
  for (size_t length = 0; length < whole.size(); length += length < 4096 ? 1 : 4099) {
    for (const InputInstruction& site : findInputInstructions(
             std::vector(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)))) {
      EXPECT_LE(site.offset + site.length, length);
    }
  }
  // Damage what is parsed: the headers and the unwind tables.
  auto damaged = whole;
  std::vector<std::pair<uint64_t, uint64_t>> targets = {{0, 1024}};
  forEachSegment(damaged, [&](const Elf64_Phdr& segment) {
    if (segment.p_type == PT_GNU_EH_FRAME) targets.push_back({segment.p_offset, 64});
    if (segment.p_type == PT_GNU_EH_FRAME) targets.push_back({segment.p_offset, 200'000});
  });
  ASSERT_EQ(targets.size(), 3u);
  std::mt19937_64 random(2);
  for (int round = 0; round < 600; ++round) {
    const auto [start, length] = targets[static_cast<size_t>(round) % targets.size()];
    std::vector<std::pair<size_t, uint8_t>> undo;
    for (int i = 0; i < 1 + round % 16; ++i) {
      const size_t offset = start + random() % length;
      undo.emplace_back(offset, damaged[offset]);
      damaged[offset] = static_cast<uint8_t>(random());
    }
    for (const InputInstruction& site : findInputInstructions(damaged)) {
      EXPECT_LE(site.offset + site.length, damaged.size());
    }
    for (auto change = undo.rbegin(); change != undo.rend(); ++change) {
      damaged[change->first] = change->second;
    }
  }
  EXPECT_EQ(findInputInstructions(damaged), sites);
}

// Work is bounded: without the bound this would take hours.
TEST(InputInstructions, FilesFullOfCandidatesAreScanned) {
  for (const std::vector<uint8_t>& piece : {std::vector<uint8_t>{0x0f, 0xc7, 0xf0},
                                            {0x0f, 0x31},
                                            {0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20}}) {
    std::vector<uint8_t> code;
    while (code.size() < 16 << 20) code.insert(code.end(), piece.begin(), piece.end());
    for (const InputInstruction& site : findInputInstructions(elfWith(code, code.size())))
      ASSERT_LE(site.offset + site.length, kCodeOffset + code.size());
  }
}

TEST(InputInstructions, TheCountersAreFoundInAFunction) {
  // rdtsc; rdtscp; lea eax, [rip + 0x310f]; ret
  const std::vector<uint8_t> code = {0x0f, 0x31, 0x0f, 0x01, 0xf9, 0x8d,
                                     0x05, 0x0f, 0x31, 0x00, 0x00, 0xc3};
  const std::vector<InputInstruction> expected = {
      {kCodeOffset, 2, Kind::kRdtsc, 0, 0, Confidence::kFunction},
      {kCodeOffset + 2, 3, Kind::kRdtscp, 0, 0, Confidence::kFunction}};
  EXPECT_EQ(findInputInstructions(elfWith(code)), expected);
}

TEST(InputInstructions, WithoutAKnownFunctionTheCountersUpperHalfMustBeShifted) {
  std::vector<uint8_t> code(256, 0x90);
  const std::vector<uint8_t> used = {0x0f, 0x31, 0x48, 0xc1,
                                     0xe2, 0x20, 0xc3};  // rdtsc; shl rdx, 32
  std::copy(used.begin(), used.end(), code.begin() + 140);
  const uint64_t nowhere = 1 << 20;
  const InputInstruction expected{kCodeOffset + 140,        2, Kind::kRdtsc, 0, 0,
                                  Confidence::kSynchronised};
  EXPECT_EQ(findInputInstructions(elfWith(code, nowhere)), std::vector{expected});
  std::copy(used.begin() + 2, used.end(), code.begin() + 160);  // behind a jump
  code[142] = 0xeb, code[143] = 16;
  EXPECT_EQ(findInputInstructions(elfWith(code, nowhere)), std::vector{expected});
  code[163] = 0x08;
  EXPECT_TRUE(findInputInstructions(elfWith(code, nowhere)).empty());
}

}  // namespace
}  // namespace airr
