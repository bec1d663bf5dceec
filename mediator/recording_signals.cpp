// Signals: where they may be delivered, and how what they do is put on record.
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mediator/injection.h"
#include "mediator/instruction.h"
#include "mediator/recording.h"
#include "mediator/signal_frame.h"
#include "recorder/gate/gate.h"
#include "schema/error.h"

namespace airr {
namespace {

using schema::Signal;

bool ignoredByDefault(int signal) {
  return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

bool stopsByDefault(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

Task::Position positionOf(const Registers& r) { return {r.rip, r.rsp, r.rax}; }

struct Piece {
  size_t size = 0;
  bool zeros = false;
};

// Blocks of zeros, and what lies between them.
std::vector<Piece> splitAtZeros(std::span<const uint8_t> bytes) {
  constexpr size_t kWorthwhile = 64;
  std::vector<Piece> pieces;
  const auto add = [&](size_t size, bool zeros) {
    if (size == 0) return;
    if (!pieces.empty() && pieces.back().zeros == zeros) pieces.back().size += size;
    else pieces.push_back({size, zeros});
  };
  const auto isZero = [](uint8_t byte) { return byte == 0; };
  for (size_t at = 0; at < bytes.size();) {
    const auto block = bytes.subspan(at, std::min(kWorthwhile, bytes.size() - at));
    add(block.size(), block.size() == kWorthwhile && std::ranges::all_of(block, isZero));
    at += block.size();
  }
  return pieces;
}

}  // namespace

void Recording::onSignal(Task& task, const Stop& stop) {
  siginfo_t info = task.tracee.signalInfo();
  if (raisedByInstruction(info)) {
    if (endNameFault(task, stop.signal)) return;
    drainGate(task);
    if (emulateInstruction(task, info, stop.signal)) return;
    return deliver(task, stop.signal, info, true);
  }
  if (info.si_code == SI_TKILL && info.si_pid == getpid()) {
    auto raised = std::find_if(task.stash.begin(), task.stash.end(),
                               [&](const siginfo_t& s) { return s.si_signo == stop.signal; });
    if (raised != task.stash.end()) {
      info = *raised;
      task.stash.erase(raised);
      task.tracee.setSignalInfo(info);
    }
  }
  if (unblockedInGate(task)) {
    // The call that let the signal in has to end before the handler runs, and be on record.
    task.stash.push_back(info);
    if (!stepOutOfGate(task)) return;
    std::erase_if(task.stash, [&](const siginfo_t& s) { return s.si_signo == stop.signal; });
    task.tracee.setSignalInfo(info);
  }
  if (standsAtPosition(task)) {
    drainGate(task);
    return deliver(task, stop.signal, info, false);
  }
  // Somewhere in user code, where replay could not find it again: keep it for the next call.
  // Standard signals do not queue (signal(7)).
  bool pending = stop.signal < SIGRTMIN &&
                 std::any_of(task.stash.begin(), task.stash.end(),
                             [&](const siginfo_t& s) { return s.si_signo == stop.signal; });
  if (!pending) task.stash.push_back(info);
  allowGateCalls(task, false);
  breakOffWait(task);
  task.tracee.resume(Resume::kContinue);
}

// Raises the kept signals again, now that the task stands at a recorded position: what the kernel
// then does (interrupt the call, keep it blocked, deliver on return) is what it would have done had
// they come now.
void Recording::requeueStash(Task& task) {
  for (const siginfo_t& info : task.stash)
    syscall(SYS_tgkill, raw(task.process->pid), raw(task.tracee.tid()), info.si_signo);
}

void Recording::deliver(Task& task, int signal, const siginfo_t& info, bool synchronous) {
  const uint64_t handler = task.actions->of[signal].handler;
  const auto kDefault = reinterpret_cast<uint64_t>(SIG_DFL);
  const auto kIgnore = reinterpret_cast<uint64_t>(SIG_IGN);
  const bool caught = handler != kDefault && handler != kIgnore;
  auto begin = [&](Signal::Action action) {
    auto event = beginEvent(task);
    auto record = event.initSignal();
    record.setNumber(static_cast<uint8_t>(signal));
    record.setAction(action);
    record.setSynchronous(synchronous);
    record.setInfo({reinterpret_cast<const uint8_t*>(&info), sizeof info});
    return record;
  };
  if (!caught && !synchronous && (handler == kIgnore || ignoredByDefault(signal))) {
    task.tracee.resume(Resume::kContinue, signal);
    return;
  }
  if (!caught) {
    begin(stopsByDefault(signal) ? Signal::Action::STOP : Signal::Action::FATAL);
    trace_->commit();
    task.tracee.resume(Resume::kContinue, signal);
    return;
  }
  // A single step into a handler ends before its first instruction (kernel/signal.c,
  // signal_setup_done: "stepping").
  task.tracee.resume(Resume::kStep, signal);
  Stop stop = task.tracee.wait();
  const bool entered = stop.kind == Stop::Kind::kSignal && stop.signal == SIGTRAP &&
                       task.tracee.registers().rip == handler;
  if (!entered) {
    // The frame did not fit (SIGSEGV follows), or something else came first.
    return handleStop(task, stop);
  }
  const Registers registers = task.tracee.registers();
  auto record = begin(Signal::Action::HANDLER);
  record.setRegisters({reinterpret_cast<const uint8_t*>(&registers), sizeof registers});
  recordFrame(task, record, signalFrame(task.tracee, registers));
  trace_->commit();
  if (task.actions->of[signal].flags & SA_RESETHAND) task.actions->of[signal].handler = kDefault;
  noteSignalMask(task);
  setPosition(task);
  endTurn(task);
}

bool Recording::emulateInstruction(Task& task, const siginfo_t& info, int signal) {
  if (info.si_code != SI_KERNEL) return false;
  Registers r = task.tracee.registers();
  TrapSite site;
  if (signal == SIGTRAP) {
    r.rip -= 1;  // of int3, which stands for the instruction
    auto found = task.space->trapSites.find(r.rip);
    if (found == task.space->trapSites.end()) return false;
    site = found->second;
  } else if (signal == SIGSEGV) {
    // Not found when it was mapped.
    uint8_t code[3] = {};
    if (!task.tracee.read({r.rip}, code, 2) || code[0] != 0x0f) return false;
    if (code[1] == 0x31) {
      site.kind = InputInstruction::Kind::kRdtsc;
      site.length = 2;
    } else if (code[1] == 0x01 && task.tracee.read({r.rip}, code, 3) && code[2] == 0xf9) {
      site.kind = InputInstruction::Kind::kRdtscp;
      site.length = 3;
    } else {
      return false;
    }
  } else {
    return false;
  }
  using Kind = schema::Trap::Kind;
  Kind kind{};
  uint64_t a = 0, b = 0;
  switch (site.kind) {
    case InputInstruction::Kind::kRdtscp: {
      // TSC_AUX holds node << 12 | CPU (arch/x86/kernel/cpu/common.c, setup_getcpu).
      unsigned cpu = 0, node = 0;
      syscall(SYS_getcpu, &cpu, &node, nullptr);
      b = node << 12 | cpu;
      r.rcx = b;
      [[fallthrough]];
    }
    case InputInstruction::Kind::kRdtsc:
      kind = site.kind == InputInstruction::Kind::kRdtsc ? Kind::RDTSC : Kind::RDTSCP;
      a = counterNow();
      r.rax = a & 0xffffffff;
      r.rdx = a >> 32;
      break;
    case InputInstruction::Kind::kRdrand:
    case InputInstruction::Kind::kRdseed:
      kind = site.kind == InputInstruction::Kind::kRdrand ? Kind::RDRAND : Kind::RDSEED;
      if (getrandom(&a, sizeof a, 0) != sizeof a) throw systemError("getrandom");
      if (site.operandBytes < 8) a &= (1ull << (8 * site.operandBytes)) - 1;
      b = kCarry | static_cast<uint64_t>(site.destination) << 8 |
          static_cast<uint64_t>(site.operandBytes) << 16;
      setOperand(r, site.destination, site.operandBytes, a);
      r.eflags = (r.eflags & ~kArithmeticFlags) | kCarry;
      break;
  }
  r.rip += site.length;
  auto event = beginEvent(task);
  auto trap = event.initTrap();
  trap.setKind(kind);
  trap.setLength(site.length);
  trap.setA(a);
  trap.setB(b);
  trace_->commit();
  task.tracee.setRegisters(r);
  restoreAction(task, signal);
  setPosition(task);
  endTurn(task);
  return true;
}

// The kernel forces a signal that an instruction raises: one that is blocked or ignored is
// unblocked and gets its default action (kernel/signal.c, force_sig_info_to_task). The program
// never sees the trap, so both are put back.
void Recording::restoreAction(Task& task, int signal) {
  const SignalActions::Action& action = task.actions->of[signal];
  const bool blocked = (task.signalMask >> (signal - 1)) & 1;
  if (!blocked && action.handler != reinterpret_cast<uint64_t>(SIG_IGN)) return;
  const Address at{AIRR_GATE_DATA + sizeof(airr_gate_data)};
  task.tracee.write(at, &action, sizeof action);
  inject(task.tracee, SYS_rt_sigaction, {static_cast<uint64_t>(signal), at.value, 0, sizeof(uint64_t)});
  if (blocked) task.tracee.setSignalMask(task.signalMask);
}

void Recording::noteSignalMask(Task& task) { task.signalMask = task.tracee.signalMask(); }

// Most of it is registers that the program does not use. It is kept for the return from the handler.
void Recording::recordFrame(Task& task, schema::Signal::Builder record, const Region& frame) {
  constexpr size_t kMost = 8;  // handlers may also be left by longjmp
  std::vector<uint8_t> bytes(frame.length);
  if (!task.tracee.read(frame.start, bytes.data(), bytes.size())) return;
  const std::vector<Piece> pieces = splitAtZeros(bytes);
  auto writes = record.initFrame(static_cast<unsigned>(pieces.size()));
  size_t at = 0;
  for (unsigned i = 0; i < pieces.size(); ++i) {
    writes[i].setAddress(frame.start.value + at);
    if (pieces[i].zeros) {
      writes[i].setZeros(pieces[i].size);
    } else {
      writes[i].setBytes({bytes.data() + at, pieces[i].size});
    }
    at += pieces[i].size;
  }
  std::erase_if(task.frames, [&](const Task::Frame& f) { return f.at <= frame.start; });
  if (task.frames.size() == kMost) task.frames.erase(task.frames.begin());
  task.frames.push_back({frame.start, std::move(bytes)});
}

// A frame that the handler has left as it was says what the return will make of the task, which then need not stop
// behind it.
void Recording::startSignalReturn(Task& task) {
  if (!turnEnds(task) && task.stash.empty()) {
    const Registers registers = task.tracee.registers();
    const auto frame = std::ranges::find(task.frames, frameAt(registers), &Task::Frame::at);
    if (frame != task.frames.end()) {
      const std::vector<uint8_t> bytes = std::move(frame->bytes);
      task.frames.erase(frame);
      bytes_.resize(bytes.size());
      if (task.tracee.read(frameAt(registers), bytes_.data(), bytes_.size()) && bytes_ == bytes) {
        recordSignalReturn(task, registersOf(bytes, registers), signalMaskOf(bytes));
        return resumeUser(task);
      }
    }
  }
  task.state = TaskState::kInKernel;
  task.tracee.resume(Resume::kToSyscallExit);
}

void Recording::finishSignalReturn(Task& task) {
  recordSignalReturn(task, task.tracee.registers(), task.tracee.signalMask());
  endTurn(task);
}

void Recording::recordSignalReturn(Task& task, const Registers& registers, uint64_t mask) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  call.setNumber(SYS_rt_sigreturn);
  call.setResult(static_cast<int64_t>(registers.rax));
  call.setRegisters({reinterpret_cast<const uint8_t*>(&registers), sizeof registers});
  trace_->commit();
  task.signalMask = mask;
  task.position = positionOf(registers);
}

void Recording::onGroupStop(Task& task, const Stop& stop) {
  const bool atPosition = positionOf(task.tracee.registers()) == task.position;
  task.state = TaskState::kStopped;
  task.tracee.resume(Resume::kListen);
  if (atPosition) release(task);
  // Our parent, often a shell, must see its job stop, and continue it.
  if (task.tracee.tid() == root_ && getpgid(raw(root_)) == getpgrp()) {
    if (stop.signal == SIGSTOP) {
      raise(SIGSTOP);
    } else {
      signal(stop.signal, SIG_DFL);
      raise(stop.signal);
      signal(stop.signal, SIG_IGN);
    }
    kill(raw(root_), SIGCONT);
  }
}

}  // namespace airr
