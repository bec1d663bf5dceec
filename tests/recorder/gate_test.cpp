#include "recorder/gate/gate.h"

#include <dlfcn.h>
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "recorder/gate/gate_image.h"
#include "schema/unique_fd.h"
#include "tests/recorder/gated_program.h"

namespace airr {
namespace {

// What a call leaves behind: the scratch registers, the flags, and the stack below.
struct Remains {
  uint64_t rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, flags;
  std::array<uint64_t, 64> stack;
};

// Calls function(first, second) with poisoned scratch registers and a poisoned stack below.
extern "C" void probeCall(const void* function, uint64_t first, uint64_t second, Remains* remains);
asm(R"(
  .text
  .type probeCall, @function
probeCall:
  pushq %rbx
  pushq %r12
  subq $8, %rsp
  movq %rcx, %rbx
  movq %rdi, %r12
  movq %rsi, %rax
  movq %rdx, %rsi
  movq %rax, %rdx
  leaq -512(%rsp), %rdi
  movq $0x5a5a5a5a5a5a5a5a, %rax
  movl $64, %ecx
  rep stosq
  movq %rdx, %rdi
  movq %rax, %rcx
  movq %rax, %rdx
  movq %rax, %r8
  movq %rax, %r9
  movq %rax, %r10
  movq %rax, %r11
  call *%r12
  movq %rax, (%rbx)
  movq %rcx, 8(%rbx)
  movq %rdx, 16(%rbx)
  movq %rsi, 24(%rbx)
  movq %rdi, 32(%rbx)
  movq %r8, 40(%rbx)
  movq %r9, 48(%rbx)
  movq %r10, 56(%rbx)
  movq %r11, 64(%rbx)
  pushfq
  popq 72(%rbx)
  leaq -512(%rsp), %rsi
  leaq 80(%rbx), %rdi
  movl $64, %ecx
  rep movsq
  addq $8, %rsp
  popq %r12
  popq %rbx
  ret
  .size probeCall, . - probeCall
)");

// The lookup that glibc's dl_vdso_vsym, musl's __vdsosym and Go's vdsoParseSymbols do.
class Vdso {
 public:
  explicit Vdso(uint64_t base) : base_(base) {
    const auto* header = at<Elf64_Ehdr>(0);
    for (int i = 0; i < header->e_phnum; ++i) {
      const auto* segment = at<Elf64_Phdr>(header->e_phoff + sizeof(Elf64_Phdr) * i);
      if (segment->p_type == PT_LOAD) load = *segment, ++loads;
      if (segment->p_type == PT_DYNAMIC) dynamic = at<Elf64_Dyn>(segment->p_vaddr);
    }
    for (const auto* entry = dynamic; entry->d_tag != DT_NULL; ++entry) {
      switch (entry->d_tag) {
        case DT_STRTAB:
          strings_ = at<char>(entry->d_un.d_ptr);
          break;
        case DT_SYMTAB:
          symbols_ = at<Elf64_Sym>(entry->d_un.d_ptr);
          break;
        case DT_VERSYM:
          versions_ = at<Elf64_Half>(entry->d_un.d_ptr);
          break;
        case DT_VERDEF:
          definitions_ = entry->d_un.d_ptr;
          break;
        case DT_HASH:
          hash_ = at<uint32_t>(entry->d_un.d_ptr);
          break;
        case DT_GNU_HASH:
          gnuHash_ = at<uint32_t>(entry->d_un.d_ptr);
          break;
        case DT_SONAME:
          soname_ = entry->d_un.d_val;
          break;
        case DT_RELA:
        case DT_REL:
        case DT_JMPREL:
        case DT_TEXTREL:
        case DT_NEEDED:
          ADD_FAILURE() << "a vDSO cannot have dynamic tag " << entry->d_tag;
      }
    }
  }

  std::string soname() const { return strings_ + soname_; }

  const void* byHash(const char* name) const {
    uint32_t h = elfHash(name);
    for (uint32_t i = hash_[2 + h % hash_[0]]; i != 0; i = hash_[2 + hash_[0] + i]) {
      if (matches(i, name)) return at<void>(symbols_[i].st_value);
    }
    return nullptr;
  }

  const void* byGnuHash(const char* name) const {
    uint32_t h = 5381;
    for (const char* c = name; *c != 0; ++c) h = h * 33 + static_cast<uint8_t>(*c);
    const uint32_t buckets = gnuHash_[0], first = gnuHash_[1], words = gnuHash_[2];
    const auto* bloom = reinterpret_cast<const uint64_t*>(gnuHash_ + 4);
    const uint64_t word = bloom[h / 64 % words];
    if ((word >> (h % 64) & word >> ((h >> gnuHash_[3]) % 64) & 1) == 0) return nullptr;
    const uint32_t* bucket = gnuHash_ + 4 + words * 2;
    const uint32_t* chain = bucket + buckets;
    for (uint32_t i = bucket[h % buckets]; i != 0; ++i) {
      if ((chain[i - first] | 1) == (h | 1) && matches(i, name)) {
        return at<void>(symbols_[i].st_value);
      }
      if (chain[i - first] & 1) break;
    }
    return nullptr;
  }

  Elf64_Phdr load{};
  int loads = 0;
  const Elf64_Dyn* dynamic = nullptr;

 private:
  template <class T>
  const T* at(uint64_t offset) const {
    return reinterpret_cast<const T*>(base_ + offset);
  }

  static uint32_t elfHash(const char* name) {
    uint32_t h = 0;
    for (; *name != 0; ++name) {
      h = (h << 4) + static_cast<uint8_t>(*name);
      h = (h ^ (h >> 24 & 0xf0)) & 0x0fffffff;
    }
    return h;
  }

  bool matches(uint32_t index, const char* name) const {
    const Elf64_Sym& symbol = symbols_[index];
    if (std::string_view(strings_ + symbol.st_name) != name) return false;
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) return false;
    for (uint64_t offset = definitions_;;) {
      const auto* definition = at<Elf64_Verdef>(offset);
      const auto* aux = at<Elf64_Verdaux>(offset + definition->vd_aux);
      if ((definition->vd_flags & VER_FLG_BASE) == 0 && definition->vd_ndx == versions_[index]) {
        return definition->vd_hash == elfHash("LINUX_2.6") &&
               std::string_view(strings_ + aux->vda_name) == "LINUX_2.6";
      }
      if (definition->vd_next == 0) return false;
      offset += definition->vd_next;
    }
  }

  uint64_t base_;
  const char* strings_ = nullptr;
  const Elf64_Sym* symbols_ = nullptr;
  const Elf64_Half* versions_ = nullptr;
  uint64_t definitions_ = 0;
  const uint32_t* hash_ = nullptr;
  const uint32_t* gnuHash_ = nullptr;
  uint64_t soname_ = 0;
};

class GateTest : public testing::Test {
 protected:
  GateTest() {
    map(AIRR_GATE_TEXT, AIRR_GATE_TEXT_SIZE);
    map(AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE);
    memcpy(reinterpret_cast<void*>(AIRR_GATE_TEXT), gateImage().data(), gateImage().size());
    mprotect(reinterpret_cast<void*>(AIRR_GATE_TEXT), AIRR_GATE_TEXT_SIZE, PROT_READ | PROT_EXEC);
    data->yield_at = UINT64_MAX;
    data->limit = AIRR_GATE_CLOCKS;
    data->mode = AIRR_GATE_RECORD;
  }
  ~GateTest() override {
    munmap(reinterpret_cast<void*>(AIRR_GATE_TEXT), AIRR_GATE_TEXT_SIZE);
    munmap(reinterpret_cast<void*>(AIRR_GATE_DATA), AIRR_GATE_DATA_SIZE);
  }
  static void map(uint64_t address, uint64_t size) {
    void* wanted = reinterpret_cast<void*>(address);
    void* mapped = mmap(wanted, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ASSERT_EQ(mapped, wanted);
  }

  const void* function(const char* name) { return Vdso(AIRR_GATE_TEXT).byGnuHash(name); }
  int clockGettime(clockid_t clock, timespec* to) {
    return reinterpret_cast<int (*)(clockid_t, timespec*)>(function("__vdso_clock_gettime"))(clock,
                                                                                             to);
  }
  int gettimeofday(timeval* tv, struct timezone* tz) {
    return reinterpret_cast<int (*)(timeval*, struct timezone*)>(function("__vdso_gettimeofday"))(
        tv, tz);
  }
  time_t timeOf(time_t* to) {
    return reinterpret_cast<time_t (*)(time_t*)>(function("__vdso_time"))(to);
  }
  void supply(std::initializer_list<airr_gate_reading> readings) {
    data->mode = AIRR_GATE_REPLAY;
    data->position = 0;
    data->limit = static_cast<uint32_t>(readings.size());
    std::copy(readings.begin(), readings.end(), data->clocks);
  }

  airr_gate_data* data = reinterpret_cast<airr_gate_data*>(AIRR_GATE_DATA);
};

constexpr clockid_t kLoggedClocks[] = {CLOCK_REALTIME,
                                       CLOCK_MONOTONIC,
                                       CLOCK_MONOTONIC_RAW,
                                       CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE,
                                       CLOCK_BOOTTIME,
                                       CLOCK_TAI};

TEST_F(GateTest, ImageIsAVdsoToEveryLookup) {
  ASSERT_EQ(gateImage().size(), AIRR_GATE_TEXT_SIZE);
  const Vdso vdso(AIRR_GATE_TEXT);
  EXPECT_EQ(vdso.loads, 1);
  EXPECT_EQ(vdso.load.p_offset, vdso.load.p_vaddr);
  EXPECT_EQ(vdso.load.p_filesz, vdso.load.p_memsz);
  EXPECT_LE(vdso.load.p_memsz, AIRR_GATE_TEXT_SIZE);
  EXPECT_EQ(vdso.load.p_flags, static_cast<uint32_t>(PF_R | PF_X));
  EXPECT_EQ(vdso.soname(), "linux-vdso.so.1");
  for (std::string name : {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"}) {
    const std::string full = "__vdso_" + name;
    const void* address = vdso.byHash(full.c_str());
    ASSERT_NE(address, nullptr) << full;
    EXPECT_EQ(vdso.byGnuHash(full.c_str()), address);
    EXPECT_EQ(vdso.byGnuHash(name.c_str()), address);
    EXPECT_EQ(vdso.byHash(name.c_str()), address);
  }
  EXPECT_EQ(vdso.byHash("__vdso_getrandom"), nullptr);
  EXPECT_EQ(vdso.byGnuHash("gate_syscall"), nullptr);
  const std::array<uint8_t, 3> pair = {0x0f, 0x05, 0xc3};
  EXPECT_EQ(memcmp(reinterpret_cast<void*>(AIRR_GATE_SYSCALL), pair.data(), pair.size()), 0);
  const std::array<uint8_t, 12> loop = {0x0f, 0x05, 0x48, 0x89, 0xc3, 0xb8, 0x52, 0x41, 0, 0, 0xeb, 0xf4};
  EXPECT_EQ(memcmp(reinterpret_cast<void*>(AIRR_GATE_INJECT), loop.data(), loop.size()), 0);
}

TEST_F(GateTest, RecordLogsEveryReadingAndReplayReturnsTheLog) {
  std::vector<timespec> recorded;
  for (clockid_t clock : kLoggedClocks) {
    timespec before, now{-1, -1}, after;
    ::clock_gettime(clock, &before);
    ASSERT_EQ(clockGettime(clock, &now), 0);
    ::clock_gettime(clock, &after);
    EXPECT_GE(now.tv_sec * 1'000'000'000 + now.tv_nsec,
              before.tv_sec * 1'000'000'000 + before.tv_nsec);
    EXPECT_LE(now.tv_sec * 1'000'000'000 + now.tv_nsec,
              after.tv_sec * 1'000'000'000 + after.tv_nsec);
    ASSERT_EQ(data->position, recorded.size() + 1);
    EXPECT_EQ(data->clocks[recorded.size()].seconds, now.tv_sec);
    EXPECT_EQ(data->clocks[recorded.size()].nanoseconds, now.tv_nsec);
    recorded.push_back(now);
  }

  data->mode = AIRR_GATE_REPLAY;
  data->limit = data->position;
  data->position = 0;
  for (size_t i = 0; i < recorded.size(); ++i) {
    timespec now{-1, -1};
    ASSERT_EQ(clockGettime(kLoggedClocks[i], &now), 0);
    EXPECT_EQ(now.tv_sec, recorded[i].tv_sec);
    EXPECT_EQ(now.tv_nsec, recorded[i].tv_nsec);
  }
  EXPECT_EQ(data->position, data->limit);
}

TEST_F(GateTest, GettimeofdayAndTimeShareTheLog) {
  timeval tv{};
  time_t stored = 0;
  ASSERT_EQ(gettimeofday(&tv, nullptr), 0);
  const time_t returned = timeOf(&stored);
  EXPECT_EQ(stored, returned);
  EXPECT_EQ(timeOf(nullptr), data->clocks[2].seconds);
  ASSERT_EQ(data->position, 3u);
  EXPECT_EQ(tv.tv_sec, data->clocks[0].seconds);
  EXPECT_EQ(tv.tv_usec, data->clocks[0].nanoseconds / 1000);
  EXPECT_EQ(returned, data->clocks[1].seconds);

  supply({{1234, 999'999'999}, {5678, 999}, {-1, 1000}, {42, 0}});
  gettimeofday(&tv, nullptr);
  EXPECT_EQ(tv.tv_sec, 1234);
  EXPECT_EQ(tv.tv_usec, 999'999);
  gettimeofday(&tv, nullptr);
  EXPECT_EQ(tv.tv_sec, 5678);
  EXPECT_EQ(tv.tv_usec, 0);
  gettimeofday(&tv, nullptr);
  EXPECT_EQ(tv.tv_sec, -1);
  EXPECT_EQ(tv.tv_usec, 1);
  EXPECT_EQ(timeOf(&stored), 42);
  EXPECT_EQ(stored, 42);
  EXPECT_EQ(data->position, 4u);
}

TEST_F(GateTest, CallsOutsideTheLogAreOrdinaryOnes) {
  timespec now{};
  EXPECT_EQ(clockGettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
  EXPECT_EQ(clockGettime(99, &now), -EINVAL);
  EXPECT_EQ(clockGettime(-1, &now), -EINVAL);
  timeval tv{};
  struct timezone tz {};
  EXPECT_EQ(gettimeofday(&tv, &tz), 0);
  EXPECT_EQ(gettimeofday(nullptr, nullptr), 0);
  EXPECT_EQ(data->position, 0u);

  const auto readsTheWorld = [&] {
    timespec real, reading{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    timeval ofDay{};
    return clockGettime(CLOCK_REALTIME, &reading) == 0 && gettimeofday(&ofDay, nullptr) == 0 &&
           reading.tv_sec - real.tv_sec < 60 && ofDay.tv_sec - real.tv_sec < 60 &&
           reading.tv_sec >= real.tv_sec && ofDay.tv_sec >= real.tv_sec &&
           timeOf(nullptr) >= real.tv_sec - 1;
  };
  supply({});
  EXPECT_TRUE(readsTheWorld()) << "replay, no reading left";
  data->mode = AIRR_GATE_RECORD;
  data->position = data->limit = AIRR_GATE_CLOCKS;
  EXPECT_TRUE(readsTheWorld()) << "record, log full";
  EXPECT_EQ(data->position, AIRR_GATE_CLOCKS);
  for (uint32_t mode : {0u, 3u, UINT32_MAX}) {
    data->mode = mode;
    data->position = 0;
    EXPECT_TRUE(readsTheWorld()) << "mode " << mode;
    EXPECT_EQ(data->position, 0u);
  }

  timespec resolution{};
  const void* getres = function("__vdso_clock_getres");
  EXPECT_EQ(reinterpret_cast<int (*)(clockid_t, timespec*)>(getres)(CLOCK_REALTIME, &resolution),
            0);
  EXPECT_GT(resolution.tv_nsec, 0);
  unsigned cpu = ~0u, node = ~0u;
  const void* getcpu = function("__vdso_getcpu");
  EXPECT_EQ(reinterpret_cast<int (*)(unsigned*, unsigned*, void*)>(getcpu)(&cpu, &node, nullptr),
            0);
  EXPECT_NE(cpu, ~0u);
  EXPECT_NE(node, ~0u);
}

// In the vDSO that the kernel gave to this process.
uint64_t kernelClock() {
  void* const vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  return vdso == nullptr ? 0 : reinterpret_cast<uint64_t>(dlsym(vdso, "__vdso_clock_gettime"));
}

TEST_F(GateTest, NothingLeftBehindTellsRecordFromReplay) {
  alignas(16) std::array<int64_t, 2> out;
  const auto target = reinterpret_cast<uint64_t>(out.data());
  const struct {
    const char* name;
    uint64_t first, second;
  } calls[] = {
      {"__vdso_clock_gettime", CLOCK_MONOTONIC, target},
      {"__vdso_gettimeofday", target, 0},
      {"__vdso_time", target, 0x1234567},
  };
  for (const auto& call : calls) {
    SCOPED_TRACE(call.name);
    const void* code = function(call.name);
    Remains record{}, replay{}, stopped{};
    data->mode = AIRR_GATE_RECORD;
    data->limit = AIRR_GATE_CLOCKS;
    data->position = 3;
    out = {-1, -1};
    probeCall(code, call.first, call.second, &record);
    const auto recorded = out;
    EXPECT_EQ(data->position, 4u);

    data->clocks[0] = data->clocks[3];
    data->mode = AIRR_GATE_REPLAY;
    data->limit = 1;
    data->position = 0;
    out = {-1, -1};
    probeCall(code, call.first, call.second, &replay);
    EXPECT_EQ(out, recorded);
    EXPECT_EQ(data->position, 1u);
    EXPECT_EQ(memcmp(&record, &replay, sizeof(Remains)), 0);

    probeCall(code, call.first, call.second, &stopped);
    EXPECT_EQ(data->position, 1u);
    if (call.name == std::string_view("__vdso_time")) stopped.rax = record.rax;
    if (call.name == std::string_view("__vdso_time")) stopped.rsi = record.rsi;
    EXPECT_EQ(memcmp(&record, &stopped, sizeof(Remains)), 0);
    EXPECT_EQ(record.rdi, call.first);
    EXPECT_EQ(record.rcx | record.r8 | record.r9 | record.r10 | record.r11, 0u);

    // The reading by the kernel's vDSO: nothing but its value may differ.
    Remains byVdso{};
    data->mode = AIRR_GATE_RECORD;
    data->limit = AIRR_GATE_CLOCKS;
    data->position = 0;
    data->kernel_clock = kernelClock();
    ASSERT_NE(data->kernel_clock, 0u);
    probeCall(code, call.first, call.second, &byVdso);
    data->kernel_clock = 0;
    EXPECT_EQ(data->position, 1u);
    EXPECT_GE(data->clocks[0].seconds, recorded[0]);
    if (call.name == std::string_view("__vdso_time")) byVdso.rax = record.rax;
    EXPECT_EQ(memcmp(&record, &byVdso, sizeof(Remains)), 0);
  }
}

TEST(Stub, HasTheGateAndNothingElse) {
  const auto stub = stubImage();
  Elf64_Ehdr header;
  ASSERT_GT(stub.size(), sizeof(header));
  memcpy(&header, stub.data(), sizeof(header));
  EXPECT_EQ(header.e_type, ET_EXEC);
  EXPECT_EQ(header.e_entry, AIRR_GATE_STUB_ENTRY);
  std::vector<Elf64_Phdr> loads;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    memcpy(&segment, stub.data() + header.e_phoff + sizeof(segment) * i, sizeof(segment));
    EXPECT_NE(segment.p_type, static_cast<uint32_t>(PT_INTERP));
    if (segment.p_type == PT_GNU_STACK) {
      EXPECT_EQ(segment.p_flags & PF_X, 0u);
    }
    if (segment.p_type == PT_LOAD) loads.push_back(segment);
  }
  ASSERT_EQ(loads.size(), 2u);
  EXPECT_EQ(loads[0].p_vaddr, AIRR_GATE_TEXT);
  EXPECT_EQ(loads[0].p_flags, static_cast<uint32_t>(PF_R | PF_X));
  EXPECT_EQ(loads[0].p_filesz, AIRR_GATE_TEXT_SIZE);
  EXPECT_EQ(loads[0].p_memsz, AIRR_GATE_TEXT_SIZE);
  ASSERT_LE(loads[0].p_offset + loads[0].p_filesz, stub.size());
  EXPECT_EQ(memcmp(stub.data() + loads[0].p_offset, gateImage().data(), gateImage().size()), 0);
  EXPECT_EQ(loads[1].p_vaddr, AIRR_GATE_DATA);
  EXPECT_EQ(loads[1].p_flags, static_cast<uint32_t>(PF_R | PF_W));
  EXPECT_EQ(loads[1].p_filesz, 0u);
  EXPECT_EQ(loads[1].p_memsz, AIRR_GATE_DATA_SIZE);
}

TEST(Stub, ExecutedWaitsInItsCallWithTheGateMapped) {
  const UniqueFd file(memfd_create("stub", MFD_CLOEXEC));
  ASSERT_EQ(write(file.get(), stubImage().data(), stubImage().size()),
            static_cast<ssize_t>(stubImage().size()));
  const pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    char name[] = "stub";
    char* const arguments[] = {name, nullptr};
    char* const environment[] = {nullptr};
    fexecve(file.get(), arguments, environment);
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSTOPPED(status)) << status;
  ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80)) << status;
    user_regs_struct regs;
    ptrace(PTRACE_GETREGS, pid, nullptr, &regs);
    EXPECT_EQ(regs.orig_rax, static_cast<uint64_t>(AIRR_SYSCALL));
    EXPECT_EQ(regs.rdi, 0u);
  }
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  bool text = false, zero = false;
  for (std::string line; std::getline(maps, line);) {
    text = text || line.starts_with("70000000-70009000 r-xp");
    zero = zero || line.starts_with("70010000-70040000 rw-p");
  }
  EXPECT_TRUE(text);
  EXPECT_TRUE(zero);
  std::vector<uint8_t> data(AIRR_GATE_DATA_SIZE, 1);
  std::ifstream memory("/proc/" + std::to_string(pid) + "/mem");
  memory.seekg(AIRR_GATE_DATA);
  memory.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()));
  EXPECT_EQ(data, std::vector<uint8_t>(AIRR_GATE_DATA_SIZE, 0));
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
}

// glibc finds the functions by itself, and takes the time from the log.
TEST(Program, DatePrintsTheReplayedTime) {
  airr_gate_data data{};
  data.mode = AIRR_GATE_REPLAY;
  data.yield_at = UINT64_MAX;
  data.limit = 1;
  data.clocks[0] = {1'000'000'000, 123456789};
  const auto run = test::runGated({"date", "-u", "+%s.%N"}, {}, data);
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output, "1000000000.123456789\n");
  EXPECT_EQ(run.data.position, 1u);
  EXPECT_EQ(std::count(run.calls.begin(), run.calls.end(), SYS_clock_gettime), 0);
}

}  // namespace
}  // namespace airr
