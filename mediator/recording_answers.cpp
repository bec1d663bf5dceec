// Calls that the mediator answers itself, in one stop instead of two: because the truth is its own
// (the affinity that the tracees were given), or because it can find out what the kernel would say.
//
// What stands here gives exactly the kernel's answer; whatever is not sure to is left to the kernel.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
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

#include "mediator/recording.h"

namespace airr {
namespace {

using schema::Syscall;

constexpr uint64_t kKernelSignalSet = 8;
constexpr uint64_t kUnblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);
// Flags that the kernel keeps of a struct sigaction (include/uapi/asm-generic/signal-defs.h and
// asm/signal.h); with others its answer to a later query is not what was set.
constexpr uint64_t kKeptActionFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK |
                                      SA_RESTART | SA_NODEFER | SA_RESETHAND | 0x04000000;


}  // namespace

bool Recording::answerHere(Task& task) {
  return answerFile(task) || answerScheduling(task) || answerPredictable(task) || answerSignals(task) || answerLookup(task) ||
         answerTime(task) || answerIdentity(task) || answerPrctl(task);
}

bool Recording::answerWith(Task& task, int64_t result) {
  answer(task, result, Syscall::Handling::MEDIATOR);
  endTurn(task);
  return true;
}

// The kernel makes the call, but its result is known before: no second stop.
bool Recording::predict(Task& task, int64_t result) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::WHOLE);
  call.setResult(result);
  task.outputCall = task.call;
  task.outputModel = task.model;
  fillOutputs(task, call, result);
  trace_->commit();
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(result)};
  endTurn(task);
  return true;
}

bool Recording::answerPredictable(Task& task) {
  const uint64_t* a = task.call.arguments;
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
    case SYS_close: {
      // Of a file that only reads and writes: nothing is left to fail (close(2), NOTES).
      const OpenFile* file = task.process->files.known(static_cast<int>(a[0]));
      if (file == nullptr || (file->kind != OpenFile::Kind::kRegular &&
                              file->kind != OpenFile::Kind::kDirectory))
        return false;
      task.process->files.forget(static_cast<int>(a[0]));
      return predict(task, 0);
    }
    case SYS_arch_prctl: {
      constexpr uint64_t kSetFs = 0x1002, kUserEnd = 0x7ffffffff000;
      return a[0] == kSetFs && a[1] < kUserEnd && predict(task, 0);
    }
    default: return false;
  }
}

bool Recording::answerScheduling(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_sched_yield: {
      answer(task, 0, Syscall::Handling::MEDIATOR);
      Domain& domain = *task.space->domain;
      if (domain.ready.empty()) {
        // Others of this domain may be about to return from the kernel.
        sched_yield();
        endTurn(task);
      } else {
        task.state = TaskState::kReady;
        task.continuation = Continuation::kResume;
        domain.ready.push_back(&task);
        domain.holder = nullptr;
      }
      return true;
    }
    case SYS_sched_getaffinity: {
      const uint64_t size = affinity_.size() * sizeof(uint64_t);
      if (size == 0 || a[1] < size || (a[1] & 7) != 0) return false;  // the kernel's EINVAL
      return task.tracee.write({a[2]}, affinity_.data(), size) &&
             answerWith(task, static_cast<int64_t>(size));
    }
    case SYS_sched_setaffinity:
      // Tracees stay where the mediator pinned them; they are told that it worked.
      return !affinity_.empty() && answerWith(task, 0);
    default: return false;
  }
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
  switch (task.call.number) {
    case SYS_rt_sigprocmask: {
      // With one thread; else the kernel must find another for what is pending (retarget_shared_pending).
      if (a[3] != kKernelSignalSet || task.process->liveTasks != 1) return false;
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
      if (next != task.signalMask) task.tracee.setSignalMask(next);
      task.signalMask = next;
      return answerWith(task, 0);
    }
    case SYS_rt_sigaction: {
      // The kernel carries it out, but what it will answer is known before: nothing can fail.
      const uint64_t number = a[0];
      if (number < 1 || number > 64 || number == SIGKILL || number == SIGSTOP ||
          a[3] != kKernelSignalSet)
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
      // It asks for the time: from now on the gate can tell it.
      if (!task.space->gateArmed) armGate(task, true);
      return answerWith(task, 0);
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

// Opens (O_PATH) what a task's path names, as the task would find it. Nothing, with `error` 0: not
// sure. A lookup must not leave the mount that it starts in: /proc/self and /dev/fd mean other
// things to the mediator, and neither is on the same mount as anything else.
UniqueFd Recording::lookUp(Task& task, int dirfd, uint64_t path, bool follow, int& error) {
  error = 0;
  std::string name;
  if (!task.process->plain || !task.tracee.readString({path}, name, PATH_MAX) || name.empty())
    return {};
  int from = AT_FDCWD;
  if (name[0] != '/') {
    if (dirfd != AT_FDCWD) return {};
    UniqueFd& directory = task.process->directoryFd;
    if (!directory) {
      directory.reset(open(("/proc/" + std::to_string(raw(task.tracee.tid())) + "/cwd").c_str(),
                           O_PATH | O_CLOEXEC));
      struct statfs fs {};
      constexpr decltype(fs.f_type) kProc = 0x9fa0;  // PROC_SUPER_MAGIC
      if (!directory || fstatfs(directory.get(), &fs) != 0 || fs.f_type == kProc) {
        directory.reset();
        return {};
      }
    }
    from = directory.get();
  }
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
  how.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  UniqueFd found(static_cast<int>(syscall(SYS_openat2, from, name.c_str(), &how, sizeof how)));
  if (!found && (errno == ENOENT || errno == ENOTDIR)) error = errno;
  return found;
}

OpenFile* Recording::openFile(Task& task, int fd) {
  Process& process = *task.process;
  if (process.sharesFiles) process.files.forgetAll();
  return process.files.find(process.pid, fd);
}

// Before a call by which descriptors cease to be what they are.
void Recording::forgetClosedFiles(Task& task) {
  OpenFiles& files = task.process->files;
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_dup2:
    case SYS_dup3: files.forget(static_cast<int>(a[1])); break;
    case SYS_close_range:
      files.forgetRange(static_cast<unsigned>(a[0]), static_cast<unsigned>(a[1]));
      break;
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_unshare:
    case SYS_flock:  // its lock must end with the process's own descriptors
      files.forgetAll();
      break;
    default: break;
  }
}

// Ends a read whose `result` bytes are in bytes_.
bool Recording::answerBytes(Task& task, uint64_t to, int64_t result) {
  if (result > 0 && !task.tracee.write({to}, bytes_.data(), static_cast<uint64_t>(result))) return false;
  return answerWith(task, result);
}

// Reading from regular files and directories of local file systems.
bool Recording::answerFile(Task& task) {
  constexpr uint64_t kMost = 1 << 20;
  const uint64_t* a = task.call.arguments;
  const auto fd = static_cast<int>(a[0]);
  switch (task.call.number) {
    case SYS_read:
    case SYS_pread64:
    case SYS_getdents64:
    case SYS_lseek:
    case SYS_fstat: break;
    case SYS_ioctl:
      if (a[1] != TCGETS) return false;  // isatty(3)
      break;
    case SYS_newfstatat: {
      char first = 1;
      if (a[3] != AT_EMPTY_PATH || fd < 0 || !task.tracee.readValue({a[1]}, first) || first != 0)
        return false;
      break;
    }
    default: return false;
  }
  OpenFile* file = openFile(task, fd);
  if (file == nullptr) return false;
  using Kind = OpenFile::Kind;
  const bool regular = file->kind == Kind::kRegular, directory = file->kind == Kind::kDirectory;
  const int own = file->fd.get();
  switch (task.call.number) {
    case SYS_fstat:
    case SYS_newfstatat: {
      struct stat s {};
      const uint64_t to = a[task.call.number == SYS_fstat ? 1 : 2];
      return file->fd && fstat(own, &s) == 0 && task.tracee.write({to}, &s, sizeof s) &&
             answerWith(task, 0);
    }
    case SYS_ioctl: return (regular || directory) && answerWith(task, -ENOTTY);
    case SYS_lseek: {
      if (!regular) return false;
      const off_t at = lseek(own, static_cast<off_t>(a[1]), static_cast<int>(a[2]));
      return at >= 0 && answerWith(task, at);
    }
    case SYS_pread64: {
      if (!regular || a[2] > kMost) return false;
      bytes_.resize(a[2]);
      const ssize_t n = pread(own, bytes_.data(), a[2], static_cast<off_t>(a[3]));
      return n >= 0 && answerBytes(task, a[1], n);
    }
    case SYS_read: {
      if (!regular || a[2] > kMost) return false;
      bytes_.resize(a[2]);
      const ssize_t n = read(own, bytes_.data(), a[2]);
      if (n < 0) return false;
      if (answerBytes(task, a[1], n)) return true;
      lseek(own, -n, SEEK_CUR);  // the kernel finds the bad buffer for itself
      return false;
    }
    case SYS_getdents64: {
      if (!directory || a[2] > kMost) return false;
      const off_t before = lseek(own, 0, SEEK_CUR);
      bytes_.resize(a[2]);
      const long n = syscall(SYS_getdents64, own, bytes_.data(), a[2]);
      if (n < 0) return false;
      if (answerBytes(task, a[1], n)) return true;
      lseek(own, before, SEEK_SET);
      return false;
    }
    default: return false;
  }
}

bool Recording::answerLookup(Task& task) {
  const uint64_t* a = task.call.arguments;
  int error = 0;
  struct stat s {};
  auto answerStat = [&](int fd, uint64_t to) {
    return fstat(fd, &s) == 0 && task.tracee.write({to}, &s, sizeof s) && answerWith(task, 0);
  };
  auto answerOpen = [&](int dirfd, uint64_t path, uint64_t flags) {
    // Only that there is nothing to open; what there is, the task opens.
    if ((flags & (O_CREAT | O_PATH | O_NOFOLLOW)) != 0 || (flags & O_TMPFILE) == O_TMPFILE) return false;
    UniqueFd found = lookUp(task, dirfd, path, true, error);
    return !found && error != 0 && answerWith(task, -error);
  };
  switch (task.call.number) {
    case SYS_stat:
    case SYS_lstat: {
      UniqueFd found = lookUp(task, AT_FDCWD, a[0], task.call.number == SYS_stat, error);
      if (error != 0) return answerWith(task, -error);
      return found && answerStat(found.get(), a[1]);
    }
    case SYS_newfstatat: {
      const auto flags = static_cast<int>(a[3]);
      if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) != 0) return false;
      UniqueFd found = lookUp(task, static_cast<int>(a[0]), a[1], (flags & AT_SYMLINK_NOFOLLOW) == 0, error);
      if (error != 0) return answerWith(task, -error);
      return found && answerStat(found.get(), a[2]);
    }
    case SYS_access:
    case SYS_faccessat: {
      const bool at = task.call.number == SYS_faccessat;
      UniqueFd found = lookUp(task, at ? static_cast<int>(a[0]) : AT_FDCWD, a[at ? 1 : 0], true, error);
      if (error != 0) return answerWith(task, -error);
      if (!found) return false;
      constexpr long kFaccessat2 = 439;
      const long result = syscall(kFaccessat2, found.get(), "", static_cast<int>(a[at ? 2 : 1]), AT_EMPTY_PATH);
      if (result != 0 && errno != EACCES) return false;
      return answerWith(task, result == 0 ? 0 : -EACCES);
    }
    case SYS_readlink: {
      UniqueFd found = lookUp(task, AT_FDCWD, a[0], false, error);
      if (error != 0) return answerWith(task, -error);
      if (!found || static_cast<int>(a[2]) <= 0) return false;
      char target[PATH_MAX];
      const ssize_t n = readlinkat(found.get(), "", target, std::min<size_t>(sizeof target, a[2]));
      if (n < 0 && errno == ENOENT) return answerWith(task, -EINVAL);  // not a link (readlink(2), BUGS)
      return n > 0 && task.tracee.write({a[1]}, target, static_cast<uint64_t>(n)) && answerWith(task, n);
    }
    case SYS_open: return answerOpen(AT_FDCWD, a[0], a[1]);
    case SYS_openat: return answerOpen(static_cast<int>(a[0]), a[1], a[2]);
    default: return false;
  }
}

}  // namespace airr
