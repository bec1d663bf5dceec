#include "mediator/gate_patch.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "recorder/gate/gate.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

constexpr uint64_t kTargetAt = AIRR_GATE_TRAMPOLINE_SIZE - 8;  // of the long jump, in a trampoline

class Code {
 public:
  explicit Code(uint64_t address) : address_(address) {}
  void put(std::initializer_list<uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes); }
  void put(std::span<const uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void put32(uint64_t value) { putNumber(value, 4); }
  void put64(uint64_t value) { putNumber(value, 8); }
  // A distance of four bytes that ends the instruction.
  void putDistanceTo(uint64_t target) { put32(target - (address_ + bytes_.size() + 4)); }
  void fillTo(uint64_t size) { bytes_.resize(size, kInt3); }
  PatchedBytes done() && { return {address_, std::move(bytes_)}; }

 private:
  void putNumber(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  uint64_t address_;
  std::vector<uint8_t> bytes_;
};

PatchedBytes trampolineOf(uint64_t at, uint64_t resume, std::span<const uint8_t> before) {
  Code code(at);
  const auto loadResume = [&] {  // movabs $resume, %rcx
    code.put({0x48, 0xb9});
    code.put64(resume);
  };
  code.put(before);
  loadResume();
  constexpr uint64_t kJumpLength = 5;
  code.put({0x4c, 0x8d, 0x1d});  // lea plain(%rip), %r11
  code.put32(kJumpLength);
  code.put({0xe9});  // jmp gate_call
  code.putDistanceTo(AIRR_GATE_CALL);
  code.put({0x0f, 0x05});  // plain: syscall
  loadResume();
  code.put({0xff, 0xe1});  // jmp *%rcx
  code.fillTo(kTargetAt);
  code.put64(at);
  return std::move(code).done();
}

// The instructions that stood at `address`, with the same effect elsewhere.
void putMoved(Code& code, uint64_t address, std::span<const uint8_t> moved) {
  if (moved.size() >= kLeaLength && isRipRelativeLea(moved.first(kLeaLength))) {
    int32_t distance;
    memcpy(&distance, moved.data() + 3, sizeof distance);
    const uint8_t extended = (moved[0] & 4) != 0 ? 1 : 0;  // REX.R becomes REX.B
    code.put({static_cast<uint8_t>(0x48 | extended), static_cast<uint8_t>(0xb8 | ((moved[2] >> 3) & 7))});
    code.put64(address + kLeaLength + static_cast<uint64_t>(int64_t{distance}));  // movabs
    moved = moved.subspan(kLeaLength);
  }
  code.put(moved);
}

PatchedBytes counterTrampolineOf(uint64_t at, uint64_t instruction, std::span<const uint8_t> behind) {
  const uint64_t resume = instruction + kSiteLength + behind.size();
  Code code(at);
  constexpr uint8_t kLea = 7, kJump = 5, kTrap = 1;
  code.put({0x48, 0x8d, 0x15});  // lea done(%rip), %rdx
  code.put32(kLea + kJump + kTrap);
  code.put({0x48, 0x8d, 0x05});  // lea plain(%rip), %rax
  code.put32(kJump);
  code.put({0xe9});  // jmp gate_counter
  code.putDistanceTo(AIRR_GATE_COUNTER);
  code.put({kInt3});  // plain
  putMoved(code, instruction + kSiteLength, behind);  // done
  code.put({0xff, 0x25});  // jmp *resume(%rip)
  code.put32(0);
  code.put64(resume);
  code.fillTo(kTargetAt);
  code.put64(at);
  return std::move(code).done();
}

class CodeWriter {
 public:
  explicit CodeWriter(Tid tid)
      : memory_(open(("/proc/" + std::to_string(raw(tid)) + "/mem").c_str(), O_RDWR | O_CLOEXEC)) {}
  bool write(Address to, std::span<const uint8_t> bytes) const {
    return memory_ && pwrite(memory_.get(), bytes.data(), bytes.size(),
                             static_cast<off_t>(to.value)) == static_cast<ssize_t>(bytes.size());
  }

 private:
  UniqueFd memory_;
};

}  // namespace

uint64_t counterTrapOf(uint32_t trampoline) {
  constexpr uint64_t kBefore = 7 + 7 + 5;
  return AIRR_GATE_TRAMPOLINES + uint64_t{trampoline} * AIRR_GATE_TRAMPOLINE_SIZE + kBefore;
}

uint64_t jumpOf(const CallSite& site, uint64_t instruction) {
  if (site.padding == 0) return instruction - site.before;
  return instruction + kSiteLength + static_cast<uint64_t>(int64_t{site.padding});
}

std::vector<PatchedBytes> patchOf(const CallSite& site, uint64_t instruction, uint32_t trampoline,
                                  std::span<const uint8_t> moved) {
  const uint64_t at = AIRR_GATE_TRAMPOLINES + uint64_t{trampoline} * AIRR_GATE_TRAMPOLINE_SIZE;
  std::vector<PatchedBytes> patch;
  patch.push_back(site.number == CallSite::kCounter
                      ? counterTrampolineOf(at, instruction, moved)
                      : trampolineOf(at, instruction + kSiteLength, moved));
  Code jump(jumpOf(site, instruction));
  jump.put({0xff, 0x24, 0x25});  // jmp *address
  jump.put32(at + kTargetAt);
  if (site.padding == 0) jump.fillTo(site.before + kSiteLength + site.behind);
  patch.push_back(std::move(jump).done());
  if (site.padding != 0) {
    Code shortJump(instruction);
    shortJump.put({0xeb, static_cast<uint8_t>(site.padding)});
    patch.push_back(std::move(shortJump).done());
  }
  return patch;
}

bool writeCode(Tracee& tracee, std::span<const PatchedBytes> pieces) {
  std::vector<const PatchedBytes*> sorted;
  for (const PatchedBytes& piece : pieces) sorted.push_back(&piece);
  std::sort(sorted.begin(), sorted.end(),
            [](const PatchedBytes* a, const PatchedBytes* b) { return a->address < b->address; });
  std::vector<uint8_t> bytes;
  const CodeWriter writer(tracee.tid());
  for (size_t first = 0; first < sorted.size();) {
    const uint64_t start = sorted[first]->address;
    bytes.clear();
    size_t end = first;
    for (; end < sorted.size() && sorted[end]->address == start + bytes.size(); ++end)
      bytes.insert(bytes.end(), sorted[end]->bytes.begin(), sorted[end]->bytes.end());
    if (!writer.write({start}, bytes)) return false;
    first = end;
  }
  tracee.forgetPages();
  return true;
}

bool isGateCall(uint64_t number) {
  switch (number) {
    case SYS_read:
    case SYS_pread64:
    case SYS_getdents64:
    case SYS_close:
    case SYS_lseek:
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_brk:
    case SYS_prctl:
    case SYS_arch_prctl:
    case SYS_set_tid_address:
    case SYS_set_robust_list:
    case SYS_prlimit64:
    case SYS_getrandom:
    case SYS_getitimer:
    case SYS_getrusage:
    case SYS_getcwd:
    case SYS_rseq:
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_ioctl:
    case SYS_fcntl:
    case SYS_futex:
    case SYS_getpid:
    case SYS_gettid:
    case SYS_getuid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getegid:
    case SYS_getppid:
    case SYS_getpgrp:
    case SYS_dup2:
    case SYS_dup3:
    case SYS_epoll_ctl:
    case SYS_madvise:
      return true;
    default:
      return false;
  }
}

bool isGateLookup(uint64_t number) {
  return std::ranges::any_of(kGateLookups, [&](int lookup) { return number == static_cast<uint64_t>(lookup); });
}

bool isGateOpen(uint64_t number) { return number == SYS_open || number == SYS_openat; }

std::optional<unsigned> gateOutput(uint64_t number) {
  switch (number) {
    case SYS_getrandom:
    case SYS_getcwd:
      return 0;
    case SYS_prlimit64:
      return 3;
    case SYS_read:
    case SYS_pread64:
    case SYS_getdents64:
    case SYS_fstat:
    case SYS_stat:
    case SYS_lstat:
    case SYS_readlink:
    case SYS_getitimer:
    case SYS_getrusage:
    case SYS_prctl:
      return 1;
    case SYS_statx:
      return 4;
    case SYS_newfstatat:
    case SYS_readlinkat:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_ioctl:
      return 2;
    default:
      return std::nullopt;
  }
}

std::optional<unsigned> gateInput(const syscalls::Call& call) {
  switch (call.number) {
    case SYS_stat:
    case SYS_lstat:
    case SYS_access:
    case SYS_readlink:
    case SYS_open:
      return 0;
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_faccessat:
    case SYS_faccessat2:
    case SYS_readlinkat:
    case SYS_openat:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
      return 1;
    case SYS_epoll_ctl:
      return 3;
    case SYS_prctl:
      return static_cast<uint32_t>(call.arguments[0]) == PR_SET_NAME ? std::optional<unsigned>(1) : std::nullopt;
    case SYS_fcntl:
      return static_cast<uint32_t>(call.arguments[1]) == F_SETLK ? std::optional<unsigned>(2) : std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace airr
