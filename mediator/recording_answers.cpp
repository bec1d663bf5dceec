// Calls that the mediator answers itself, in one stop or notification instead of two stops: because
// the truth is its own (the affinity that the tracees were given), or because it can find out what the
// kernel would say.
//
// What stands here gives exactly the kernel's answer; whatever is not sure to is left to the kernel.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "mediator/memory_map.h"
#include "mediator/recording.h"
#include "mediator/signal_frame.h"
#include "recorder/gate/gate.h"

namespace airr {
namespace {

using schema::Syscall;

constexpr uint64_t kKernelSignalSet = 8;
// Flags that the kernel keeps of a struct sigaction (include/uapi/asm-generic/signal-defs.h and
// asm/signal.h); with others its answer to a later query is not what was set.
constexpr uint64_t kKeptActionFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK |
                                      SA_RESTART | SA_NODEFER | SA_RESETHAND | 0x04000000;
constexpr uint64_t kSetFs = 0x1002;            // ARCH_SET_FS (asm/prctl.h)

bool overlap(uint64_t a, uint64_t b, uint64_t size) {
  return a != 0 && b != 0 && a < b + size && b < a + size;
}

}  // namespace

// Those that are all but sure to be answered here: one that is not costs five stops more.
std::vector<CallTest> Recording::notifiedCalls(bool policyDecides) {
  constexpr auto kWritingOpen = static_cast<uint32_t>(~kReadingOpen);
  std::vector<CallTest> result;
  for (int number :
       {SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_fstat, SYS_access, SYS_faccessat,
        SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getcwd, SYS_lseek, SYS_getdents64, SYS_close,
        SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_set_robust_list,
        SYS_set_tid_address, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sched_yield, SYS_rseq,
        SYS_clone3, SYS_clock_gettime, SYS_munmap, AIRR_SYSCALL})
    result.push_back({static_cast<uint16_t>(number), {}});
  if (policyDecides) {
    // The mediator opens what it has decided on, and gives the task a descriptor of it.
    for (int number : {SYS_open, SYS_openat, SYS_creat, SYS_openat2})
      result.push_back({static_cast<uint16_t>(number), {}});
  } else {
    result.push_back({SYS_open, {{1, kWritingOpen, 0, {}}}});
    result.push_back({SYS_openat, {{2, kWritingOpen, 0, {}}}});
  }
  result.push_back({SYS_fcntl, {{1, 0, 0, {F_GETFL, F_SETFD}}}});
  result.push_back({SYS_ioctl, {{1, 0, 0, {TCGETS}}}});
  result.push_back({SYS_arch_prctl, {{0, 0, 0, {kSetFs}}}});
  result.push_back({SYS_mprotect, {{2, static_cast<uint32_t>(~(PROT_READ | PROT_WRITE)), 0, {}}}});
  // The kernel filters a call again that was altered at a stop: what MADV_FREE is made as has to come as it does.
  result.push_back({SYS_madvise, {{2, 0, 0, {MADV_DONTNEED, MADV_FREE}}}});
  result.push_back({SYS_mmap, {{2, PROT_EXEC, 0, {}}, {3, MAP_SHARED & ~MAP_PRIVATE, MAP_FIXED, {}}}});
  result.push_back({SYS_prlimit64, {{0, UINT32_MAX, 0, {}}, {2, UINT32_MAX, 0, {}}}});
  result.push_back({SYS_getrandom, {{1, 0xffffff00, 0, {}}, {2, UINT32_MAX, 0, {}}}});
  return result;
}

bool Recording::answerHere(Task& task) {
  return answerFile(task) || answerScheduling(task) || answerPredictable(task) || answerSignals(task) || answerLookup(task) ||
         answerTime(task) || answerIdentity(task) || answerMapping(task) || answerPrctl(task);
}

bool Recording::answerWith(Task& task, int64_t result) {
  answer(task, result, Syscall::Handling::MEDIATOR);
  endTurn(task);
  return true;
}

// Not at the end of a turn: others would run before the kernel has made what is on record as made.
bool Recording::mayPredict(const Task& task) const { return !turnEnds(task); }

// The kernel makes the call, but its result is known before: no second stop. Only if mayPredict().
bool Recording::predict(Task& task, int64_t result) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::WHOLE);
  call.setResult(result);
  task.outputCall = task.call;
  task.outputModel = task.model;
  fillOutputs(task, call, result);
  if (task.call.number == SYS_mmap) noteMapping(task, call, result);
  trace_->commit();
  patchSite(task);
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(result)};
  endTurn(task);
  return true;
}

bool Recording::answerPredictable(Task& task) {
  const uint64_t* a = task.call.arguments;
  if (!mayPredict(task)) return false;
  switch (task.call.number) {
    case SYS_set_robust_list: {
      constexpr uint64_t kHeadSize = 24;  // the only length that the kernel takes
      if (a[1] != kHeadSize) return false;
      task.robustList = a[0];
      return predict(task, 0);
    }
    case SYS_set_tid_address:
      if (!task.process->plain) return false;
      task.clearChildTid = a[0];
      return predict(task, raw(task.tracee.tid()));
    case SYS_arch_prctl: return a[0] == kSetFs && a[1] < kUserEnd && predict(task, 0);
    default: return false;
  }
}

bool Recording::answerScheduling(Task& task) {
  switch (task.call.number) {
    case SYS_sched_yield: {
      answer(task, 0, Syscall::Handling::MEDIATOR);
      if (contended(task)) {
        giveUpTurn(task);
      } else {
        // Others of this domain may be about to return from the kernel.
        sched_yield();
        endTurn(task);
      }
      return true;
    }
    case SYS_sched_getaffinity:
    case SYS_sched_setaffinity:
      return !affinity_.empty() && answerAffinity(task);
    default: return false;
  }
}

// Tracees stay where the mediator pinned them. They are told what they asked for, of the CPUs that the
// session has (kernel/sched/syscalls.c, sched_setaffinity and sched_getaffinity).
bool Recording::answerAffinity(Task& task) {
  const uint64_t* a = task.call.arguments;
  const auto tid = static_cast<pid_t>(a[0]);
  // Other numbers than the mediator's are only told apart where they are the same.
  const bool own = tid == 0 || (tid > 0 && !task.process->plain);
  const auto found = tasks_.find(own ? raw(task.tracee.tid()) : tid);
  const uint64_t size = affinity_.size() * sizeof(uint64_t);
  if (task.call.number == SYS_sched_getaffinity) {
    if (found == tasks_.end() || a[1] < size || (a[1] & 7) != 0) return false;  // the kernel's to answer
    const std::vector<uint64_t>& asked = found->second->affinity;
    return task.tracee.write({a[2]}, (asked.empty() ? affinity_ : asked).data(), size) &&
           answerWith(task, static_cast<int64_t>(size));
  }
  std::vector<uint64_t> wanted(affinity_.size());
  if (!task.tracee.read({a[2]}, wanted.data(), std::min(a[1], size))) return answerWith(task, -EFAULT);
  if (found == tasks_.end()) return answerWith(task, tid < 0 || (kill(tid, 0) != 0 && errno == ESRCH) ? -ESRCH : -EPERM);
  uint64_t any = 0;
  for (size_t i = 0; i < wanted.size(); ++i) any |= wanted[i] &= affinity_[i];
  if (any == 0) return answerWith(task, -EINVAL);
  found->second->affinity = std::move(wanted);
  return answerWith(task, 0);
}

// Attributes of the address space that would keep an unprivileged mediator from reading it, and
// later calls of the mediator's from changing it. The answers are the kernel's (kernel/sys.c).
bool Recording::answerPrctl(Task& task) {
  if (task.call.number != SYS_prctl) return false;
  const uint64_t* a = task.call.arguments;
  AddressSpace& space = *task.space;
  int64_t result = 0;
  switch (static_cast<uint32_t>(a[0])) {
    case PR_GET_DUMPABLE: result = static_cast<int64_t>(space.dumpable); break;
    case PR_SET_DUMPABLE:
      if (a[1] <= 1) {
        space.dumpable = a[1];
      } else {
        result = -EINVAL;
      }
      break;
    case kGetMdwe:
      result = (a[1] | a[2] | a[3] | a[4]) != 0 ? -EINVAL
                                                : static_cast<int64_t>(space.denyWriteExecute);
      break;
    case kSetMdwe:
      if ((a[2] | a[3] | a[4]) != 0 || a[1] > 3 || a[1] == kMdweNoInherit) {
        result = -EINVAL;
      } else if (space.denyWriteExecute != 0 && space.denyWriteExecute != a[1]) {
        result = -EPERM;
      } else {
        space.denyWriteExecute = a[1];
      }
      break;
    default: return false;
  }
  return answerWith(task, result);
}


bool Recording::answerSignals(Task& task) {
  const uint64_t* a = task.call.arguments;
  if (!mayPredict(task)) return false;
  switch (task.call.number) {
    // The kernel carries both out, but what it will answer is known before: nothing can fail, and what
    // it will write is written already.
    case SYS_rt_sigprocmask: {
      if (a[3] != kKernelSignalSet || overlap(a[1], a[2], kKernelSignalSet)) return false;
      uint64_t set = 0, next = task.signalMask;
      if (a[1] != 0) {
        if (!task.tracee.readValue({a[1]}, set)) return false;
        set &= ~kUnblockable;
        switch (static_cast<int>(a[0])) {
          case SIG_BLOCK: next |= set; break;
          case SIG_UNBLOCK: next &= ~set; break;
          case SIG_SETMASK: next = set; break;
          default: return false;
        }
      }
      if (a[2] != 0 && !task.tracee.write({a[2]}, &task.signalMask, kKernelSignalSet)) return false;
      task.signalMask = next;
      return predict(task, 0);
    }
    case SYS_rt_sigaction: {
      const uint64_t number = a[0];
      if (number < 1 || number > 64 || number == SIGKILL || number == SIGSTOP ||
          a[3] != kKernelSignalSet || overlap(a[1], a[2], sizeof(SignalActions::Action)))
        return false;
      SignalActions::Action& current = task.actions->of[number];
      SignalActions::Action next = current;
      if (a[1] != 0 && !task.tracee.readValue({a[1]}, next)) return false;
      if ((next.flags & ~kKeptActionFlags) != 0 || (current.flags & ~kKeptActionFlags) != 0)
        return false;
      if (a[2] != 0 && !task.tracee.write({a[2]}, &current, sizeof current)) return false;
      next.mask &= ~kUnblockable;
      current = next;
      return predict(task, 0);
    }
    default: return false;
  }
}

bool Recording::answerTime(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_clock_gettime: {
      const auto clock = static_cast<clockid_t>(a[0]);
      if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        return false;
      timespec now{};
      if (syscall(SYS_clock_gettime, clock, &now) != 0) return false;
      if (!task.tracee.write({a[1]}, &now, sizeof now)) return false;
      // One that the gate told as often as it may looks at the clock again and again, and what it waits for may be what
      // another would do.
      const bool waits = task.space->gateArmed && isInGate(task.entry.instruction) && contended(task);
      if (!task.space->gateArmed) armGate(task, true);  // it asks for the time: from now on the gate can tell it
      if (!waits) return answerWith(task, 0);
      answer(task, 0, Syscall::Handling::MEDIATOR);
      giveUpTurn(task);
      return true;
    }
    case SYS_gettimeofday: {
      timespec now{};
      syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
      const timeval value{now.tv_sec, now.tv_nsec / 1000};
      return a[1] == 0 && a[0] != 0 && task.tracee.write({a[0]}, &value, sizeof value) &&
             answerWith(task, 0);
    }
    case SYS_getrandom: {
      constexpr uint64_t kMost = 256;  // of which the kernel gives all at once (getrandom(2))
      uint8_t bytes[kMost];
      if (a[1] > kMost || a[2] != 0) return false;
      if (syscall(SYS_getrandom, bytes, a[1], 0) != static_cast<long>(a[1])) return false;
      return task.tracee.write({a[0]}, bytes, a[1]) && answerWith(task, static_cast<int64_t>(a[1]));
    }
    default: return false;
  }
}

bool Recording::answerIdentity(Task& task) {
  if (!task.process->plain) return false;
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_prlimit64: {
      rlimit limit{};
      if (a[0] != 0 || a[2] != 0 || a[3] == 0) return false;
      return prlimit(raw(task.process->pid), static_cast<__rlimit_resource>(a[1]), nullptr,
                     &limit) == 0 &&
             task.tracee.write({a[3]}, &limit, sizeof limit) && answerWith(task, 0);
    }
    case SYS_getpid: return answerWith(task, raw(task.process->pid));
    case SYS_gettid: return answerWith(task, raw(task.tracee.tid()));
    case SYS_getuid: return answerWith(task, getuid());
    case SYS_geteuid: return answerWith(task, geteuid());
    case SYS_getgid: return answerWith(task, getgid());
    case SYS_getegid: return answerWith(task, getegid());
    default: return false;
  }
}

// Calls on mappings that are known to be there, which therefore succeed.
bool Recording::answerMapping(Task& task) {
  // Far below vm.max_map_count, each operation making at most two mappings more.
  constexpr uint32_t kMostOperations = 10'000;
  constexpr uint64_t kPlainMapping =
      MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_NORESERVE | MAP_STACK;
  const uint64_t* a = task.call.arguments;
  AddressSpace& space = *task.space;
  switch (task.call.number) {
    case SYS_mprotect:
      if ((a[2] & ~uint64_t{PROT_READ | PROT_WRITE}) != 0) return false;
      break;
    case SYS_madvise:
      if (a[2] != MADV_DONTNEED) return false;
      break;
    case SYS_mmap:
      if ((a[2] & ~uint64_t{PROT_READ | PROT_WRITE}) != 0 || (a[3] & ~kPlainMapping) != 0 ||
          (a[3] & (MAP_PRIVATE | MAP_FIXED)) != (MAP_PRIVATE | MAP_FIXED) ||
          (a[5] & (kPageSize - 1)) != 0 || a[5] > INT64_MAX / 2)
        return false;
      break;
    case SYS_munmap: break;
    default: return false;
  }
  const uint64_t start = a[0], length = pageCeil(a[1]);
  if (!mayPredict(task) || !predictMappings_ || space.mapOperations > kMostOperations || length == 0 ||
      (start & (kPageSize - 1)) != 0 || start >= kUserEnd || a[1] > kUserEnd - start ||
      !space.known.covers(start, length))
    return false;
  for (const auto& [from, mapping] : space.sharedMappings)
    if (from < start + length && mapping.end > start) return false;
  const auto site = space.trapSites.lower_bound(start);
  if (task.call.number != SYS_munmap && site != space.trapSites.end() && site->first < start + length)
    return false;
  if (task.call.number == SYS_mmap && (a[3] & MAP_ANONYMOUS) == 0) {
    const OpenFile* file = openFile(task, static_cast<int>(a[4]));
    if (file == nullptr || file->kind != OpenFile::Kind::kRegular) return false;
    const int flags = fcntl(file->fd.get(), F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY) return false;
  }
  noteMappingCall(task, static_cast<int64_t>(start));
  return predict(task, task.call.number == SYS_mmap ? static_cast<int64_t>(start) : 0);
}

}  // namespace airr
