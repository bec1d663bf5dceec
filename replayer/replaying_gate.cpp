// Calls that were made in the gate: replay's gate takes their results from a log that is supplied to it, a
// run of calls at a time, and stops for none of them.
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "mediator/call_hash.h"
#include "mediator/gate_patch.h"
#include "recorder/gate/gate.h"
#include "replayer/replaying.h"

namespace airr {
namespace {

// Of the calls that read memory, the gate itself compares the names of lookups; the others stop, so
// that what they read is compared. Those that change mappings or registers stop, since the replayer makes them.
bool isTakenFromLog(const syscalls::Call& call) {
  switch (call.number) {
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_madvise:
    case SYS_brk:
    case SYS_arch_prctl:
      return false;
    default:
      return !gateInput(call) || passesName(call.number);
  }
}

}  // namespace

// Keeps a call for the log. False: it has to be run to as any other.
bool Replaying::queueCall(Task& task, schema::Syscall::Reader event) {
  const uint64_t number = event.getNumber();
  if (event.getHandling() != schema::Syscall::Handling::GATE) return false;
  const syscalls::Call call = callOf(event);
  if (!isTakenFromLog(call)) return false;
  const auto writes = event.getWrites();
  airr_gate_entry entry{};
  entry.number = static_cast<uint32_t>(number);
  entry.result = event.getResult();
  std::copy(std::begin(call.arguments), std::end(call.arguments), entry.arguments);
  std::string_view in;
  if (passesName(number)) {
    const auto name = passedName(event);
    if (!name || name->size() >= AIRR_GATE_NAME_SIZE) return false;
    in = {name->data(), name->size() + 1};
  }
  capnp::Data::Reader out;
  if (writes.size() != 0) {
    const auto to = gateOutput(number);
    if (writes.size() != 1 || !writes[0].isBytes() || !to || writes[0].getAddress() != entry.arguments[*to])
      return false;
    out = writes[0].getBytes();
  }
  return queue(task, entry, {reinterpret_cast<const uint8_t*>(in.data()), in.size()}, {out.begin(), out.size()});
}

bool Replaying::queueCounter(Task& task, schema::Trap::Reader event) {
  // Of a trampoline's int3, or of no int3 at all (mediator/recording_gate.cpp, noteGateCounter).
  if (event.getKind() != schema::Trap::Kind::RDTSC || event.getLength() != 1) return false;
  airr_gate_entry entry{};
  entry.number = AIRR_GATE_RDTSC;
  entry.result = static_cast<int64_t>(event.getA());
  return queue(task, entry, {}, {});
}

bool Replaying::queue(Task& task, airr_gate_entry& entry, std::span<const uint8_t> in, std::span<const uint8_t> out) {
  std::vector<uint8_t>& log = task.space->log;
  const size_t size = sizeof entry + gateLogged(in.size()) + gateLogged(out.size());
  if (size > AIRR_GATE_LOG_SIZE - log.size()) return false;
  entry.in = static_cast<uint32_t>(in.size());
  entry.out = static_cast<uint32_t>(out.size());
  entry.clocks = static_cast<uint32_t>(task.space->clocks.size());
  task.space->queued.push_back({log.size(), trace_.eventNumber()});
  task.space->runner = raw(task.id);
  log.resize(log.size() + size);
  memcpy(log.data() + log.size() - size, &entry, sizeof entry);
  std::copy(in.begin(), in.end(), log.end() - static_cast<ptrdiff_t>(size - sizeof entry));
  std::copy(out.begin(), out.end(), log.end() - static_cast<ptrdiff_t>(gateLogged(out.size())));
  return true;
}

// Before the task runs.
void Replaying::supplyLog(Task& task) {
  Space& space = *task.space;
  if (space.log.empty() && space.clocks.empty() && !space.gateHasOld) return;
  const uint32_t head[] = {0, static_cast<uint32_t>(space.clocks.size()), 0};  // position, limit, log_used
  const auto size = static_cast<uint32_t>(space.log.size());
  static_assert(offsetof(airr_gate_data, log_used) - offsetof(airr_gate_data, position) + sizeof size == sizeof head);
  const auto bytesOf = [](const auto* from, size_t length) {
    return std::span(reinterpret_cast<const uint8_t*>(from), length);
  };
  if (!task.tracee.writeAll({{gateData(offsetof(airr_gate_data, position)), bytesOf(head, sizeof head)},
                             {gateData(offsetof(airr_gate_data, log_limit)), bytesOf(&size, sizeof size)},
                             {gateData(offsetof(airr_gate_data, log)), space.log},
                             {gateData(offsetof(airr_gate_data, clocks)),
                              bytesOf(space.clocks.data(), space.clocks.size() * sizeof(airr_gate_reading))}}))
    throw TraceeGone{task.tracee.tid()};
  space.gateHasOld = !space.log.empty() || !space.clocks.empty();
}

// After it ran, to `stop`: all that was supplied has to have been taken.
void Replaying::takeBackLog(Task& task, const Stop& stop) {
  Space& space = *task.space;
  if (space.clocks.empty() && space.log.empty()) return;
  struct {
    uint32_t position, limit, used;
  } head{};
  task.tracee.read(gateData(offsetof(airr_gate_data, position)), &head, sizeof head);
  const size_t readings = std::exchange(space.clocks, {}).size();
  const std::vector<uint8_t> log = std::exchange(space.log, {});
  const auto queued = std::exchange(space.queued, {});
  const auto came = [&] {
    return stop.kind == Stop::Kind::kSignal ? std::string("signal ") + strsignal(stop.signal)
                                            : describe(callOf(task.tracee.registers()), task);
  };
  if (head.used < log.size()) {
    const auto next = std::lower_bound(queued.begin(), queued.end(), size_t{head.used},
                                       [](const Queued& q, size_t at) { return q.at < at; });
    if (next == queued.end()) diverge(task, "calls that were made in the gate", came());
    diverge(task, describeEntry(task, log, next->at), came(), next->event);
  }
  if (head.position != readings)
    diverge(task, std::to_string(readings) + " readings of the clock",
            std::to_string(head.position) + " readings of the clock before " + came());
}

std::string Replaying::describeEntry(Task& task, std::span<const uint8_t> log, size_t at) {
  airr_gate_entry entry;
  memcpy(&entry, log.data() + at, sizeof entry);
  if (entry.number == AIRR_GATE_RDTSC) return "rdtsc";
  syscalls::Call call;
  call.number = entry.number;
  std::copy(std::begin(entry.arguments), std::end(entry.arguments), call.arguments);
  return describe(call, task);
}

// The task goes to behind the last call that is kept for it, and stands there: the trace's next event
// happens at that place; or behind it, if the task was killed in a call that it made after reading the clock again.
void Replaying::settle(Task& task) {
  Space& space = *task.space;
  if (space.queued.empty()) return;
  const Queued last = space.queued.back();
  airr_gate_entry entry;
  memcpy(&entry, space.log.data() + last.at, sizeof entry);
  const auto in = space.log.begin() + static_cast<ptrdiff_t>(last.at + sizeof entry);
  const std::vector<uint8_t> name(in, in + entry.in);
  const auto behind = in + static_cast<ptrdiff_t>(gateLogged(entry.in));
  const std::vector<uint8_t> out(behind, behind + entry.out);
  const std::string expected = describeEntry(task, space.log, last.at);
  space.queued.pop_back();
  space.log.resize(last.at);
  space.clocks.resize(entry.clocks);
  const Stop stop = runToStop(task);
  if (entry.number == AIRR_GATE_RDTSC) {
    if (stop.kind != Stop::Kind::kSignal || stop.signal != SIGTRAP)
      diverge(task, expected, describe(callOf(task.tracee.registers()), task), last.event);
    Registers r = task.tracee.registers();
    r.rax = static_cast<uint64_t>(entry.result) & 0xffffffff;
    r.rdx = static_cast<uint64_t>(entry.result) >> 32;
    r.orig_rax = static_cast<uint64_t>(-1);
    return task.tracee.setRegisters(r);
  }
  if (stop.kind == Stop::Kind::kSignal)
    diverge(task, expected, std::string("signal ") + strsignal(stop.signal), last.event);
  task.call = {};
  task.call.number = entry.number;
  std::copy(std::begin(entry.arguments), std::end(entry.arguments), task.call.arguments);
  task.model = syscalls::find(entry.number);
  task.atCall = true;
  const syscalls::Call came = task.tracee.callInfo().call;
  const unsigned count = task.model != nullptr ? task.model->argumentCount : 0;
  if (came.number != task.call.number ||
      !std::equal(came.arguments, came.arguments + count, task.call.arguments))
    diverge(task, expected, describe(came, task), last.event);
  std::vector<uint8_t> itsName(name.size());
  if (!name.empty() &&
      (!task.tracee.read({entry.arguments[*gateInput(task.call)]}, itsName.data(), itsName.size()) || itsName != name))
    diverge(task, expected, describe(came, task), last.event);
  if (const auto to = gateOutput(entry.number); to && !out.empty())
    if (!task.tracee.write({entry.arguments[*to]}, out.data(), out.size()))
      diverge(task, "memory at its recorded address", "none where the trace has a call's results", last.event);
  setResult(task, entry.result);
}

}  // namespace airr
