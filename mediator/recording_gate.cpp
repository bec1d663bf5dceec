// The gate: what it logged since the last stop, and what it may do until the next.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "mediator/call_hash.h"
#include "mediator/gate_patch.h"
#include "mediator/instruction.h"
#include "mediator/recording.h"
#include "mediator/signal_frame.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "schema/error.h"

namespace airr {
namespace {

using schema::Syscall;

// Stops without a clock reading after which the gate stops logging them.
constexpr uint32_t kGateIdleStops = 16;

}  // namespace

// Writes what the gate logged since the last stop, and empties the log. Order: a call's entry says
// how many clock readings came before it. `toLastCall`: readings behind the last call are dropped.
void Recording::drainGate(Task& task, bool toLastCall) {
  AddressSpace& space = *task.space;
  if (!space.gate) return;
  airr_gate_data& data = space.gate->data();
  const uint32_t readings = std::min<uint32_t>(GateMemory::load(data.position), AIRR_GATE_CLOCKS);
  const uint32_t used = GateMemory::load(data.log_used);
  if (space.gateArmed) {
    space.gateIdle = readings == 0 ? space.gateIdle + 1 : 0;
    if (space.gateIdle > kGateIdleStops && !space.sites.logsCalls) armGate(task, false);
  }
  if (readings == 0 && used == 0) return;
  uint32_t written = 0;
  if (used != 0) {
    if (used > AIRR_GATE_LOG_SIZE || !drainCalls(task, used, readings, written))
      throw Error(ExitCode::kFailure,
                  "task " + std::to_string(raw(task.tracee.tid())) +
                      " wrote to the log of its gate what the gate never does",
                  "the session ends here; its trace up to this point is whole");
  }
  if (!toLastCall) writeReadings(task, written, readings);
  data.position = data.log_used = 0;
  limitReadings(task);
}

void Recording::writeReadings(Task& task, uint32_t from, uint32_t to) {
  if (from >= to) return;
  auto event = beginEvent(task);
  auto bytes = event.initClocks((to - from) * sizeof(airr_gate_reading));
  memcpy(bytes.begin(), task.space->gate->data().clocks + from, bytes.size());
  trace_->commit();
}

std::span<const uint8_t> Recording::copyGateLog(Task& task, uint32_t used) {
  gateLog_.resize(used);
  memcpy(gateLog_.data(), task.space->gate->data().log, used);
  return gateLog_;
}

// False: the log is not one that the gate writes. `written`: readings on record.
bool Recording::drainCalls(Task& task, uint32_t used, uint32_t readings, uint32_t& written) {
  const std::span<const uint8_t> log = copyGateLog(task, used);
  for (uint64_t at = 0; at < used;) {
    airr_gate_entry entry;
    if (used - at < sizeof entry) return false;
    memcpy(&entry, log.data() + at, sizeof entry);
    at += sizeof entry;
    const uint64_t in = gateLogged(entry.in), out = gateLogged(entry.out);
    const bool counter = entry.number == AIRR_GATE_RDTSC;
    if (in > used - at || out > used - at - in || entry.clocks < written ||
        entry.clocks > readings)
      return false;
    writeReadings(task, written, entry.clocks);
    written = entry.clocks;
    if (counter) {
      noteGateCounter(task, static_cast<uint64_t>(entry.result));
    } else if (entry.number == AIRR_SYSCALL) {
      noteShim(task, entry.arguments[0], {reinterpret_cast<const char*>(log.data()) + at, entry.in});
      task.position = {entry.resume, entry.stack, 0};
    } else if (!gateMakes(entry.number) || !noteGateCall(task, entry, log.subspan(at, entry.in),
                             log.subspan(at + in, entry.out))) {
      return false;
    }
    at += in + out;
  }
  return true;
}

bool Recording::noteGateCall(Task& task, const airr_gate_entry& entry, std::span<const uint8_t> in,
                             std::span<const uint8_t> out) {
  task.model = syscalls::find(entry.number);
  if (task.model == nullptr) return false;
  task.call.number = entry.number;
  std::copy(std::begin(entry.arguments), std::end(entry.arguments), task.call.arguments);
  const auto inAt = gateInput(task.call), outAt = gateOutput(entry.number);
  if ((!inAt && !in.empty()) || (!outAt && !out.empty())) return false;
  uint8_t opened = 0;  // what the gate knows of it
  std::string path;
  if (isGateOpen(entry.number)) {
    if (in.size() < 2 || facts::writesByOpening(task.call)) return false;
    opened = in.back() & (AIRR_GATE_FILE_READ | AIRR_GATE_FILE_DIRECTORY);
    in = in.first(in.size() - 1);
    path = opens_->pathOf(gateLookedUp(task, in));
    if (!opens_->has(path)) return false;
  } else if (isGateLookup(entry.number) && in.size() > 1) {
    path = gateLookedUp(task, in);
  }
  const char* why = nullptr;
  if (syscalls::refusedOperation(*task.model, task.call, &why) != 0) return false;
  if (entry.result == -EFAULT) {
    hashInputs(task);
  } else {
    task.inputHash = in.empty() ? 0 : hashInput(in);
  }
  task.stream = 0;
  task.altered = task.entered = false;
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::WHOLE);
  const bool refused = task.model->treatment == syscalls::Treatment::kRefuse;
  call.setHandling(refused ? Syscall::Handling::REFUSED : Syscall::Handling::GATE);
  if (refused && task.model->note != nullptr) call.setPath(task.model->note);
  call.setResult(refused ? -int64_t{task.model->refusal} : entry.result);
  if (!out.empty()) {
    auto write = call.initWrites(1)[0];
    write.setAddress(task.call.arguments[*outAt]);
    write.setBytes({out.data(), out.size()});
  }
  if (!path.empty()) setPath(call, path);
  trace_->commit();
  task.position = {entry.resume, entry.stack, static_cast<uint64_t>(entry.result)};
  if (entry.result < 0) return true;
  const uint64_t* a = task.call.arguments;
  switch (entry.number) {
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_munmap:
      noteMappingCall(task, entry.result);
      break;
    case SYS_madvise:
      noteAdvice(task);
      break;
    case SYS_open:
    case SYS_openat:
      noteGateFile(task, static_cast<int>(entry.result), opened, false);
      if (opened == AIRR_GATE_FILE_DIRECTORY) noteGateDirectory(task, static_cast<int>(entry.result), std::move(path));
      break;
    case SYS_close:
      noteGateFile(task, static_cast<int>(a[0]), 0, false);
      break;
    case SYS_fcntl:
      if (const auto what = static_cast<int>(a[1]); what == F_DUPFD || what == F_DUPFD_CLOEXEC)
        noteGateDuplicate(task, static_cast<int>(a[0]), static_cast<int>(entry.result));
      break;
    case SYS_dup2:
    case SYS_dup3:
      if (a[0] != a[1]) noteGateDuplicate(task, static_cast<int>(a[0]), static_cast<int>(entry.result));
      break;
    case SYS_set_tid_address:
      task.clearChildTid = a[0];
      break;
    case SYS_set_robust_list:
      task.robustList = a[0];
      break;
    case SYS_rt_sigaction:
      if (a[0] < task.actions->of.size() && in.size() == sizeof(SignalActions::Action))
        memcpy(&task.actions->of[a[0]], in.data(), in.size());
      break;
    case SYS_rt_sigprocmask: {
      uint64_t set = 0;
      if (in.size() != sizeof set) break;
      memcpy(&set, in.data(), sizeof set);
      uint64_t& mask = task.signalMask;
      switch (static_cast<int>(a[0])) {
        case SIG_BLOCK:
          mask |= set & ~kUnblockable;
          break;
        case SIG_UNBLOCK:
          mask &= ~set;
          break;
        case SIG_SETMASK:
          mask = set & ~kUnblockable;
          break;
        default:
          break;
      }
      break;
    }
    default:
      break;
  }
  return true;
}

// Whether the gate of this session makes such calls.
bool Recording::gateMakes(uint64_t number) const {
  return isGateCall(number) || (gatePowers_.looksUp && isGateLookup(number)) || (opens_ && isGateOpen(number));
}

// The absolute path of a name in the log, with its NUL.
std::string Recording::gateLookedUp(Task& task, std::span<const uint8_t> text) {
  const std::string name(reinterpret_cast<const char*>(text.data()), text.size() - 1);
  int directory = AT_FDCWD;
  if (*gateInput(task.call) == 1) directory = static_cast<int>(task.call.arguments[0]);
  if (name[0] == '/' || directory == AT_FDCWD) return resolvePath(task, directory, name);
  const auto found = task.process->gateDirectories.find(directory);
  if (found == task.process->gateDirectories.end()) return name;
  Process::Directory& known = found->second;
  if (known.named != renames_) {
    std::string path = linkTarget(descriptorLink(task.process->pid, directory));
    if (path.starts_with('/')) known.path = std::move(path);
    known.named = renames_;
  }
  return pathIn(known.path, name);
}

void Recording::noteGateCounter(Task& task, uint64_t value) {
  auto event = beginEvent(task);
  auto trap = event.initTrap();
  trap.setKind(schema::Trap::Kind::RDTSC);
  trap.setLength(1);  // of the int3 in its trampoline
  trap.setA(value);
  trace_->commit();
}

// Whether it stands behind a call of the gate's that changed the signal mask.
bool Recording::unblockedInGate(Task& task) {
  if (task.tracee.registers().rip != AIRR_GATE_SYSCALL + kSiteLength || !task.space->sites.logsCalls)
    return false;
  const airr_gate_data& data = task.space->gate->data();
  const uint32_t used = GateMemory::load(data.log_used);
  uint32_t number = 0;
  if (used > AIRR_GATE_LOG_SIZE - sizeof(airr_gate_entry)) return false;
  memcpy(&number, data.log + used, sizeof number);
  return number == SYS_rt_sigprocmask;
}

// Whether it stands where its record ends, or where it will end when the gate's log is on it. The log is left
// alone: replay's gate holds as many readings as fit into one log, between two stops that it makes too.
bool Recording::standsAtPosition(Task& task) {
  const Registers& r = task.tracee.registers();
  const Task::Position here{r.rip, r.rsp, r.rax};
  const AddressSpace& space = *task.space;
  // In the gate is where a call ends that it has made in the open.
  if (standsInGate(task) || (!space.gateArmed && !space.sites.logsCalls)) return here == task.position;
  const airr_gate_data& data = space.gate->data();
  const uint32_t used = GateMemory::load(data.log_used), readings = GateMemory::load(data.position);
  if (used > AIRR_GATE_LOG_SIZE) return false;
  if (used == 0) return readings == 0 && here == task.position;
  const std::span<const uint8_t> log = copyGateLog(task, used);
  airr_gate_entry last{};
  for (uint64_t at = 0; at < used;) {
    if (used - at < sizeof last) return false;
    memcpy(&last, log.data() + at, sizeof last);
    at += sizeof last + gateLogged(last.in) + gateLogged(last.out);
  }
  if (last.number == AIRR_GATE_RDTSC || last.clocks != readings) return false;
  const uint64_t result = last.number == AIRR_SYSCALL ? 0 : static_cast<uint64_t>(last.result);
  return here == Task::Position{last.resume, last.stack, result};
}

// While disarmed the gate makes ordinary calls. Replay needs no word of this: it supplies exactly
// the readings that were logged, and none makes the gate call.
void Recording::armGate(Task& task, bool armed) {
  task.space->gateArmed = armed;
  task.space->gateIdle = 0;
  limitReadings(task);
}

// Of the holder. While others wait, it may wait for one of them and watch the clock: it is to come to a call soon.
void Recording::limitReadings(Task& task) {
  constexpr uint32_t kFew = 100;
  const AddressSpace& space = *task.space;
  if (!space.gate) return;
  airr_gate_data& data = space.gate->data();
  uint32_t limit = space.gateArmed ? AIRR_GATE_CLOCKS : 0;
  if (contended(task)) {
    const uint32_t taken = std::min<uint32_t>(GateMemory::load(data.position), AIRR_GATE_CLOCKS);
    limit = std::min(limit, taken + kFew);
  }
  data.limit = limit;
}

// Inside the gate, or in what the gate has called.
bool Recording::standsInGate(Task& task) {
  const uint64_t instruction = task.tracee.registers().rip;
  return isInGate(instruction) || task.space->isKernelClock(instruction);
}

// The kernel's vDSO makes a system call: the clock cannot be read without one (any more, if the kernel
// has found its counter unstable). The reading is what the gate waits for, and will log. From now on
// the gate makes that call itself.
int64_t Recording::readKernelClock(Task& task, const syscalls::Call& call) {
  task.space->gate->data().kernel_clock = 0;
  timespec now{};
  if (call.number != SYS_clock_gettime) return -ENOSYS;
  if (clock_gettime(static_cast<clockid_t>(call.arguments[0]), &now) != 0) return -errno;
  return task.tracee.write({call.arguments[1]}, &now, sizeof now) ? 0 : -EFAULT;
}

// Whether the gate may make calls, or all of them stop: a signal that waits for a recorded position, or others
// that wait for their turn, need a stop.
void Recording::allowGateCalls(Task& task, bool allowed) {
  AddressSpace& space = *task.space;
  if (!space.sites.logsCalls || space.sites.callsAllowed == allowed) return;
  space.gate->data().log_limit = allowed ? AIRR_GATE_LOG_SIZE : 0;
  space.sites.callsAllowed = allowed;
}

// `what`: one of AIRR_GATE_MAY_*.
void Recording::allowInGate(Task& task, uint32_t what, bool allowed) {
  if (!task.space->gate) return;
  uint32_t& now = task.space->sites.may;
  now = allowed ? now | what : now & ~what;
  task.space->gate->data().may = now;
}

// Whether no other process has its memory, where the gate has what it knows of descriptors, or its descriptors.
bool Recording::isAlone(const Task& task) const {
  return !task.process->sharesFiles && task.space->users == task.process->liveTasks;
}

// What the gate may know of a descriptor (AIRR_GATE_FILE_*). `tell`: it does not know yet.
void Recording::noteGateFile(Task& task, int fd, uint8_t what, bool tell) {
  if (!task.space->sites.logsCalls || fd < 0 || fd >= AIRR_GATE_FILES) return;
  if (what == 0) task.process->files.forget(fd);
  if (what != AIRR_GATE_FILE_DIRECTORY) task.process->gateDirectories.erase(fd);
  std::vector<uint8_t>& known = task.process->gateFiles;
  if (known.empty()) {
    if (what == 0) return;
    known.resize(AIRR_GATE_FILES);
  }
  uint8_t& now = known[static_cast<size_t>(fd)];
  if (now == what) return;
  now = what;
  if (tell) task.space->gate->data().files[fd] = what;
}

// A process that was made by one whose memory others have too: what is known in there may be of their descriptors.
void Recording::forgetAllGateFiles(Task& task) {
  task.process->gateFiles.clear();
  task.process->gateDirectories.clear();
  memset(task.space->gate->data().files, 0, AIRR_GATE_FILES);
}

// `copy` is a new descriptor of what `fd` is.
void Recording::noteGateDuplicate(Task& task, int fd, int copy) {
  Process& process = *task.process;
  process.files.noteDuplicate(fd, copy);
  if (process.gateFiles.empty() || fd < 0 || fd >= AIRR_GATE_FILES) return;
  const auto directory = process.gateDirectories.find(fd);
  if (directory != process.gateDirectories.end()) process.gateDirectories[copy] = directory->second;
  noteGateFile(task, copy, process.gateFiles[static_cast<size_t>(fd)], false);
}

void Recording::noteGateDirectory(Task& task, int fd, std::string path) {
  task.process->gateDirectories[fd] = {std::move(path), renames_};
}

void Recording::noteOpenFile(Task& task, int fd) {
  if (!task.space->sites.logsCalls || !isAlone(task)) return;
  const OpenFile* file = task.process->files.known(fd);
  if (file == nullptr) return;
  // What decisions rest on is not taken from the gate's log, which its task can write.
  if (enforcement_->uses(policies::Fact::kHostNames) &&
      facts::HostNames::fileOf(file->path) != facts::HostNames::File::kNone)
    return;
  switch (file->kind) {
    case OpenFile::Kind::kRegular:
    case OpenFile::Kind::kZeroDevice:
      return noteGateFile(task, fd, AIRR_GATE_FILE_READ, true);
    case OpenFile::Kind::kPipe:
      return noteGateFile(task, fd, AIRR_GATE_FILE_PIPE, true);
    case OpenFile::Kind::kDirectory: {
      std::string path = file->path.empty() ? linkTarget(descriptorLink(task.tracee.tid(), fd)) : file->path;
      if (path.empty()) return;
      tellDirectory(task, fd, path);
      noteGateDirectory(task, fd, std::move(path));
      return noteGateFile(task, fd, AIRR_GATE_FILE_DIRECTORY, true);
    }
    default:
      return;
  }
}

// Descriptors from `first` to `last` cease to be what they are.
void Recording::forgetGateFiles(Task& task, uint64_t first, uint64_t last) {
  std::vector<uint8_t>& known = task.process->gateFiles;
  if (known.empty() || first >= known.size()) return;
  last = std::min<uint64_t>(last, known.size() - 1);
  for (uint64_t fd = first; fd <= last; ++fd) noteGateFile(task, static_cast<int>(fd), 0, true);
}

}  // namespace airr
