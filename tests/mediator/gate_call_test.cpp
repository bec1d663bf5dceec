// A patched call site, run in this very process: what its caller finds is what the kernel leaves.
#include <fcntl.h>
#include <linux/futex.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "mediator/gate_patch.h"
#include "mediator/open_grants.h"
#include "recorder/gate/gate.h"
#include "recorder/gate/gate_image.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

// In: the call's registers. Out: all registers after it, the flags, and the words below the stack.
struct State {
  uint64_t rax, rdi, rsi, rdx, r10, r8, r9;                // in and out
  uint64_t rcx, r11, rbx, rbp, r12, r13, r14, r15, flags;  // out
  std::array<uint64_t, 16> below;                          // the red zone, in and out
};
static_assert(offsetof(State, rcx) == 56 && offsetof(State, below) == 128);

// Loads the registers, fills the red zone, sets the carry flag, jumps to `site` (whose code comes
// back by `jmp *%rbp`), and stores what it finds.
extern "C" void runSite(const void* site, State* state);
asm(R"(
  .text
  .type runSite, @function
runSite:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsi, %rbx
  movq %rdi, %r12
  leaq 128(%rbx), %rsi
  leaq -128(%rsp), %rdi
  movl $16, %ecx
  rep movsq
  movq (%rbx), %rax
  movq 8(%rbx), %rdi
  movq 16(%rbx), %rsi
  movq 24(%rbx), %rdx
  movq 32(%rbx), %r10
  movq 40(%rbx), %r8
  movq 48(%rbx), %r9
  leaq 1f(%rip), %rbp
  movq $0x1313, %r13
  movq $0x1414, %r14
  movq $0x1515, %r15
  stc
  jmp *%r12
1:
  movq %rax, (%rbx)
  movq %rdi, 8(%rbx)
  movq %rsi, 16(%rbx)
  movq %rdx, 24(%rbx)
  movq %r10, 32(%rbx)
  movq %r8, 40(%rbx)
  movq %r9, 48(%rbx)
  movq %rcx, 56(%rbx)
  movq %r11, 64(%rbx)
  movq %rbx, 72(%rbx)
  movq %rbp, 80(%rbx)
  movq %r12, 88(%rbx)
  movq %r13, 96(%rbx)
  movq %r14, 104(%rbx)
  movq %r15, 112(%rbx)
  leaq 128(%rbx), %rdi
  leaq -128(%rsp), %rsi
  movl $16, %ecx
  rep movsq
  pushfq
  popq 120(%rbx)
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
  .size runSite, . - runSite
)");

void mapAt(uint64_t address, uint64_t size, int protection) {
  void* const wanted = reinterpret_cast<void*>(address);
  ASSERT_EQ(
      mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
      wanted);
}

class GateCall : public testing::Test {
 protected:
  GateCall() {
    mapAt(AIRR_GATE_TEXT, AIRR_GATE_TEXT_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    mapAt(AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE);
    mapAt(AIRR_GATE_GRANTS, OpenGrants::kSize, PROT_READ);
    memcpy(reinterpret_cast<void*>(AIRR_GATE_TEXT), gateImage().data(), gateImage().size());
    code_ = static_cast<uint8_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    // A site with padding: syscall; jmp *%rbp; … and one without: mov $nr, %eax; syscall; jmp
    // *%rbp.
    const uint8_t padded[] = {0x0f, 0x05, 0xff, 0xe5};
    memcpy(code_, padded, sizeof padded);
    memset(code_ + 64, 0x90, CallSite::kJump);
    const uint8_t inPlace[] = {0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xff, 0xe5};  // getpid
    memcpy(code_ + 256, inPlace, sizeof inPlace);
    const uint8_t counter[] = {0x0f, 0x31, 0xff, 0xe5};
    memcpy(code_ + 512, counter, sizeof counter);
    memset(code_ + 512 + 32, 0x90, CallSite::kJump);
    data->yield_at = UINT64_MAX;
    data->mode = AIRR_GATE_RECORD;
    data->log_limit = AIRR_GATE_LOG_SIZE;
    data->may = AIRR_GATE_MAY_USE_FILES;
  }
  ~GateCall() override {
    munmap(code_, 4096);
    munmap(reinterpret_cast<void*>(AIRR_GATE_TEXT), AIRR_GATE_TEXT_SIZE);
    munmap(reinterpret_cast<void*>(AIRR_GATE_DATA), AIRR_GATE_DATA_SIZE);
    munmap(reinterpret_cast<void*>(AIRR_GATE_GRANTS), OpenGrants::kSize);
  }

  static void write(const std::vector<PatchedBytes>& patch) {
    for (const PatchedBytes& piece : patch)
      memcpy(reinterpret_cast<void*>(piece.address), piece.bytes.data(), piece.bytes.size());
  }
  void patchPadded() {
    write(patchOf({0, 0, 0, 62, CallSite::kUnknown}, reinterpret_cast<uint64_t>(code_), 0, {}));
  }
  State run(const void* site, uint64_t number, std::initializer_list<uint64_t> arguments) {
    State state{};
    state.rax = number;
    uint64_t* slots[] = {&state.rdi, &state.rsi, &state.rdx, &state.r10, &state.r8, &state.r9};
    auto slot = std::begin(slots);
    for (uint64_t argument : arguments) **slot++ = argument;
    for (size_t i = 0; i < state.below.size(); ++i) state.below[i] = 0x5a5a0000 + i;
    runSite(site, &state);
    return state;
  }
  const airr_gate_entry* entry(uint32_t at = 0) const {
    return reinterpret_cast<const airr_gate_entry*>(data->log + at);
  }

  airr_gate_data* data = reinterpret_cast<airr_gate_data*>(AIRR_GATE_DATA);
  uint8_t* code_ = nullptr;
};

bool same(const State& a, const State& b) { return memcmp(&a, &b, sizeof a) == 0; }

TEST_F(GateCall, LeavesWhatTheKernelLeaves) {
  struct stat before {
  }, after{};
  const auto call = [&](struct stat& to) {
    return run(
        code_, SYS_newfstatat,
        {0, reinterpret_cast<uint64_t>(""), reinterpret_cast<uint64_t>(&to), AT_EMPTY_PATH, 8, 9});
  };
  State plain = call(before);
  patchPadded();
  State gated = call(after);
  EXPECT_EQ(data->log_used, sizeof(airr_gate_entry) + 8 + 144);
  EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
  plain.rdx = gated.rdx = 0;  // the two buffers
  plain.rbx = gated.rbx = 0;  // the two states
  EXPECT_TRUE(same(plain, gated));
  EXPECT_EQ(gated.rcx, reinterpret_cast<uint64_t>(code_) + 2);
  EXPECT_EQ(gated.flags & 1, 1u);
  EXPECT_EQ(entry()->number, static_cast<uint32_t>(SYS_newfstatat));
  EXPECT_EQ(entry()->in, 1u);
  EXPECT_EQ(entry()->out, sizeof(struct stat));
  EXPECT_EQ(entry()->resume, gated.rcx);
  EXPECT_EQ(memcmp(entry() + 1, "\0\0\0\0\0\0\0\0", 8), 0);
  EXPECT_EQ(memcmp(reinterpret_cast<const uint8_t*>(entry() + 1) + 8, &after, sizeof after), 0);
}

TEST_F(GateCall, AJumpInPlaceLoadsTheNumberToo) {
  const uint64_t instruction = reinterpret_cast<uint64_t>(code_) + 256 + 5;
  write(patchOf({0, 5, 0, 0, SYS_getpid}, instruction, 1, {code_ + 256, 5}));
  const State state = run(code_ + 256, 0, {});
  EXPECT_EQ(state.rax, static_cast<uint64_t>(getpid()));
  EXPECT_EQ(state.rcx, instruction + 2);
  EXPECT_EQ(entry()->number, static_cast<uint32_t>(SYS_getpid));
}

TEST_F(GateCall, ReplayTakesTheResultFromTheLogAndReachesNothing) {
  patchPadded();
  char buffer[32] = {};
  const uint64_t to = reinterpret_cast<uint64_t>(buffer);
  airr_gate_entry logged{};
  logged.number = SYS_read;
  logged.out = 5;
  logged.result = 5;
  logged.arguments[0] = 77;  // no such descriptor here
  logged.arguments[1] = to;
  logged.arguments[2] = sizeof buffer;
  memcpy(data->log, &logged, sizeof logged);
  memcpy(data->log + sizeof logged, "hello", 5);
  data->files[77] = AIRR_GATE_FILE_READ;
  data->mode = AIRR_GATE_REPLAY;
  data->log_limit = sizeof logged + 8;
  EXPECT_EQ(run(code_, SYS_read, {77, to, sizeof buffer}).rax, 5u);
  EXPECT_STREQ(buffer, "hello");
  EXPECT_EQ(data->log_used, data->log_limit);
  // The log is at its end: an ordinary call, which the kernel answers here.
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_read, {77, to, sizeof buffer}).rax), -EBADF);
  EXPECT_EQ(data->log_used, data->log_limit);
  // Another call than the log's next.
  data->log_used = 0;
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_read, {77, to, 31}).rax), -EBADF);
  EXPECT_EQ(data->log_used, 0u);
}

TEST_F(GateCall, WhatIsNotKnownIsMadeInTheOpen) {
  patchPadded();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  const UniqueFd from(ends[0]), into(ends[1]);
  char byte = 0;
  const auto fd = static_cast<uint64_t>(from.get());
  EXPECT_EQ(
      static_cast<int64_t>(run(code_, SYS_read, {fd, reinterpret_cast<uint64_t>(&byte), 1}).rax),
      -EAGAIN);
  EXPECT_EQ(run(code_, SYS_getsid, {0}).rax, static_cast<uint64_t>(getsid(0)));
  EXPECT_EQ(data->log_used, 0u);
  data->log_limit = 0;
  EXPECT_EQ(run(code_, SYS_getpid, {}).rax, static_cast<uint64_t>(getpid()));
  EXPECT_EQ(data->log_used, 0u);
  data->log_limit = AIRR_GATE_LOG_SIZE;
  data->log_used = AIRR_GATE_LOG_SIZE - 8;
  EXPECT_EQ(run(code_, SYS_getpid, {}).rax, static_cast<uint64_t>(getpid()));
  EXPECT_EQ(data->log_used, AIRR_GATE_LOG_SIZE - 8u);
}

TEST_F(GateCall, ReadsAndClosesWhatItKnows) {
  patchPadded();
  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);  // closed by the call
  ASSERT_GE(zero, 0);
  const auto fd = static_cast<uint64_t>(zero);
  std::vector<uint8_t> bytes(20000, 1);
  const auto to = reinterpret_cast<uint64_t>(bytes.data());
  data->files[fd] = AIRR_GATE_FILE_READ;
  EXPECT_EQ(run(code_, SYS_read, {fd, to, bytes.size()}).rax, bytes.size());
  EXPECT_EQ(bytes, std::vector<uint8_t>(20000, 0));
  EXPECT_EQ(entry()->out, bytes.size());
  data->files[fd] = AIRR_GATE_FILE_STOP;
  const uint32_t used = data->log_used;
  EXPECT_EQ(run(code_, SYS_lseek, {fd, 0, SEEK_SET}).rax, 0u);
  EXPECT_GT(data->log_used, used);
  data->files[fd] = AIRR_GATE_FILE_READ;
  // Not while the memory is another process's too.
  data->may = 0;
  const uint32_t before = data->log_used;
  EXPECT_EQ(run(code_, SYS_pread64, {fd, to, 1, 0}).rax, 1u);
  const auto copy = run(code_, SYS_fcntl, {fd, F_DUPFD_CLOEXEC, 0}).rax;
  EXPECT_EQ(run(code_, SYS_close, {copy}).rax, 0u);
  EXPECT_EQ(data->log_used, before);
  data->may = AIRR_GATE_MAY_USE_FILES;
  EXPECT_EQ(run(code_, SYS_close, {fd}).rax, 0u);
  EXPECT_EQ(data->files[fd], 0);
  EXPECT_EQ(fcntl(zero, F_GETFD), -1);
}

TEST_F(GateCall, DuplicatesLocksAndAdvisesInTheGate) {
  patchPadded();
  const auto logged = [this] { return std::exchange(data->log_used, 0u); };
  const UniqueFd file(memfd_create("file", MFD_CLOEXEC)), other(memfd_create("other", MFD_CLOEXEC));
  const auto fd = static_cast<uint64_t>(file.get()), copy = static_cast<uint64_t>(other.get());
  data->files[fd] = AIRR_GATE_FILE_READ;
  EXPECT_EQ(run(code_, SYS_dup2, {fd, copy}).rax, copy);
  EXPECT_EQ(logged(), sizeof(airr_gate_entry));
  EXPECT_EQ(data->files[copy], AIRR_GATE_FILE_READ);
  data->files[fd] = 0;
  EXPECT_EQ(run(code_, SYS_dup3, {fd, copy, O_CLOEXEC}).rax, copy);
  EXPECT_EQ(logged(), sizeof(airr_gate_entry));
  EXPECT_EQ(data->files[copy], 0);
  // That would close a file that the mediator has to see closed; and the tree's descriptor stays.
  data->files[copy] = AIRR_GATE_FILE_STOP;
  EXPECT_EQ(run(code_, SYS_dup2, {fd, copy}).rax, copy);
  data->files[copy] = 0;
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_dup2, {AIRR_GATE_TREE_FD, copy}).rax), -EBADF);
  EXPECT_EQ(logged(), 0u);

  struct flock lock {};
  lock.l_type = F_WRLCK;
  const auto at = reinterpret_cast<uint64_t>(&lock);
  EXPECT_EQ(run(code_, SYS_fcntl, {fd, F_SETLK, at}).rax, 0u);
  EXPECT_EQ(entry()->in, sizeof lock);
  EXPECT_EQ(memcmp(entry() + 1, &lock, sizeof lock), 0);
  EXPECT_EQ(logged(), sizeof(airr_gate_entry) + sizeof lock);
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_fcntl, {fd, F_SETLK, 8}).rax), -EFAULT);
  EXPECT_EQ(entry()->in, 0u);
  logged();
  // Nothing is read of what cannot be locked.
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_fcntl, {1000, F_SETLK, 8}).rax), -EBADF);
  EXPECT_EQ(logged(), 0u);

  const UniqueFd poll(epoll_create1(EPOLL_CLOEXEC)), event(eventfd(0, EFD_CLOEXEC));
  const auto set = static_cast<uint64_t>(poll.get()), one = static_cast<uint64_t>(event.get());
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  EXPECT_EQ(run(code_, SYS_epoll_ctl, {set, EPOLL_CTL_ADD, one, reinterpret_cast<uint64_t>(&wanted)}).rax, 0u);
  EXPECT_EQ(entry()->in, sizeof wanted);
  EXPECT_EQ(memcmp(entry() + 1, &wanted, sizeof wanted), 0);
  logged();
  // Whether it can be read the kernel does not say.
  EXPECT_EQ(run(code_, SYS_epoll_ctl, {set, EPOLL_CTL_DEL, one, 8}).rax, 0u);
  EXPECT_EQ(logged(), 0u);

  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto memory = reinterpret_cast<uint64_t>(page);
  EXPECT_EQ(run(code_, SYS_madvise, {memory, 4096, MADV_DONTFORK}).rax, 0u);
  EXPECT_EQ(logged(), sizeof(airr_gate_entry));
  EXPECT_EQ(run(code_, SYS_madvise, {memory, 4096, MADV_DONTNEED}).rax, 0u);
  EXPECT_EQ(logged(), 0u);
  munmap(page, 4096);
}

TEST_F(GateCall, NothingOfTheBufferIsLeftBetweenDirectoryEntries) {
  patchPadded();
  std::string place = testing::TempDir() + "airr-entries-XXXXXX";
  ASSERT_NE(mkdtemp(place.data()), nullptr);
  const UniqueFd directory(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (size_t size = 1; size <= 20; ++size)  // names that end at each place in a word
    UniqueFd(openat(directory.get(), std::string(size, 'n').c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const auto fd = static_cast<uint64_t>(directory.get());
  data->files[fd] = AIRR_GATE_FILE_DIRECTORY;
  alignas(8) uint8_t entries[4096];
  memset(entries, 0xee, sizeof entries);
  const uint64_t size = run(code_, SYS_getdents64, {fd, reinterpret_cast<uint64_t>(entries), sizeof entries}).rax;
  ASSERT_EQ(entry()->out, size);
  EXPECT_EQ(memcmp(entry() + 1, entries, size), 0);
  size_t found = 0;
  uint16_t length = 0;
  for (size_t at = 0; at < size; at += length, ++found) {
    memcpy(&length, entries + at + 16, sizeof length);
    const std::string name(reinterpret_cast<const char*>(entries) + at + 19);
    EXPECT_TRUE(name.find_first_not_of(name[0]) == std::string::npos && name.size() <= 20) << name;
    for (size_t i = at + 19 + name.size(); i < at + length; ++i) EXPECT_EQ(entries[i], 0) << name;
    unlinkat(directory.get(), name.c_str(), 0);
  }
  EXPECT_EQ(found, 22u);
  EXPECT_EQ(entries[size], 0xee);
  rmdir(place.c_str());
}

TEST_F(GateCall, TheMemoryThatACallReadsIsLogged) {
  patchPadded();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  uint64_t former = ~0ull;
  EXPECT_EQ(
      run(code_, SYS_rt_sigprocmask,
          {SIG_BLOCK, reinterpret_cast<uint64_t>(&set), reinterpret_cast<uint64_t>(&former), 8})
          .rax,
      0u);
  EXPECT_EQ(memcmp(entry() + 1, &set, 8), 0);
  EXPECT_EQ(memcmp(reinterpret_cast<const uint8_t*>(entry() + 1) + 8, &former, 8), 0);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

TEST_F(GateCall, LooksNamesUpIfItMay) {
  patchPadded();
  const auto of = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  constexpr auto kHere = static_cast<uint64_t>(AT_FDCWD);
  const char name[] = "/proc/self/exe";
  struct stat status {};
  char target[300];
  EXPECT_EQ(run(code_, SYS_stat, {of(name), of(&status)}).rax, 0u);
  EXPECT_EQ(data->log_used, 0u);
  data->may = AIRR_GATE_MAY_LOOK_UP | AIRR_GATE_MAY_USE_FILES;
  const auto logged = [&](uint64_t number, std::initializer_list<uint64_t> arguments) {
    data->log_used = 0;
    const auto result = static_cast<int64_t>(run(code_, number, arguments).rax);
    if (data->log_used == 0) return false;
    EXPECT_EQ(entry()->result, result);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(entry() + 1)).size() + 1, entry()->in);
    EXPECT_EQ(data->log_used, sizeof(airr_gate_entry) + gateLogged(entry()->in) + gateLogged(entry()->out));
    return true;
  };
  EXPECT_TRUE(logged(SYS_stat, {of(name), of(&status)}));
  EXPECT_TRUE(S_ISREG(status.st_mode));
  EXPECT_EQ(memcmp(entry() + 1, name, sizeof name), 0);
  EXPECT_EQ(memcmp(reinterpret_cast<const char*>(entry() + 1) + gateLogged(sizeof name), &status, sizeof status), 0);
  EXPECT_TRUE(logged(SYS_lstat, {of(name), of(&status)}));
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  EXPECT_TRUE(logged(SYS_newfstatat, {kHere, of(name), of(&status), AT_SYMLINK_NOFOLLOW}));
  EXPECT_TRUE(logged(SYS_access, {of(name), R_OK}));
  EXPECT_TRUE(logged(SYS_faccessat, {kHere, of("no such file"), F_OK}));
  EXPECT_EQ(entry()->result, -ENOENT);
  EXPECT_TRUE(logged(SYS_faccessat2, {kHere, of("/dev/null/x"), F_OK, AT_EACCESS}));
  EXPECT_EQ(entry()->result, -ENOTDIR);
  EXPECT_TRUE(logged(SYS_readlink, {of(name), of(target), sizeof target}));
  EXPECT_EQ(entry()->out, entry()->result);
  EXPECT_TRUE(logged(SYS_readlinkat, {kHere, of("/"), of(target), sizeof target}));
  EXPECT_EQ(entry()->result, -EINVAL);
  struct statx extended {};
  EXPECT_TRUE(logged(SYS_statx, {kHere, of(name), AT_SYMLINK_NOFOLLOW, STATX_ALL, of(&extended)}));
  // In a directory that the mediator has told it of.
  const UniqueFd proc(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto fd = static_cast<uint64_t>(proc.get());
  EXPECT_FALSE(logged(SYS_newfstatat, {fd, of("exe"), of(&status), 0}));
  data->files[fd] = AIRR_GATE_FILE_DIRECTORY;
  EXPECT_TRUE(logged(SYS_newfstatat, {fd, of("exe"), of(&status), 0}));

  // In the open: what cannot be read, what may not be wholly read, what is too long, and what the call destroys.
  const std::string longName(AIRR_GATE_NAME_SIZE, '/'), fits(AIRR_GATE_NAME_SIZE - 1, '/');
  EXPECT_TRUE(logged(SYS_stat, {of(fits.c_str()), of(&status)}));
  EXPECT_FALSE(logged(SYS_stat, {of(longName.c_str()), of(&status)}));
  EXPECT_FALSE(logged(SYS_stat, {1 << 16, of(&status)}));
  EXPECT_FALSE(logged(SYS_stat, {of(name), 1 << 16}));
  EXPECT_FALSE(logged(SYS_stat, {0, of(&status)}));
  EXPECT_FALSE(logged(SYS_stat, {of(std::string(5000, 'x').c_str()), of(&status)}));
  EXPECT_FALSE(logged(SYS_access, {of(name), 8}));
  EXPECT_FALSE(logged(SYS_readlink, {of(name), of(target), 0}));
  EXPECT_FALSE(logged(SYS_newfstatat, {kHere, of(name), of(&status), 0x10000}));
  EXPECT_FALSE(logged(SYS_statx, {kHere, of(name), 0x6000, STATX_ALL, of(&extended)}));
  // The answer lies close behind the name; then over its end.
  char near[16 + sizeof status] = "/proc/self/exe";
  EXPECT_TRUE(logged(SYS_stat, {of(near), of(near + 15)}));
  EXPECT_FALSE(logged(SYS_stat, {of(near), of(near + 14)}));
  EXPECT_FALSE(logged(SYS_stat, {1 << 16, (1 << 16) + 20}));
  strcpy(target, name);
  EXPECT_FALSE(logged(SYS_readlink, {of(target), of(target), sizeof target}));
  EXPECT_TRUE(std::string(target, 1) == "/" && strncmp(target, name, sizeof name) != 0);
}

// What the mediator does (recording_tree.cpp).
void endNameFault(int, siginfo_t*, void* context) {
  greg_t& at = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  if (at < static_cast<greg_t>(AIRR_GATE_NAMES) || at >= static_cast<greg_t>(AIRR_GATE_NAME_FAULT)) _exit(99);
  at = AIRR_GATE_NAME_FAULT;
}

// As many descriptors as a gate needs that opens files.
class Descriptors {
 public:
  Descriptors() {
    getrlimit(RLIMIT_NOFILE, &limit_);
    const rlimit more{std::max<rlim_t>(limit_.rlim_cur, AIRR_GATE_OWN_FDS_END), limit_.rlim_max};
    enough = setrlimit(RLIMIT_NOFILE, &more) == 0;
  }
  ~Descriptors() { setrlimit(RLIMIT_NOFILE, &limit_); }

  bool enough = false;

 private:
  rlimit limit_{};
};

TEST_F(GateCall, OpensWhatIsGrantedByItsPath) {
  const Descriptors descriptors;
  if (!descriptors.enough) GTEST_SKIP() << "needs " << AIRR_GATE_OWN_FDS_END << " descriptors";
  patchPadded();
  char folder[] = "/tmp/airr-granted-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string directory = folder, file = directory + "/a file", other = directory + "/other";
  for (const std::string& name : {file, other}) ASSERT_TRUE(UniqueFd(open(name.c_str(), O_CREAT | O_WRONLY, 0600)));
  OpenGrants grants;
  void* const where = reinterpret_cast<void*>(AIRR_GATE_GRANTS);
  ASSERT_EQ(mmap(where, OpenGrants::kSize, PROT_READ, MAP_SHARED | MAP_FIXED, grants.memory(), 0), where);
  const UniqueFd opened(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd root(dup3(opened.get(), AIRR_GATE_ROOT_FD, O_CLOEXEC));
  ASSERT_TRUE(root);
  for (airr_gate_directory& place : data->directories) place.length = 0;
  data->here.length = 0;
  data->may = AIRR_GATE_MAY_OPEN | AIRR_GATE_MAY_USE_FILES;

  std::vector<UniqueFd> kept;
  int64_t result = 0;
  const auto made = [&](uint64_t from, const std::string& name) {
    data->log_used = 0;
    result = static_cast<int64_t>(run(code_, SYS_openat, {from, reinterpret_cast<uint64_t>(name.c_str()), O_RDONLY}).rax);
    if (result >= 0) kept.emplace_back(static_cast<int>(result));
    return data->log_used != 0;
  };
  constexpr auto kHere = static_cast<uint64_t>(AT_FDCWD);
  EXPECT_FALSE(made(kHere, file));
  EXPECT_GE(result, 0);
  ASSERT_TRUE(grants.add(file));
  ASSERT_TRUE(grants.add(directory));
  EXPECT_TRUE(made(kHere, file));
  EXPECT_GE(result, 0);
  EXPECT_EQ(data->files[result], AIRR_GATE_FILE_READ);
  EXPECT_FALSE(made(kHere, other));
  EXPECT_FALSE(made(kHere, directory + "//a file"));
  EXPECT_FALSE(made(kHere, directory + "/a fil"));
  // From directories whose path is known.
  EXPECT_TRUE(made(kHere, directory));
  const auto fd = static_cast<uint64_t>(result);
  EXPECT_TRUE(made(fd, "a file"));
  EXPECT_FALSE(made(fd, "other"));
  EXPECT_FALSE(made(kHere, "a file"));
  memcpy(data->here.path, folder + 1, strlen(folder) - 1);
  data->here.length = static_cast<uint32_t>(strlen(folder) - 1);
  EXPECT_TRUE(made(kHere, "a file"));
  EXPECT_FALSE(made(kHere, "./a file"));
  EXPECT_FALSE(made(kHere, ""));
  // Where there is nothing any more; a link is for the mediator.
  ASSERT_EQ(unlink(file.c_str()), 0);
  EXPECT_TRUE(made(kHere, file));
  EXPECT_EQ(result, -ENOENT);
  EXPECT_FALSE(made(kHere, "a file"));  // the directory may have another path by now
  ASSERT_EQ(symlink("other", file.c_str()), 0);
  EXPECT_FALSE(made(kHere, file));
  EXPECT_GE(result, 0);
  // Hidden, shown again, taken back.
  ASSERT_EQ(unlink(file.c_str()), 0);
  ASSERT_EQ(rename(other.c_str(), file.c_str()), 0);
  grants.hide();
  EXPECT_FALSE(made(kHere, file));
  ASSERT_TRUE(grants.add(file));
  EXPECT_TRUE(made(kHere, file));
  grants.takeBack(file);
  EXPECT_FALSE(made(kHere, file));
  EXPECT_GE(result, 0);
  grants.add(file);
  EXPECT_FALSE(made(kHere, file));
  grants.add(directory);
  EXPECT_TRUE(made(kHere, directory));
  unlink(file.c_str());
  rmdir(folder);
}

TEST_F(GateCall, OpensWhatIsInTheTreeIfItMay) {
  patchPadded();
  const Descriptors descriptors;
  if (!descriptors.enough) GTEST_SKIP() << "needs " << AIRR_GATE_OWN_FDS_END << " descriptors";
  const UniqueFd opened(open(AIRR_GATE_TREE, O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd tree(dup3(opened.get(), AIRR_GATE_TREE_FD, O_CLOEXEC));
  ASSERT_TRUE(tree);
  for (airr_gate_directory& directory : data->directories) directory.length = 0;
  data->here.length = 0;

  const auto of = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  constexpr auto kHere = static_cast<uint64_t>(AT_FDCWD);
  std::vector<UniqueFd> kept;
  int64_t result = 0;
  const auto made = [&](uint64_t number, std::initializer_list<uint64_t> arguments) {
    data->log_used = 0;
    result = static_cast<int64_t>(run(code_, number, arguments).rax);
    if (result >= 0) kept.emplace_back(static_cast<int>(result));
    if (data->log_used == 0) return false;
    EXPECT_EQ(entry()->result, result);
    EXPECT_EQ(entry()->out, 0u);
    const size_t size = strlen(reinterpret_cast<const char*>(entry() + 1)) + 1;
    EXPECT_EQ(entry()->in, size + 1);
    EXPECT_EQ(data->log_used, sizeof(airr_gate_entry) + gateLogged(size + 1));
    return true;
  };
  const auto known = [&] { return reinterpret_cast<const uint8_t*>(entry() + 1)[entry()->in - 1]; };

  const char file[] = AIRR_GATE_TREE "/include/stdio.h", directory[] = AIRR_GATE_TREE "/include";
  EXPECT_FALSE(made(SYS_open, {of(file), O_RDONLY}));
  data->may = AIRR_GATE_MAY_OPEN;
  EXPECT_FALSE(made(SYS_open, {of(file), O_RDONLY}));
  data->may = AIRR_GATE_MAY_OPEN | AIRR_GATE_MAY_USE_FILES;
  EXPECT_TRUE(made(SYS_open, {of(file), O_RDONLY}));
  EXPECT_EQ(known(), AIRR_GATE_FILE_READ);
  EXPECT_EQ(data->files[result], AIRR_GATE_FILE_READ);
  EXPECT_EQ(fcntl(static_cast<int>(result), F_GETFD), 0);
  // The flags that open(2) would have left.
  constexpr uint64_t kFlags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
  EXPECT_TRUE(made(SYS_openat, {kHere, of(file), kFlags}));
  EXPECT_EQ(fcntl(static_cast<int>(result), F_GETFD), FD_CLOEXEC);
  const UniqueFd alike(open(file, kFlags));
  EXPECT_EQ(fcntl(static_cast<int>(result), F_GETFL), fcntl(alike.get(), F_GETFL));

  EXPECT_TRUE(made(SYS_openat, {kHere, of(directory), O_DIRECTORY | O_CLOEXEC}));
  EXPECT_EQ(known(), AIRR_GATE_FILE_DIRECTORY);
  const auto fd = static_cast<uint64_t>(result);
  EXPECT_TRUE(made(SYS_openat, {fd, of("stdio.h"), O_RDONLY}));
  EXPECT_STREQ(reinterpret_cast<const char*>(entry() + 1), "stdio.h");
  EXPECT_TRUE(made(SYS_openat, {fd, of("linux"), O_DIRECTORY}));
  const auto below = static_cast<uint64_t>(result);
  EXPECT_TRUE(made(SYS_openat, {below, of("fs.h"), O_RDONLY}));
  EXPECT_TRUE(made(SYS_openat, {below, of("no-such.h"), O_RDONLY}));
  EXPECT_EQ(result, -ENOENT);
  EXPECT_EQ(known(), 0);
  EXPECT_TRUE(run(code_, SYS_fcntl, {below, F_DUPFD_CLOEXEC, 0}).rax > below);
  const auto copy = static_cast<uint64_t>(entry(data->log_used - sizeof(airr_gate_entry))->result);
  kept.emplace_back(static_cast<int>(copy));
  EXPECT_TRUE(made(SYS_openat, {copy, of("fs.h"), O_RDONLY}));

  // In the open: other trees, what leads out or through a link, what is not written plainly, and other flags.
  EXPECT_FALSE(made(SYS_open, {of("/etc/passwd"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usrx"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr/"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr/../etc/passwd"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr/include/./stdio.h"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr//include/stdio.h"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr/include/"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_openat, {fd, of("../../etc/passwd"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_openat, {fd, of(""), O_RDONLY}));
  EXPECT_FALSE(made(SYS_openat, {static_cast<uint64_t>(opened.get()), of("include"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of(file), O_PATH}));
  EXPECT_FALSE(made(SYS_open, {of(file), O_WRONLY}));
  EXPECT_FALSE(made(SYS_openat, {kHere, of(directory), O_TMPFILE | O_RDWR, 0600}));
  const std::string longName = std::string(directory) + "/" + std::string(AIRR_GATE_NAME_SIZE, 'x');
  EXPECT_FALSE(made(SYS_open, {of(longName.c_str()), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/proc/self/root/usr/include/stdio.h"), O_RDONLY}));
  EXPECT_FALSE(made(SYS_open, {of("/usr/bin/awk"), O_RDONLY}));  // a link to /etc/alternatives

  // A name that is not there.
  struct sigaction action {}, before {};
  action.sa_sigaction = endNameFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;  // the gate's stack is small
  std::vector<char> stack(1 << 16);
  const stack_t other{stack.data(), 0, stack.size()}, none{nullptr, SS_DISABLE, 0};
  ASSERT_EQ(sigaltstack(&other, nullptr), 0);
  ASSERT_EQ(sigaction(SIGSEGV, &action, &before), 0);
  EXPECT_FALSE(made(SYS_open, {1 << 16, O_RDONLY}));
  EXPECT_EQ(result, -EFAULT);
  sigaction(SIGSEGV, &before, nullptr);
  sigaltstack(&none, nullptr);
  EXPECT_FALSE(made(SYS_open, {0, O_RDONLY}));
}

TEST_F(GateCall, ReplayComparesTheNameThatIsLookedUp) {
  patchPadded();
  const auto of = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  char name[] = "/no/such/directory";
  struct stat status {};
  airr_gate_entry logged{};
  logged.number = SYS_stat;
  logged.in = sizeof name;
  logged.out = sizeof status;
  logged.arguments[0] = of(name);
  logged.arguments[1] = of(&status);
  memcpy(data->log, &logged, sizeof logged);
  memcpy(data->log + sizeof logged, name, sizeof name);
  memset(data->log + sizeof logged + gateLogged(sizeof name), 0x11, sizeof status);
  data->mode = AIRR_GATE_REPLAY;
  data->log_limit = static_cast<uint32_t>(sizeof logged + gateLogged(sizeof name) + sizeof status);
  EXPECT_EQ(run(code_, SYS_stat, {of(name), of(&status)}).rax, 0u);
  EXPECT_EQ(status.st_size, 0x1111111111111111);
  EXPECT_EQ(data->log_used, data->log_limit);
  data->log_used = 0;
  name[3] = '.';  // another name at the same place: for the kernel, and the replayer
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_stat, {of(name), of(&status)}).rax), -ENOENT);
  EXPECT_EQ(data->log_used, 0u);
}

TEST_F(GateCall, ASignalThatWaitsIsNotLetInHere) {
  patchPadded();
  sigset_t blocked, former;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &former), 0);
  ASSERT_EQ(raise(SIGUSR2), 0);
  static volatile int seen;
  seen = 0;
  signal(SIGUSR2, [](int) { seen = seen + 1; });
  const auto set = reinterpret_cast<uint64_t>(&former);
  EXPECT_EQ(run(code_, SYS_rt_sigprocmask, {SIG_SETMASK, set, 0, 8}).rax, 0u);
  EXPECT_EQ(data->log_used, 0u);
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(run(code_, SYS_rt_sigprocmask, {SIG_SETMASK, set, 0, 8}).rax, 0u);
  EXPECT_EQ(data->log_used, sizeof(airr_gate_entry) + 8);
  signal(SIGUSR2, SIG_DFL);
}

TEST_F(GateCall, CountersAreLoggedAndReplayed) {
  const uint64_t instruction = reinterpret_cast<uint64_t>(code_) + 512;
  write(patchOf({0, 0, 0, 30, CallSite::kCounter}, instruction, 2, {}));
  const State state = run(code_ + 512, 0x1111, {1, 2, 3, 4, 5, 6});
  ASSERT_EQ(data->log_used, sizeof(airr_gate_entry));
  EXPECT_EQ(entry()->number, static_cast<uint32_t>(AIRR_GATE_RDTSC));
  EXPECT_EQ(state.rdx << 32 | state.rax, static_cast<uint64_t>(entry()->result));
  EXPECT_EQ(state.rdi, 1u);
  EXPECT_EQ(state.r9, 6u);
  EXPECT_EQ(state.flags & 1, 1u);
  for (size_t i = 0; i < state.below.size(); ++i) EXPECT_EQ(state.below[i], 0x5a5a0000 + i);
  data->mode = AIRR_GATE_REPLAY;
  data->log_limit = data->log_used;
  data->log_used = 0;
  const State again = run(code_ + 512, 0x1111, {});
  EXPECT_EQ(again.rax, state.rax);
  EXPECT_EQ(again.rdx, state.rdx);
}

TEST_F(GateCall, ACounterInPlaceRunsWhatStoodBehindIt) {
  uint8_t* const site = code_ + 768;
  // rdtsc; shl $32, %rdx; or %rdx, %rax; jmp *%rbp
  const uint8_t code[] = {0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xff, 0xe5};
  memcpy(site, code, sizeof code);
  constexpr uint8_t kBehind = 7;
  write(patchOf({0, 0, kBehind, 0, CallSite::kCounter}, reinterpret_cast<uint64_t>(site), 3,
                {site + 2, kBehind}));
  EXPECT_EQ(site[0], 0xff);
  EXPECT_EQ(site[8], kInt3);
  const State state = run(site, 0x1111, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(entry()->number, static_cast<uint32_t>(AIRR_GATE_RDTSC));
  EXPECT_EQ(state.rax, static_cast<uint64_t>(entry()->result));
  EXPECT_EQ(state.rsi, 2u);
}

TEST_F(GateCall, AnAddressBehindACounterStaysWhatItWas) {
  uint8_t* const site = code_ + 896;
  // rdtsc; lea 0x100(%rip), %r9; jmp *%rbp
  const uint8_t code[] = {0x0f, 0x31, 0x4c, 0x8d, 0x0d, 0, 1, 0, 0, 0xff, 0xe5};
  memcpy(site, code, sizeof code);
  write(patchOf({0, 0, kLeaLength, 0, CallSite::kCounter}, reinterpret_cast<uint64_t>(site), 4,
                {site + 2, kLeaLength}));
  const State state = run(site, 0, {});
  EXPECT_EQ(data->log_used, sizeof(airr_gate_entry));
  EXPECT_EQ(state.r9, reinterpret_cast<uint64_t>(site) + 9 + 0x100);
}

TEST_F(GateCall, MapsMemoryThatIsNobodysAndNotExecutable) {
  patchPadded();
  data->may = AIRR_GATE_MAY_PROTECT;
  constexpr uint64_t kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  const auto none = static_cast<uint64_t>(-1);
  const auto used = [this] { return std::exchange(data->log_used, 0u); };
  const uint64_t at = run(code_, SYS_mmap, {0, 8192, PROT_READ | PROT_WRITE, kAnonymous, none, 0}).rax;
  EXPECT_EQ(entry()->result, static_cast<int64_t>(at));
  EXPECT_EQ(used(), sizeof(airr_gate_entry));
  *reinterpret_cast<volatile char*>(at) = 1;
  EXPECT_EQ(run(code_, SYS_mprotect, {at, 4096, PROT_READ}).rax, 0u);
  EXPECT_EQ(used(), sizeof(airr_gate_entry));
  EXPECT_EQ(run(code_, SYS_munmap, {at + 4096, 4096}).rax, 0u);
  EXPECT_EQ(used(), sizeof(airr_gate_entry));
  EXPECT_EQ(run(code_, SYS_brk, {0}).rax, reinterpret_cast<uint64_t>(sbrk(0)));
  EXPECT_EQ(used(), sizeof(airr_gate_entry));
  // For the mediator: code, what others see, a fixed place, what has been patched, generated code.
  const uint64_t code =
      run(code_, SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, kAnonymous, none, 0}).rax;
  const uint64_t shared =
      run(code_, SYS_mmap, {0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, none, 0}).rax;
  EXPECT_EQ(run(code_, SYS_mmap, {shared, 4096, PROT_READ, kAnonymous | MAP_FIXED, none, 0}).rax, shared);
  data->patched_start = at - 4096, data->patched_end = at + 1;
  EXPECT_EQ(run(code_, SYS_munmap, {at, 4096}).rax, 0u);
  data->may = 0;
  EXPECT_EQ(run(code_, SYS_mprotect, {shared, 4096, PROT_NONE}).rax, 0u);
  data->may = AIRR_GATE_MAY_PROTECT;
  EXPECT_EQ(run(code_, SYS_mprotect, {code, 4096, PROT_READ | PROT_EXEC}).rax, 0u);
  EXPECT_EQ(used(), 0u);
  munmap(reinterpret_cast<void*>(code), 4096);
  munmap(reinterpret_cast<void*>(shared), 4096);
}

TEST_F(GateCall, WakesIfItMay) {
  patchPadded();
  uint32_t word = 0;
  const auto wake = [&] {
    EXPECT_EQ(run(code_, SYS_futex, {reinterpret_cast<uint64_t>(&word), FUTEX_WAKE_PRIVATE, 1}).rax, 0u);
    return std::exchange(data->log_used, 0u);
  };
  data->may = 0;
  EXPECT_EQ(wake(), 0u);
  data->may = AIRR_GATE_MAY_WAKE;
  EXPECT_EQ(wake(), sizeof(airr_gate_entry));
}

TEST_F(GateCall, MappingIsNotTakenFromTheLog) {
  patchPadded();
  data->mode = AIRR_GATE_REPLAY;
  data->log_limit = 0;
  const uint64_t at = run(code_, SYS_mmap,
                          {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, static_cast<uint64_t>(-1), 0})
                          .rax;
  EXPECT_EQ(munmap(reinterpret_cast<void*>(at), 4096), 0);
}

TEST_F(GateCall, AnswersWhatTheKernelIsNotAsked) {
  patchPadded();
  EXPECT_EQ(static_cast<int64_t>(run(code_, SYS_rseq, {0, 32, 0, 0}).rax), -ENOSYS);
  EXPECT_EQ(entry()->number, static_cast<uint32_t>(SYS_rseq));
  data->log_used = 0;
  const std::string text = "execve /bin/true";
  EXPECT_EQ(run(code_, AIRR_SYSCALL, {AIRR_NOTE_SPAWN, reinterpret_cast<uint64_t>(text.data()), text.size()}).rax,
            0u);
  EXPECT_EQ(entry()->in, text.size());
  EXPECT_EQ(memcmp(entry() + 1, text.data(), text.size()), 0);
  data->log_used = 0;
  // A hand-over is the mediator's, whom this process has not.
  EXPECT_EQ(static_cast<int64_t>(run(code_, AIRR_SYSCALL, {AIRR_NOTE_YIELD, 0, 0}).rax), -ENOSYS);
  EXPECT_EQ(data->log_used, 0u);
}

TEST_F(GateCall, ReadsLimitsAndRandomBytes) {
  patchPadded();
  rlimit limit{}, logged{};
  EXPECT_EQ(run(code_, SYS_prlimit64, {0, RLIMIT_STACK, 0, reinterpret_cast<uint64_t>(&limit)}).rax, 0u);
  memcpy(&logged, entry() + 1, sizeof logged);
  EXPECT_EQ(logged.rlim_max, limit.rlim_max);
  data->log_used = 0;
  uint8_t bytes[16];
  EXPECT_EQ(run(code_, SYS_getrandom, {reinterpret_cast<uint64_t>(bytes), sizeof bytes, 0}).rax, sizeof bytes);
  EXPECT_EQ(memcmp(entry() + 1, bytes, sizeof bytes), 0);
  data->log_used = 0;
  EXPECT_EQ(run(code_, SYS_prlimit64, {0, RLIMIT_STACK, reinterpret_cast<uint64_t>(&limit), 0}).rax, 0u);
  EXPECT_EQ(data->log_used, 0u);
}

}  // namespace
}  // namespace airr
