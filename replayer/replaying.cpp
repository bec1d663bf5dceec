#include "replayer/replaying.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mediator/call_hash.h"
#include "mediator/gate_patch.h"
#include "mediator/instruction.h"
#include "mediator/machine.h"
#include "mediator/signal_frame.h"
#include "mediator/syscalls/print.h"
#include "recorder/gate/gate.h"
#include "replayer/call_stack.h"
#include "schema/error.h"

namespace airr {
namespace {

using schema::Syscall;
using syscalls::Treatment;

std::string hex(uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Replaying::Replaying(const ReplayOptions& options)
    : options_(options),
      open_(options.unverified ? openForReading(options.tracePath, options.identities)
                               : openAuthenticated(options.tracePath, options.identities)),
      trace_(*open_.reader),
      blobs_(trace_, open_.keys.get()) {
  trace_.requireContents();
  auto header = trace_.header();
  if (header.getGateVersion() != AIRR_GATE_VERSION)
    throw Error(ExitCode::kVersion,
                options.tracePath + ": recorded with gate version " +
                    std::to_string(header.getGateVersion()) + ", this airr has version " +
                    std::to_string(AIRR_GATE_VERSION),
                "replay it with airr " + std::string(header.getAirrVersion().cStr()));
  if (auto missing = missingFeatures(header.getMachine()); !missing.empty()) {
    std::string list;
    for (const std::string& feature : missing) list += (list.empty() ? "" : ", ") + feature;
    throw Error(ExitCode::kCpu,
                options.tracePath + ": recorded on a CPU with features that this one lacks: " + list,
                "replay it on a machine with " + std::string(header.getMachine().getCpuModel().cStr()));
  }
  stackLimit_ = header.getStackLimit();
  if (!options.materializeDirectory.empty())
    materializer_ = std::make_unique<Materializer>(
        [this](uint32_t blob, uint64_t offset, uint64_t length) {
          return trace_.readBlob(blob, offset, length);
        },
        header.getDirectory());
}

Replaying::~Replaying() { killAll(); }

int Replaying::run() {
  start();
  while (auto event = trace_.next()) apply(*event);
  materialize();
  if (!ended_) {
    const bool cut = trace_.end() == TraceEnd::kTruncated;
    throw Error(ExitCode::kUnsealed,
                options_.tracePath + ": the trace ends " +
                    (cut ? "inside a frame" : "without a seal") + " after event " +
                    std::to_string(trace_.eventNumber()) + "; replayed up to there",
                "the session's mediator was killed or could not write; there is nothing after it");
  }
  if (options_.requireSeal && trace_.end() != TraceEnd::kSealed)
    throw Error(ExitCode::kUnsealed, options_.tracePath + ": the trace has no seal");
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

Replaying::Task& Replaying::taskOf(uint32_t number) {
  auto found = tasks_.find(number);
  if (found == tasks_.end())
    throw Error(ExitCode::kUnreadable, options_.tracePath + ": event " +
                                           std::to_string(trace_.eventNumber()) +
                                           " belongs to task " + std::to_string(number) +
                                           ", which does not exist at that point");
  return *found->second;
}

void Replaying::apply(schema::Event::Reader event) {
  switch (event.which()) {
    case schema::Event::SHARED_OBJECT: return onSharedObject(event.getSharedObject());
    // What was decided shows in the calls' results.
    case schema::Event::POLICY:
    case schema::Event::DECISION: return;
    case schema::Event::SESSION_END:
      ended_ = true;
      status_ = event.getSessionEnd().getStatus();
      return;
    default: break;
  }
  Task& task = taskOf(event.getTask());
  try {
    if (materializer_ && !event.isSyscall()) materializer_->observe(event, task.tracee);
    switch (event.which()) {
      case schema::Event::EXEC: began_ = true; return onExec(task, event.getExec());
      case schema::Event::SYSCALL:
        if (!began_ && event.getSyscall().getHandling() == schema::Syscall::Handling::REFUSED)
          throw Error(ExitCode::kFailure, options_.tracePath + ": nothing ran in this session: its program was refused: " +
                                              event.getSyscall().getPath().cStr());
        return onSyscall(task, event);
      case schema::Event::SIGNAL: return onSignal(task, event.getSignal());
      case schema::Event::TRAP: return onTrap(task, event.getTrap());
      case schema::Event::CLOCKS: return onClocks(task, event.getClocks());
      case schema::Event::FORCED: settle(task); return onForced(task, event.getForced());
      case schema::Event::NOTE: return onNote(task, event.getNote());
      case schema::Event::GATE_YIELD: return onYield(task, event.getGateYield());
      case schema::Event::PATCH: settle(task); return onPatch(task, event.getPatch());
      case schema::Event::TASK_EXIT:
        // All that share the memory may have been killed while one of them ran, and end in any order.
        if (!task.space->queued.empty()) settle(taskOf(task.space->runner));
        applyWrites(task, event.getTaskExit().getWrites());
        return endTask(task);
      default:
        throw Error(ExitCode::kVersion, options_.tracePath + ": event " +
                                            std::to_string(trace_.eventNumber()) +
                                            " is of a kind that this airr does not know");
    }
  } catch (const TraceeGone& gone) {
    throw Error(ExitCode::kFailure, "task " + std::to_string(event.getTask()) +
                                        " of the replay was killed from outside at event " +
                                        std::to_string(trace_.eventNumber()));
  }
}

// Lets the task run to where it needs the replayer: a call, or a signal raised by an instruction.
Stop Replaying::runToStop(Task& task) {
  supplyLog(task);
  for (;;) {
    task.tracee.resume(Resume::kContinue);
    Stop stop = task.tracee.wait();
    switch (stop.kind) {
      case Stop::Kind::kEnded:
      case Stop::Kind::kExit: throw TraceeGone{task.tracee.tid()};
      case Stop::Kind::kSignal:
        if (!raisedByInstruction(task.tracee.signalInfo())) continue;  // not the trace's: dropped
        break;
      case Stop::Kind::kSeccomp: break;
      default: continue;
    }
    takeBackLog(task, stop);
    return stop;
  }
}

std::string Replaying::describe(const syscalls::Call& call, Task& task) {
  if (const syscalls::Syscall* model = syscalls::find(call.number))
    return syscalls::format(*model, call, &task.tracee);
  return "syscall " + std::to_string(call.number);
}

void Replaying::diverge(Task& task, const std::string& expected, const std::string& came,
                        uint64_t event) {
  const std::string text = options_.tracePath + ": replay diverged at event " +
                           std::to_string(event != 0 ? event : trace_.eventNumber()) + ", task " +
                           std::to_string(raw(task.id)) + ": expected " + expected +
                           ", but came " + came;
  std::vector<std::string> stack = callStack(task.tracee.tid());
  for (std::string& frame : stack) frame.insert(0, "at ");
  throw Error(ExitCode::kDivergence, text, {}, std::move(stack));
}

void Replaying::runToCall(Task& task, Syscall::Reader expected) {
  task.call = callOf(expected);
  const auto arguments = expected.getArguments();
  task.model = syscalls::find(task.call.number);
  task.stream = expected.getStream();

  Stop stop = runToStop(task);
  if (stop.kind == Stop::Kind::kSignal)
    diverge(task, describe(task.call, task),
            std::string("signal ") + strsignal(stop.signal) + " at " + hex(task.tracee.registers().rip));
  task.atCall = true;
  const CallInfo info = task.tracee.callInfo();
  const syscalls::Call& came = info.call;
  bool same = static_cast<uint16_t>(came.number) == static_cast<uint16_t>(task.call.number);
  for (unsigned i = 0; i < arguments.size() && i < 6; ++i)
    same = same && came.arguments[i] == task.call.arguments[i];
  if (!same) diverge(task, describe(task.call, task), describe(came, task));
  if (task.model == nullptr || task.model->treatment == Treatment::kExit ||
      task.model->treatment == Treatment::kSignalReturn)
    return;
  if (info.filterData != 0) return;  // int 0x80 or x32: another table's call, whose memory is not read
  const uint64_t hash = hashInputs(*task.model, task.call, task.tracee, regions_);
  if (const uint64_t wanted = inputHashOf(expected); hash != wanted)
    diverge(task, describe(task.call, task) + " with input digest " + hex(wanted),
            "input digest " + hex(hash));
}

void Replaying::onSyscall(Task& task, schema::Event::Reader whole) {
  const Syscall::Reader event = whole.getSyscall();
  if (queueCall(task, event)) {
    if (materializer_) materializer_->observe(whole, task.tracee);
    return;
  }
  if (event.getPhase() != Syscall::Phase::LEAVE) runToCall(task, event);
  if (materializer_) materializer_->observe(whole, task.tracee);
  if (event.getChild() != 0) spawn(task, event);
  if (event.getPhase() == Syscall::Phase::ENTER) return;
  finishCall(task, event);
}

void Replaying::finishCall(Task& task, Syscall::Reader event) {
  const int64_t result = event.getResult();
  const Treatment treatment = task.model ? task.model->treatment : Treatment::kEmulate;
  if (treatment == Treatment::kExit && event.getHandling() != Syscall::Handling::REFUSED) return;
  if (treatment == Treatment::kSignalReturn) {
    const std::vector<uint8_t> state = frameExtendedState(task.tracee, task.tracee.registers());
    if (state.empty()) {
      task.tracee.resetExtendedState();
    } else {
      task.tracee.setExtendedState(state.data(), state.size());
    }
    return setRegisters(task, event.getRegisters());
  }
  if (task.stream != Syscall::Stream::NONE && result > 0) writeStream(task, event, result);
  if (event.hasSharedWrites()) applySharedWrites(event.getSharedWrites());
  const bool success = result >= 0 || result < -4095;
  if (success && treatment == Treatment::kMemory && event.getHandling() != Syscall::Handling::REFUSED)
    runMemoryCall(task, event);
  if (success && task.call.number == SYS_arch_prctl) {
    Registers r = task.tracee.registers();
    constexpr uint64_t kSetGs = 0x1001, kSetFs = 0x1002;
    if (task.call.arguments[0] == kSetFs) r.fs_base = task.call.arguments[1];
    if (task.call.arguments[0] == kSetGs) r.gs_base = task.call.arguments[1];
    task.tracee.setRegisters(r);
  }
  applyWrites(task, event.getWrites());
  setResult(task, result);
}

// The state after the call: the task is stopped, and goes on behind it when it is next resumed.
void Replaying::setResult(Task& task, int64_t result) {
  Registers r = task.tracee.registers();
  const uint64_t* a = task.call.arguments;
  if (task.model != nullptr) {
    // Calls that were run with other arguments leave the task's own.
    unsigned long long* slots[] = {&r.rdi, &r.rsi, &r.rdx, &r.r10, &r.r8, &r.r9};
    for (unsigned i = 0; i < task.model->argumentCount; ++i) *slots[i] = a[i];
  }
  if (restarts(result)) {
    // What the kernel does when no handler runs; a handler's event sets all registers itself.
    r.rip -= 2;
    r.rax = result == kRestartBlock ? static_cast<uint64_t>(SYS_restart_syscall) : task.call.number;
  } else {
    r.rax = static_cast<uint64_t>(result);
  }
  r.orig_rax = static_cast<uint64_t>(-1);
  task.tracee.setRegisters(r);
  task.atCall = false;
}

void Replaying::setRegisters(Task& task, capnp::Data::Reader data) {
  Registers r{};
  if (data.size() != sizeof r)
    throw Error(ExitCode::kUnreadable, options_.tracePath + ": event " +
                                           std::to_string(trace_.eventNumber()) +
                                           " has registers of the wrong size");
  memcpy(&r, data.begin(), sizeof r);
  r.orig_rax = static_cast<uint64_t>(-1);
  task.tracee.setRegisters(r);
  task.atCall = false;
}

void Replaying::onSignal(Task& task, schema::Signal::Reader event) {
  if (!event.getSynchronous()) {
    settle(task);
  } else {
    Stop stop = runToStop(task);
    if (stop.kind != Stop::Kind::kSignal || stop.signal != event.getNumber())
      diverge(task, std::string("signal ") + strsignal(event.getNumber()),
              stop.kind == Stop::Kind::kSignal ? std::string("signal ") + strsignal(stop.signal)
                                               : describe(callOf(task.tracee.registers()), task));
  }
  if (event.getAction() != schema::Signal::Action::HANDLER) return;
  applyWrites(task, event.getFrame());
  setRegisters(task, event.getRegisters());
  // The kernel gives a handler the initial extended state (handle_signal, fpu__clear_user_states).
  task.tracee.resetExtendedState();
}

void Replaying::onTrap(Task& task, schema::Trap::Reader event) {
  using Kind = schema::Trap::Kind;
  if (queueCounter(task, event)) return;
  Stop stop = runToStop(task);
  const bool counter = event.getKind() == Kind::RDTSC || event.getKind() == Kind::RDTSCP;
  // A counter's instruction traps by itself where it was not found and replaced by int3.
  const bool replaced = stop.signal == SIGTRAP;
  if (stop.kind != Stop::Kind::kSignal || !(replaced || (counter && stop.signal == SIGSEGV)))
    diverge(task, counter ? "rdtsc" : "rdrand",
            stop.kind == Stop::Kind::kSignal ? std::string("signal ") + strsignal(stop.signal)
                                             : describe(callOf(task.tracee.registers()), task));
  Registers r = task.tracee.registers();
  if (counter) {
    r.rax = event.getA() & 0xffffffff;
    r.rdx = event.getA() >> 32;
    if (event.getKind() == Kind::RDTSCP) r.rcx = event.getB();
  } else {
    const auto bytes = static_cast<uint8_t>(event.getB() >> 16);
    setOperand(r, static_cast<uint8_t>(event.getB() >> 8), bytes, event.getA());
    r.eflags = (r.eflags & ~kArithmeticFlags) | (event.getB() & 1);
  }
  r.rip += event.getLength() - (replaced ? 1u : 0u);
  r.orig_rax = static_cast<uint64_t>(-1);
  task.tracee.setRegisters(r);
}

void Replaying::onClocks(Task& task, capnp::Data::Reader readings) {
  // Calls that the gate made may lie between the readings of one run.
  std::vector<airr_gate_reading>& clocks = task.space->clocks;
  const size_t before = clocks.size(), more = readings.size() / sizeof(airr_gate_reading);
  if (more > AIRR_GATE_CLOCKS - before)
    throw Error(ExitCode::kUnreadable, options_.tracePath + ": event " + std::to_string(trace_.eventNumber()) +
                                           " has more readings of the clock than the gate holds");
  clocks.resize(before + more);
  memcpy(clocks.data() + before, readings.begin(), more * sizeof(airr_gate_reading));
}

void Replaying::onPatch(Task& task, capnp::List<schema::MemoryWrite>::Reader pieces) {
  std::vector<PatchedBytes> patch;
  for (schema::MemoryWrite::Reader piece : pieces) patch.push_back({piece.getAddress(), contentOf(piece)});
  if (!writeCode(task.tracee, patch))
    throw Error(ExitCode::kUnreadable, options_.tracePath + ": event " + std::to_string(trace_.eventNumber()) +
                                        " changes code where there is none");
}

void Replaying::onYield(Task& task, uint64_t count) {
  const Address at{AIRR_GATE_DATA + offsetof(airr_gate_data, yield_at)};
  task.tracee.write(at, &count, sizeof count);
  Stop stop = runToStop(task);
  const syscalls::Call came = callOf(task.tracee.registers());
  if (stop.kind != Stop::Kind::kSeccomp || came.number != AIRR_SYSCALL ||
      came.arguments[0] != AIRR_NOTE_YIELD)
    diverge(task, "a yield of the shim", describe(came, task));
  const uint64_t never = UINT64_MAX;
  task.tracee.write(at, &never, sizeof never);
  task.call = came;
  task.model = nullptr;
  setResult(task, 0);
}

void Replaying::onNote(Task& task, schema::Note::Reader) {
  Stop stop = runToStop(task);
  const syscalls::Call came = callOf(task.tracee.registers());
  if (stop.kind != Stop::Kind::kSeccomp || came.number != AIRR_SYSCALL)
    diverge(task, "a note of the shim", describe(came, task));
  task.call = came;
  task.model = nullptr;
  setResult(task, 0);
}

// What a write-like call moved: from the task's memory, or from the trace when the kernel moved it
// from another file.
std::vector<uint8_t> Replaying::dataOf(Task& task, Syscall::Reader event, int64_t result) {
  std::vector<uint8_t> data;
  if (event.hasPayload()) {
    for (auto piece : event.getPayload()) {
      const std::vector<uint8_t> content = contentOf(piece);
      data.insert(data.end(), content.begin(), content.end());
    }
    return data;
  }
  const uint64_t* a = task.call.arguments;
  auto take = [&](uint64_t address, uint64_t length) {
    length = std::min<uint64_t>(length, static_cast<uint64_t>(result) - data.size());
    const size_t before = data.size();
    data.resize(before + length);
    if (!task.tracee.read({address}, data.data() + before, length)) data.resize(before);
  };
  auto takeVectors = [&](uint64_t vectors, uint64_t count) {
    for (uint64_t i = 0; i < std::min<uint64_t>(count, syscalls::kMaxVectors); ++i) {
      iovec v{};
      if (!task.tracee.readValue({vectors + i * sizeof v}, v)) break;
      take(reinterpret_cast<uint64_t>(v.iov_base), v.iov_len);
    }
  };
  switch (task.call.number) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_sendto: take(a[1], static_cast<uint64_t>(result)); break;
    case SYS_writev:
    case SYS_pwritev:
    case SYS_pwritev2: takeVectors(a[1], a[2]); break;
    case SYS_sendmsg: {
      msghdr message{};
      if (task.tracee.readValue({a[1]}, message))
        takeVectors(reinterpret_cast<uint64_t>(message.msg_iov), message.msg_iovlen);
      break;
    }
    default: break;
  }
  return data;
}

void Replaying::writeStream(Task& task, Syscall::Reader event, int64_t result) {
  if (options_.quiet) return;
  const std::vector<uint8_t> data = dataOf(task, event, result);
  const int fd = task.stream == Syscall::Stream::ERROR ? 2 : 1;
  for (size_t done = 0; done < data.size();) {
    ssize_t n = ::write(fd, data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw systemError("writing the session's output");
    done += static_cast<size_t>(n);
  }
}

void Replaying::materialize() {
  if (!materializer_) return;
  for (const auto& [number, object] : objects_) {
    std::vector<uint8_t> content(static_cast<size_t>(lseek(object.file.get(), 0, SEEK_END)));
    if (pread(object.file.get(), content.data(), content.size(), 0) !=
        static_cast<ssize_t>(content.size()))
      throw systemError("reading a shared object");
    materializer_->sharedContent(number, content);
  }
  const MaterializeResult result = materializer_->writeTo(options_.materializeDirectory);
  for (const std::string& note : result.notes) fprintf(stderr, "airr: %s\n", note.c_str());
}

int replay(const ReplayOptions& options) {
  Replaying replaying(options);
  return replaying.run();
}

}  // namespace airr
