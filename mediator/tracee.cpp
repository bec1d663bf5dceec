#include "mediator/tracee.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "schema/unique_fd.h"

namespace airr {
namespace {

// siginfo's si_code of a ptrace event is SIGTRAP | event << 8; waitpid puts it in bits 8-23.
int eventOf(int status) { return (status >> 16) & 0xff; }

bool stopsGroup(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

}  // namespace

void Tracee::fail(const char* what) {
  if (errno == ESRCH) throw TraceeGone{tid_};
  throw systemError(std::string(what) + " of task " + std::to_string(raw(tid_)));
}

Stop Tracee::classify(int status) {
  cached_ = atCall_ = false;
  forgetPages();
  Stop stop;
  if (WIFEXITED(status) || WIFSIGNALED(status)) {
    stop.kind = Stop::Kind::kEnded;
    stop.message = static_cast<uint32_t>(status);
    return stop;
  }
  // While it waits for an answer only its end stops it, and nobody waits for the answer any more.
  notification_.id = 0;
  int signal = WSTOPSIG(status);
  int event = eventOf(status);
  if (event == 0) {
    if (signal == (SIGTRAP | 0x80)) {
      stop.kind = Stop::Kind::kSyscallExit;
      leaveDetour();
    } else {
      stop.kind = Stop::Kind::kSignal;
      stop.signal = signal;
    }
    return stop;
  }
  if (event == PTRACE_EVENT_STOP) {
    stop.kind = stopsGroup(signal) ? Stop::Kind::kGroupStop : Stop::Kind::kInterrupt;
    stop.signal = signal;
    return stop;
  }
  if (event == PTRACE_EVENT_SECCOMP) {
    stop.kind = Stop::Kind::kSeccomp;
    atCall_ = true;
    return stop;
  }
  unsigned long message = 0;
  if (ptrace(PTRACE_GETEVENTMSG, raw(tid_), 0, &message) != 0 && errno != ESRCH)
    fail("PTRACE_GETEVENTMSG");
  stop.message = message;
  switch (event) {
    case PTRACE_EVENT_VFORK: stop.vfork = true; [[fallthrough]];
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_CLONE: stop.kind = Stop::Kind::kSpawn; break;
    case PTRACE_EVENT_EXEC: stop.kind = Stop::Kind::kExec; break;
    case PTRACE_EVENT_EXIT: stop.kind = Stop::Kind::kExit; break;
    default: stop.kind = Stop::Kind::kOther; break;
  }
  return stop;
}

Stop Tracee::wait() {
  int status = 0;
  pid_t got;
  do {
    got = waitpid(raw(tid_), &status, __WALL);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw TraceeGone{tid_};
  return classify(status);
}

Stop Tracee::notified(CallNotifier& notifier, const NotifiedCall& call) {
  cached_ = false;
  forgetPages();
  notifier_ = &notifier;
  notification_ = call;
  answered_ = false;
  Stop stop;
  stop.kind = Stop::Kind::kNotified;
  return stop;
}

// The caller sleeps so that only a fatal signal wakes it (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), so
// the interruption takes effect when the call has ended, before anything else does (kernel/signal.c,
// get_signal: job control traps come before signals).
void Tracee::stopAtCall(Address at) {
  if (!isNotified()) return;
  const NotifiedCall call = notification_;
  notification_ = {};
  interrupt();
  if (!notifier_->answer(call.id, -EINTR)) throw TraceeGone{tid_};
  std::vector<int> postponed;
  auto waitFor = [&](Stop::Kind wanted) {
    for (Stop stop = wait(); stop.kind != wanted; stop = wait()) {
      if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExit) throw TraceeGone{tid_, stop};
      if (stop.kind == Stop::Kind::kSignal) postponed.push_back(stop.signal);
      resume(Resume::kContinue);
    }
  };
  waitFor(Stop::Kind::kInterrupt);
  Registers r = registers();
  r.rip = at.value;
  r.rax = call.call.number;
  r.orig_rax = static_cast<uint64_t>(-1);  // the call that was broken off is not to be restarted
  setRegisters(r);
  resume(Resume::kContinue);
  waitFor(Stop::Kind::kSeccomp);
  detourFrom_ = call.instruction;
  for (int signal : postponed) syscall(SYS_tkill, raw(tid_), signal);
}

// At the end of a call that was made elsewhere: to the task it was made where it belongs.
void Tracee::leaveDetour() {
  if (detourFrom_ == 0) return;
  Registers r = registers();
  r.rip = detourFrom_;
  r.rcx = detourFrom_;  // where SYSCALL keeps the address to return to
  detourFrom_ = 0;
  setRegisters(r);
}

int Tracee::addDescriptor(int fd, bool closeOnExec, bool goOn) {
  const auto number = notifier_->addDescriptor(notification_.id, fd, closeOnExec, goOn);
  if (!number) throw TraceeGone{tid_};
  wentOn_ = goOn && *number >= 0;
  return *number;
}

CallInfo Tracee::callInfo() {
  if (isNotified()) {
    CallInfo info;
    info.call = notification_.call;
    info.instruction = notification_.instruction;
    return info;
  }
  __ptrace_syscall_info raw_info{};
  if (ptrace(PTRACE_GET_SYSCALL_INFO, raw(tid_), sizeof raw_info, &raw_info) < 0)
    fail("PTRACE_GET_SYSCALL_INFO");
  CallInfo info;
  info.instruction = raw_info.instruction_pointer;
  info.stack = raw_info.stack_pointer;
  if (raw_info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
    info.call.number = raw_info.seccomp.nr;
    for (int i = 0; i < 6; ++i) info.call.arguments[i] = raw_info.seccomp.args[i];
    info.filterData = raw_info.seccomp.ret_data;
    if (detourFrom_ != 0) info.instruction = detourFrom_;
  } else if (raw_info.op == PTRACE_SYSCALL_INFO_EXIT) {
    info.result = raw_info.exit.rval;
  }
  return info;
}

void Tracee::skipCall(int64_t result) {
  cached_ = false;
  if (isNotified()) {
    answer_ = result;
    answered_ = true;
    return;
  }
  if (detourFrom_ != 0) {
    Registers r = registers();
    r.rax = static_cast<uint64_t>(result);
    r.orig_rax = static_cast<uint64_t>(-1);
    setRegisters(r);
    return leaveDetour();
  }
  if (ptrace(PTRACE_POKEUSER, raw(tid_), offsetof(user_regs_struct, orig_rax), -1L) != 0 ||
      ptrace(PTRACE_POKEUSER, raw(tid_), offsetof(user_regs_struct, rax), result) != 0)
    fail("PTRACE_POKEUSER");
}

const Registers& Tracee::registers() {
  if (!cached_) {
    if (ptrace(PTRACE_GETREGS, raw(tid_), 0, &registers_) != 0) fail("PTRACE_GETREGS");
    cached_ = true;
  }
  return registers_;
}

void Tracee::setRegisters(const Registers& registers) {
  if (ptrace(PTRACE_SETREGS, raw(tid_), 0, &registers) != 0) fail("PTRACE_SETREGS");
  registers_ = registers;
  cached_ = true;
}

void Tracee::resume(Resume how, int signal) {
  static constexpr __ptrace_request kRequests[] = {PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP,
                                                   PTRACE_LISTEN};
  cached_ = atCall_ = false;
  forgetPages();
  if (isNotified()) {
    const uint64_t id = std::exchange(notification_.id, 0);
    if (std::exchange(wentOn_, false)) return;
    if (!(answered_ ? notifier_->answer(id, answer_) : notifier_->pass(id))) throw TraceeGone{tid_};
    return;
  }
  if (ptrace(kRequests[static_cast<int>(how)], raw(tid_), 0, static_cast<long>(signal)) != 0)
    fail("resuming");
}

void Tracee::announceExit(bool announced) {
  const uint64_t options = announced ? kPtraceOptions : kPtraceOptions & ~uint64_t{PTRACE_O_TRACEEXIT};
  if (ptrace(PTRACE_SETOPTIONS, raw(tid_), 0, options) != 0) fail("PTRACE_SETOPTIONS");
}

void Tracee::interrupt() {
  if (ptrace(PTRACE_INTERRUPT, raw(tid_), 0, 0) != 0) fail("PTRACE_INTERRUPT");
}

bool Tracee::leftForExit() {
  siginfo_t info{};
  if (ptrace(PTRACE_GETSIGINFO, raw(tid_), 0, &info) != 0) {
    if (errno == ESRCH) throw TraceeGone{tid_};
    return false;
  }
  return info.si_signo == SIGTRAP && info.si_code == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

void Tracee::forgetPages() {
  written_.clear();
  if (!pagesInUse_) return;
  for (size_t i = 0; i < kCachedPages; ++i) pages_[i].address = 0;
  pagesInUse_ = false;
}

bool Tracee::read(Address from, void* to, uint64_t size) {
  const uint64_t page = pageFloor(from.value);
  if (size == 0) return true;
  if (!written_.empty() && from >= writtenAt_ && size <= written_.size() &&
      from - writtenAt_ <= written_.size() - size) {
    memcpy(to, written_.data() + (from - writtenAt_), size);
    return true;
  }
  if (size > kPageSize || pageFloor(from.value + size - 1) != page || page == 0)
    return readUncached(from, to, size);
  return readCached(page, from, to, size);
}

bool Tracee::readCached(uint64_t page, Address from, void* to, uint64_t size) {
  if (!pages_) pages_ = std::unique_ptr<CachedPage[]>(new CachedPage[kCachedPages]);
  CachedPage* found = nullptr;
  for (size_t i = 0; i < kCachedPages; ++i)
    if (pages_[i].address == page) found = &pages_[i];
  if (found == nullptr) {
    found = &pages_[nextPage_];
    nextPage_ = (nextPage_ + 1) % kCachedPages;
    found->address = 0;
    if (!readUncached({page}, found->bytes, kPageSize)) return false;
    found->address = page;
    pagesInUse_ = true;
  }
  memcpy(to, found->bytes + (from.value - page), size);
  return true;
}

bool Tracee::readUncached(Address from, void* to, uint64_t size) {
  iovec local{to, size};
  iovec remote{reinterpret_cast<void*>(from.value), size};
  return process_vm_readv(raw(tid_), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool Tracee::write(Address to, const void* from, uint64_t size) {
  if (size == 0) return true;
  iovec local{const_cast<void*>(from), size};
  iovec remote{reinterpret_cast<void*>(to.value), size};
  if (process_vm_writev(raw(tid_), &local, 1, &remote, 1, 0) != static_cast<ssize_t>(size)) {
    forgetPages();
    return false;
  }
  const auto* bytes = static_cast<const uint8_t*>(from);
  noteWrite(to, bytes, size);
  return true;
}

bool Tracee::writeAll(std::initializer_list<std::pair<Address, std::span<const uint8_t>>> pieces) {
  forgetPages();
  std::vector<iovec> local, remote;
  size_t size = 0;
  for (const auto& [to, bytes] : pieces) {
    if (bytes.empty()) continue;
    local.push_back({const_cast<uint8_t*>(bytes.data()), bytes.size()});
    remote.push_back({reinterpret_cast<void*>(to.value), bytes.size()});
    size += bytes.size();
  }
  return process_vm_writev(raw(tid_), local.data(), local.size(), remote.data(), remote.size(), 0) ==
         static_cast<ssize_t>(size);
}

void Tracee::noteWrite(Address to, const uint8_t* bytes, uint64_t size) {
  constexpr uint64_t kMostKept = 64 << 10;
  written_.clear();
  if (size > kMostKept) return forgetPages();
  writtenAt_ = to;
  written_.assign(bytes, bytes + size);
  if (!pagesInUse_) return;
  for (size_t i = 0; i < kCachedPages; ++i) {
    CachedPage& page = pages_[i];
    if (page.address == 0) continue;
    const uint64_t from = std::max(page.address, to.value);
    const uint64_t end = std::min(page.address + kPageSize, to.value + size);
    if (from < end)
      memcpy(page.bytes + (from - page.address), bytes + (from - to.value), end - from);
  }
}

bool Tracee::forceWrite(Address to, const void* from, uint64_t size) {
  forgetPages();
  UniqueFd memory(open(("/proc/" + std::to_string(raw(tid_)) + "/mem").c_str(), O_RDWR | O_CLOEXEC));
  if (!memory) return false;
  const char* bytes = static_cast<const char*>(from);
  while (size > 0) {
    ssize_t n = pwrite(memory.get(), bytes, size, static_cast<off_t>(to.value));
    if (n <= 0) return false;
    bytes += n;
    to = to + static_cast<uint64_t>(n);
    size -= static_cast<uint64_t>(n);
  }
  return true;
}

bool Tracee::readString(Address from, std::string& to, uint64_t limit) {
  to.clear();
  char chunk[256];
  while (to.size() < limit) {
    // Never across a page boundary: the next page may be unmapped behind the NUL.
    uint64_t here = std::min<uint64_t>(kPageSize - (from.value & (kPageSize - 1)), sizeof chunk);
    here = std::min(here, limit - to.size());
    if (!read(from, chunk, here)) return false;
    if (const void* nul = memchr(chunk, 0, here)) {
      to.append(chunk, static_cast<size_t>(static_cast<const char*>(nul) - chunk));
      return true;
    }
    to.append(chunk, here);
    from = from + here;
  }
  return true;
}

siginfo_t Tracee::signalInfo() {
  siginfo_t info{};
  if (ptrace(PTRACE_GETSIGINFO, raw(tid_), 0, &info) != 0) fail("PTRACE_GETSIGINFO");
  return info;
}

void Tracee::setSignalInfo(const siginfo_t& info) {
  if (ptrace(PTRACE_SETSIGINFO, raw(tid_), 0, &info) != 0) fail("PTRACE_SETSIGINFO");
}

uint64_t Tracee::signalMask() {
  uint64_t mask = 0;
  if (ptrace(PTRACE_GETSIGMASK, raw(tid_), sizeof mask, &mask) != 0) fail("PTRACE_GETSIGMASK");
  return mask;
}

void Tracee::setSignalMask(uint64_t mask) {
  if (ptrace(PTRACE_SETSIGMASK, raw(tid_), sizeof mask, &mask) != 0) fail("PTRACE_SETSIGMASK");
}

std::vector<uint8_t> Tracee::extendedState() {
  std::vector<uint8_t> state(16384);  // AMX included: XSAVE areas are under 12 KiB
  iovec piece{state.data(), state.size()};
  if (ptrace(PTRACE_GETREGSET, raw(tid_), NT_X86_XSTATE, &piece) != 0) fail("PTRACE_GETREGSET");
  state.resize(piece.iov_len);
  return state;
}

void Tracee::setExtendedState(const void* data, uint64_t size) {
  // The kernel takes an area of exactly its own size; a shorter recorded one ends in state that
  // the recorded CPU did not have, which stays in its initial configuration.
  std::vector<uint8_t> state = extendedState();
  memcpy(state.data(), data, std::min<uint64_t>(size, state.size()));
  if (size < state.size()) memset(state.data() + size, 0, state.size() - size);
  iovec piece{state.data(), state.size()};
  if (ptrace(PTRACE_SETREGSET, raw(tid_), NT_X86_XSTATE, &piece) != 0) fail("PTRACE_SETREGSET");
}

void Tracee::resetExtendedState() {
  // Intel SDM vol. 1, 13.6: with XSTATE_BV clear, components load in their initial configuration;
  // MXCSR is read all the same, and the x87 control word's initial value is 0x37f.
  std::vector<uint8_t> state(extendedState().size(), 0);
  const uint16_t controlWord = 0x37f;
  const uint32_t mxcsr = 0x1f80;
  memcpy(state.data(), &controlWord, sizeof controlWord);
  memcpy(state.data() + 24, &mxcsr, sizeof mxcsr);
  iovec piece{state.data(), state.size()};
  if (ptrace(PTRACE_SETREGSET, raw(tid_), NT_X86_XSTATE, &piece) != 0) fail("PTRACE_SETREGSET");
}

int64_t Tracee::injectAt(Address at, uint64_t number, std::initializer_list<uint64_t> arguments) {
  const Registers saved = registers();
  Registers call = saved;
  call.rip = at.value;
  call.rax = number;
  call.orig_rax = static_cast<uint64_t>(-1);  // leaves the call that the task may be in, unmade
  setArguments(call, {arguments.begin(), arguments.size()});
  setRegisters(call);

  std::vector<int> postponed;
  auto runTo = [&](Resume how, Stop::Kind wanted) {
    for (;;) {
      resume(how);
      Stop stop = wait();
      if (stop.kind == wanted) return;
      if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExit) throw TraceeGone{tid_, stop};
      if (stop.kind == Stop::Kind::kSignal) postponed.push_back(stop.signal);
    }
  };
  runTo(Resume::kContinue, Stop::Kind::kSeccomp);
  runTo(Resume::kToSyscallExit, Stop::Kind::kSyscallExit);
  int64_t result = static_cast<int64_t>(registers().rax);
  Registers restored = saved;
  restored.orig_rax = static_cast<uint64_t>(-1);
  setRegisters(restored);
  for (int signal : postponed) syscall(SYS_tkill, raw(tid_), signal);
  return result;
}

void setArguments(Registers& r, std::span<const uint64_t> arguments) {
  unsigned long long* const slots[] = {&r.rdi, &r.rsi, &r.rdx, &r.r10, &r.r8, &r.r9};
  for (size_t i = 0; i < std::size(slots); ++i) *slots[i] = i < arguments.size() ? arguments[i] : 0;
}

syscalls::Call callOf(const Registers& r) {
  return {r.orig_rax, {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}};
}

}  // namespace airr
