// Forced hand-overs: a task runs on without a call while others wait, or a signal does.
//
// Such a point cannot be found again without counting instructions. So replay does not run to it:
// the registers and the memory of the task as they were there are put on record, and replay puts
// them in place. Whether the task was spinning decides when to do this, never whether it is exact.
#define XXH_INLINE_ALL
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "mediator/instruction.h"
#include "mediator/memory_map.h"
#include "mediator/recording.h"
#include "recorder/gate/gate.h"

namespace airr {
namespace {

using namespace std::chrono_literals;
using schema::Forced;

constexpr auto kAskShim = 5ms;    // running so long: ask for a yield at the next hooked call
constexpr auto kFirstLook = 8ms;  // then look whether it spins, with doubling patience
constexpr auto kSignalPatience = 30ms;
constexpr auto kCap = 200ms;         // computing that long: hand over all the same
constexpr int kMostSteps = 1000;     // a spin's period is shorter (design.md, section 6)
constexpr int kGlances = 3;          // who is elsewhere at one of them does not spin, and need not be stepped
constexpr auto kGlanceGap = 100us;
constexpr auto kStepCost = 25us;     // so a look takes at most a quarter of the time that it looks at
constexpr uint64_t kRunPages = 256;  // pages read, and stored, in one piece
// Runs of at most so many bytes are in the event itself, unless they are more than that together.
constexpr uint64_t kSmallRun = 4 * kPageSize, kMostInEvent = 1 << 20;

// Whether one who waits in a loop could be at both places: near, and most registers as they were.
bool isNear(const Registers& a, const Registers& b) {
  constexpr uint64_t kCode = 4096, kStack = 256;
  constexpr int kMostOthers = 6;
  const auto apart = [](uint64_t x, uint64_t y) { return x > y ? x - y : y - x; };
  const auto others = [](const Registers& r) {
    return std::array{r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8,
                      r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
  };
  const auto x = others(a), y = others(b);
  int differ = 0;
  for (size_t i = 0; i < x.size(); ++i) differ += x[i] != y[i];
  return apart(a.rip, b.rip) <= kCode && apart(a.rsp, b.rsp) <= kStack && differ <= kMostOthers;
}

}  // namespace

void Recording::onTick() {
  const auto now = steadyNow();
  for (const auto& domain : domains_) {
    Task* holder = domain->holder;
    if (holder == nullptr || holder->state != TaskState::kRunning || holder->forceRequested)
      continue;
    const bool wanted = !domain->ready.empty();
    if (!wanted && holder->stash.empty()) continue;
    const auto elapsed = now - holder->runningSince;
    if (elapsed < kAskShim) continue;
    // A forced point must not cost more than a fraction of the time that is lost by waiting.
    if (now - holder->space->lastForced < 4 * holder->space->forcedCost) continue;
    try {
      if (wanted) {
        askForYield(*holder, true);
        allowGateCalls(*holder, false);
      }
      if (elapsed < std::max<std::chrono::nanoseconds>(kFirstLook, holder->forceAfter)) continue;
      holder->forceRequested = true;
      holder->tracee.interrupt();
    } catch (const TraceeGone&) {
    }
  }
}

// At the next hooked call, or not any more: the request is the address space's, and meant for one
// turn of one task.
void Recording::askForYield(Task& task, bool asked) {
  if (task.space->yieldAsked == asked) return;
  if (task.space->gate) task.space->gate->data().yield_at = asked ? 0 : UINT64_MAX;
  task.space->yieldAsked = asked;
}

void Recording::onForcedStop(Task& task) {
  task.forceRequested = false;
  if (breakOffWait(task) || callsAgain(task)) return task.tracee.resume(Resume::kContinue);
  const auto elapsed = steadyNow() - task.runningSince;
  const bool wanted = contended(task);
  bool lost = false;
  const bool maySpin = wanted && staysNear(task, lost);
  if (lost) return;
  if (standsInGate(task) && !stepOutOfGate(task)) return;
  if (!task.stash.empty() && elapsed >= kSignalPatience) return force(task, Forced::Reason::SIGNAL);
  if (wanted) {
    if (maySpin && spins(task, lost)) return force(task, Forced::Reason::SPIN);
    if (lost) return;
    if (elapsed >= kCap) return force(task, Forced::Reason::QUANTUM);
  }
  task.forceAfter = std::min<std::chrono::nanoseconds>(2 * elapsed, kCap);
  task.tracee.resume(Resume::kContinue);
}

// Whether it was interrupted while it waited for its notification to be taken: it makes the call
// again (SECCOMP_RET_USER_NOTIF gives -ERESTARTSYS then).
bool Recording::callsAgain(Task& task) {
  const Registers& r = task.tracee.registers();
  return static_cast<int64_t>(r.orig_rax) >= 0 && static_cast<int64_t>(r.rax) == -512;
}

// A step over a `syscall` instruction would end in a call that waits for its answer, unstopped.
bool Recording::standsAtCall(Task& task) {
  uint8_t code[2] = {};
  return task.tracee.read({task.tracee.registers().rip}, code, sizeof code) && code[0] == 0x0f &&
         code[1] == 0x05;
}

// A step over a call ends in TRAP_BRKPT, any other in TRAP_TRACE (arch/x86/kernel/ptrace.c,
// user_single_step_report).
bool Recording::isStep(Task& task, const Stop& stop) {
  if (stop.kind != Stop::Kind::kSignal || stop.signal != SIGTRAP) return false;
  const int code = task.tracee.signalInfo().si_code;
  return code == TRAP_TRACE || (code == TRAP_BRKPT && isInGate(task.tracee.registers().rip));
}

// Lets it run on for a moment, some times. `lost`: as below.
bool Recording::staysNear(Task& task, bool& lost) {
  const Registers start = task.tracee.registers();
  for (int i = 0; i < kGlances; ++i) {
    task.tracee.resume(Resume::kContinue);
    std::this_thread::sleep_for(kGlanceGap);
    task.tracee.interrupt();
    const Stop stop = task.tracee.wait();
    if (stop.kind != Stop::Kind::kInterrupt) {
      lost = true;
      handleStop(task, stop);
      return false;
    }
    if (breakOffWait(task) || callsAgain(task)) {
      lost = true;
      task.tracee.resume(Resume::kContinue);
      return false;
    }
    if (!isNear(start, task.tracee.registers())) return false;
  }
  return true;
}

// Steps until registers recur. `lost`: something else happened on the way and was handled; the task
// is not stopped here any more.
bool Recording::spins(Task& task, bool& lost) {
  const Registers start = task.tracee.registers();
  const auto worthwhile = (steadyNow() - task.runningSince) / (4 * kStepCost);
  for (int i = 0; i < std::min<int64_t>(kMostSteps, worthwhile); ++i) {
    if (standsAtCall(task)) {
      lost = true;
      task.tracee.resume(Resume::kContinue);
      return false;
    }
    task.tracee.resume(Resume::kStep);
    Stop stop = task.tracee.wait();
    if (!isStep(task, stop)) {
      lost = true;
      handleStop(task, stop);
      return false;
    }
    const Registers& now = task.tracee.registers();
    if (memcmp(&now, &start, offsetof(Registers, orig_rax)) == 0 && now.rip == start.rip &&
        now.rsp == start.rsp)
      return true;
    if (standsInGate(task)) {
      if (!stepOutOfGate(task)) lost = true;
      return false;
    }
  }
  return false;
}

// If a read of a pipe waits in the gate, or is about to, it ends there with nothing done: the gate then makes it in
// the open, where what has come meets it. (The kernel would restart it in the gate; a step over it would wait.)
bool Recording::breakOffWait(Task& task) {
  Registers r = task.tracee.registers();
  const bool waits = r.rip == AIRR_GATE_SYSCALL + kSiteLength && r.orig_rax == SYS_read &&
                     restarts(static_cast<int64_t>(r.rax));
  if (!waits) {
    if (r.rip != AIRR_GATE_SYSCALL || r.rax != SYS_read) return false;
    struct stat file {};
    if (stat(descriptorLink(task.tracee.tid(), static_cast<int>(r.rdi)).c_str(), &file) != 0 || !S_ISFIFO(file.st_mode))
      return false;
    r.rip += kSiteLength;
  }
  r.rax = static_cast<uint64_t>(-EINTR);
  r.orig_rax = static_cast<uint64_t>(-1);
  task.tracee.setRegisters(r);
  return true;
}

// The vDSO reads the clock again if the kernel has moved it on meanwhile (lib/vdso/gettimeofday.c), which happens
// every few milliseconds: stepped through on a busy machine, it would never end. So it runs, up to where it returns
// to. False: something else came first, and was handled.
bool Recording::runOutOfClock(Task& task) {
  constexpr int kMostLooks = 2000;
  uint64_t back = 0;
  uint8_t former = 0;
  memcpy(&back, reinterpret_cast<const uint8_t*>(&task.space->gate->data()) + AIRR_GATE_DATA_CLOCK_RETURN, sizeof back);
  const Address at{back};
  if (!isInGate(back) || back >= AIRR_GATE_TRAMPOLINES || !task.tracee.readValue(at, former) ||
      !task.tracee.forceWrite(at, &kInt3, 1)) {
    // No gate of ours has called it.
    task.tracee.resume(Resume::kContinue);
    return false;
  }
  task.tracee.resume(Resume::kContinue);
  int status = 0;
  pid_t got = 0;
  for (int i = 0; i < kMostLooks && got <= 0; ++i) {
    got = waitpid(raw(task.tracee.tid()), &status, __WALL | WNOHANG);
    if (got <= 0) usleep(50);
  }
  if (got <= 0) task.tracee.interrupt();
  const Stop stop = got > 0 ? task.tracee.classify(status) : task.tracee.wait();
  if (stop.kind != Stop::Kind::kEnded) task.tracee.forceWrite(at, &former, 1);
  if (stop.kind == Stop::Kind::kSignal && stop.signal == SIGTRAP && task.tracee.registers().rip == back + 1) {
    Registers r = task.tracee.registers();
    r.rip = back;
    task.tracee.setRegisters(r);
    return true;
  }
  handleStop(task, stop);
  return false;
}

// The gate's code is never left half-way: its log would be torn. Before a call that it makes in the open,
// in a trampoline or in a clock function, nothing is half done; and a step over that call would wait for
// a stop of a task that sleeps in a notification.
bool Recording::stepOutOfGate(Task& task) {
  for (;;) {
    breakOffWait(task);
    const uint64_t rip = task.tracee.registers().rip;
    if (task.space->isKernelClock(rip) && !standsAtCall(task)) {
      if (!runOutOfClock(task)) return false;
      continue;
    }
    if (!standsInGate(task) || (isInGate(rip) && rip >= AIRR_GATE_TRAMPOLINES)) return true;
    if (rip != AIRR_GATE_SYSCALL && standsAtCall(task)) {
      if (isInGate(rip)) return true;
      Registers r = task.tracee.registers();
      r.rax = static_cast<uint64_t>(readKernelClock(task, {r.rax, {r.rdi, r.rsi}}));
      r.rip += kSiteLength;
      task.tracee.setRegisters(r);
      continue;
    }
    task.tracee.resume(Resume::kStep);
    Stop stop = task.tracee.wait();
    if (!isStep(task, stop)) {
      handleStop(task, stop);
      return false;
    }
  }
}

void Recording::force(Task& task, Forced::Reason reason) {
  const auto began = steadyNow();
  Tracee& tracee = task.tracee;
  AddressSpace& space = *task.space;
  // Readings since the last call are part of what is not run again.
  drainGate(task, /*toLastCall=*/true);

  struct Run {
    Address start;
    std::vector<uint8_t> bytes;
  };
  std::vector<Run> changed;
  std::unordered_map<uint64_t, std::array<uint64_t, 2>> digests;
  std::vector<Address> pages;
  std::vector<uint8_t> buffer(kRunPages * kPageSize);
  PageMap pageMap(tracee.tid());
  auto examine = [&](size_t from, size_t count) {
    if (!tracee.read(pages[from], buffer.data(), count * kPageSize)) return;
    for (size_t i = 0; i < count; ++i) {
      const uint8_t* content = buffer.data() + i * kPageSize;
      const XXH128_hash_t hash = XXH3_128bits(content, kPageSize);
      const std::array<uint64_t, 2> digest{hash.low64, hash.high64};
      const Address page = pages[from + i];
      digests[page.value] = digest;
      auto former = space.pageDigests.find(page.value);
      if (former != space.pageDigests.end() && former->second == digest) continue;
      if (changed.empty() || changed.back().start + changed.back().bytes.size() != page ||
          changed.back().bytes.size() >= kRunPages * kPageSize)
        changed.push_back({page, {}});
      changed.back().bytes.insert(changed.back().bytes.end(), content, content + kPageSize);
    }
  };
  for (const MappedRegion& region : readMemoryMap(tracee.tid())) {
    if (!(region.protection & PROT_WRITE)) continue;
    if (region.start.value >= AIRR_GATE_TEXT && region.end.value <= AIRR_GATE_END) continue;
    pages.clear();
    auto note = [&](Address page) { pages.push_back(page); };
    if (region.shared) {
      pageMap.presentPages(region.start, region.end, note);
    } else {
      pageMap.privatePages(region.start, region.end, note);
    }
    for (size_t from = 0; from < pages.size();) {
      size_t count = 1;
      while (from + count < pages.size() && count < kRunPages &&
             pages[from + count] == pages[from] + count * kPageSize)
        ++count;
      examine(from, count);
      from += count;
    }
  }
  std::vector<uint64_t> gone;
  for (const auto& [page, digest] : space.pageDigests)
    if (!digests.contains(page)) gone.push_back(page);
  std::sort(gone.begin(), gone.end());
  space.pageDigests = std::move(digests);

  const Registers registers = tracee.registers();
  const std::vector<uint8_t> extended = tracee.extendedState();
  auto event = beginEvent(task);
  auto record = event.initForced();
  record.setReason(reason);
  record.setHookCount(space.gate ? GateMemory::load(space.gate->data().hook_count) : 0);
  record.setRegisters({reinterpret_cast<const uint8_t*>(&registers), sizeof registers});
  record.setXstate({extended.data(), extended.size()});
  auto list = record.initPages(static_cast<unsigned>(changed.size()));
  uint64_t small = 0;
  for (const Run& run : changed)
    if (run.bytes.size() <= kSmallRun) small += run.bytes.size();
  std::vector<unsigned> waiting;  // runs whose content is in `buffer`, to be stored as one
  buffer.clear();
  auto storeWaiting = [&] {
    if (waiting.empty()) return;
    const uint32_t blob = trace_->addBlob(buffer.data(), buffer.size());
    uint64_t offset = 0;
    for (unsigned i : waiting) {
      auto range = list[i].initBlob();
      range.setBlob(blob);
      range.setOffset(offset);
      range.setLength(changed[i].bytes.size());
      offset += changed[i].bytes.size();
    }
    waiting.clear();
    buffer.clear();
  };
  for (unsigned i = 0; i < changed.size(); ++i) {
    const std::vector<uint8_t>& bytes = changed[i].bytes;
    list[i].setAddress(changed[i].start.value);
    if (bytes.size() <= kSmallRun && small <= kMostInEvent) {
      list[i].setBytes({bytes.data(), bytes.size()});
      continue;
    }
    waiting.push_back(i);
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    if (bytes.size() > kSmallRun || buffer.size() >= kRunPages * kPageSize) storeWaiting();
  }
  storeWaiting();
  auto goneList = record.initGone(static_cast<unsigned>(gone.size()));
  for (unsigned i = 0; i < gone.size(); ++i) goneList.set(i, gone[i]);
  trace_->commit();
  ++forcedCounts_[static_cast<int>(reason)];
  space.lastForced = steadyNow();
  space.forcedCost = space.lastForced - began;

  setPosition(task);
  requeueStash(task);
  if (contended(task)) return giveUpTurn(task);
  resumeUser(task);
}

}  // namespace airr
