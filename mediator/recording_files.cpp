// Calls on files and names that the mediator answers: it looks things up and reads as the task would.
//
// As in recording_answers.cpp: exactly the kernel's answer, or none.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>

#include "mediator/call_hash.h"
#include "mediator/recording.h"
#include "recorder/files.h"

namespace airr {
namespace {

using schema::Syscall;
using Kind = OpenFile::Kind;

constexpr long kFaccessat2 = 439;
constexpr int kStatFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
constexpr int kStatxSync = 0x6000;  // AT_STATX_SYNC_TYPE

}  // namespace

// Opens (O_PATH) what a task's path names, as the task would find it. Nothing, with `error` 0: not
// sure. /proc and what leads there (/dev/fd) mean other things to the mediator: what is found there,
// and what is not found behind a mount, is left to the task.
UniqueFd Recording::lookUp(Task& task, int dirfd, uint64_t path, bool follow, int& error) {
  error = 0;
  std::string name;
  if (!task.process->plain || !task.tracee.readString({path}, name, PATH_MAX) || name.empty())
    return {};
  task.lookedUp = resolvePath(task, dirfd, name);
  int from = AT_FDCWD;
  if (name[0] != '/') {
    if (dirfd == AT_FDCWD) {
      from = workingDirectory(task);
    } else {
      const OpenFile* directory = openFile(task, dirfd);
      from = directory != nullptr && directory->kind == Kind::kDirectory ? directory->fd.get() : -1;
    }
    if (from == -1) return {};
  }
  const int flags = follow ? 0 : O_NOFOLLOW;
  UniqueFd found = searchName(from, name, flags, RESOLVE_NO_XDEV);
  if (found) return found;
  if (errno == ENOENT || errno == ENOTDIR) {
    error = errno;
    return {};
  }
  if (errno != EXDEV) return {};
  found = searchName(from, name, flags, 0);
  struct stat status {};
  if (found && (fstat(found.get(), &status) != 0 || isInProc(found.get(), status))) found.reset();
  return found;
}

// -1: not sure.
int Recording::workingDirectory(Task& task) {
  UniqueFd& directory = task.process->directoryFd;
  if (directory && !task.process->directoryVaries) return directory.get();
  directory.reset(open(descriptorLink(task.tracee.tid(), AT_FDCWD).c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (directory && (fstat(directory.get(), &status) != 0 || isInProc(directory.get(), status))) directory.reset();
  return directory.get();
}

// Where a task's relative names begin, as a descriptor of the mediator's; `borrowed` owns it if nothing else does.
int Recording::directoryOf(Task& task, int dirfd, UniqueFd& borrowed) {
  if (dirfd == AT_FDCWD) {
    if (const int directory = workingDirectory(task); directory >= 0) return directory;
  } else if (!task.process->sharesFiles) {
    const OpenFile* known = task.process->files.known(dirfd);
    if (known != nullptr && known->kind == Kind::kDirectory) return known->fd.get();
  }
  borrowed.reset(open(descriptorLink(task.tracee.tid(), dirfd).c_str(), O_PATH | O_CLOEXEC));
  return borrowed.get();
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
    case SYS_dup3:
      files.forget(static_cast<int>(a[1]));
      forgetGateFiles(task, static_cast<uint32_t>(a[1]), static_cast<uint32_t>(a[1]));
      break;
    case SYS_close_range:
      files.forgetRange(static_cast<unsigned>(a[0]), static_cast<unsigned>(a[1]));
      forgetGateFiles(task, static_cast<uint32_t>(a[0]), static_cast<uint32_t>(a[1]));
      break;
    case SYS_fcntl:
      if (static_cast<uint32_t>(a[1]) != F_OFD_SETLK && static_cast<uint32_t>(a[1]) != F_OFD_SETLKW) break;
      [[fallthrough]];
    case SYS_flock:  // its lock must end with the process's own descriptors
      files.forgetAll();
      noteGateFile(task, static_cast<int>(a[0]), AIRR_GATE_FILE_STOP, true);
      break;
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_unshare:
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

// Calls on a descriptor.
bool Recording::answerFile(Task& task) {
  const uint64_t* a = task.call.arguments;
  const auto fd = static_cast<int>(a[0]);
  switch (task.call.number) {
    case SYS_read:
    case SYS_pread64:
    case SYS_getdents64: return answerRead(task);
    case SYS_write: return answerWrite(task);
    case SYS_close: return answerClose(task);
    case SYS_lseek:
    case SYS_fstat: break;
    case SYS_ioctl:
      if (a[1] != TCGETS) return false;  // isatty(3)
      break;
    case SYS_fcntl:
      if (a[1] != F_GETFL && a[1] != F_SETFD) return false;
      break;
    case SYS_newfstatat:
    case SYS_statx: {
      char first = 1;
      const uint64_t flags = a[task.call.number == SYS_statx ? 2 : 3];
      if ((flags & AT_EMPTY_PATH) == 0 || fd < 0 || !task.tracee.readValue({a[1]}, first) || first != 0)
        return false;
      break;
    }
    default: return false;
  }
  OpenFile* file = openFile(task, fd);
  if (file == nullptr) return errno == EBADF && answerWith(task, -EBADF);
  if (task.call.number == SYS_fcntl && a[1] == F_SETFD) return mayPredict(task) && predict(task, 0);
  if (task.call.number == SYS_ioctl && file->fd) {
    const bool local = file->kind == Kind::kRegular || file->kind == Kind::kDirectory;
    return local && answerWith(task, -ENOTTY);
  }
  UniqueFd borrowed;
  if (!file->fd) {
    borrowed = task.process->files.borrow(task.process->pid, fd);
    if (!borrowed) return false;
  }
  const int own = file->fd ? file->fd.get() : borrowed.get();
  switch (task.call.number) {
    case SYS_fstat:
    case SYS_newfstatat: {
      struct stat s {};
      const uint64_t to = a[task.call.number == SYS_fstat ? 1 : 2];
      return fstat(own, &s) == 0 && task.tracee.write({to}, &s, sizeof s) && answerWith(task, 0);
    }
    case SYS_statx: return answerStatx(task, own, AT_EMPTY_PATH);
    case SYS_fcntl: {
      const int flags = fcntl(own, F_GETFL);
      return flags >= 0 && answerWith(task, flags);
    }
    case SYS_ioctl: {
      constexpr size_t kKernelTermios = 36;  // include/uapi/asm-generic/termbits.h
      uint8_t settings[kKernelTermios + 28]{};
      if (syscall(SYS_ioctl, own, TCGETS, settings) != 0)
        return errno == ENOTTY && answerWith(task, -ENOTTY);
      return task.tracee.write({a[2]}, settings, kKernelTermios) && answerWith(task, 0);
    }
    case SYS_lseek: {
      const off_t at = lseek(own, static_cast<off_t>(a[1]), static_cast<int>(a[2]));
      return answerWith(task, at >= 0 ? at : -errno);
    }
    default: return false;
  }
}

// Reading from regular files and directories of local file systems.
bool Recording::answerRead(Task& task) {
  constexpr uint64_t kMost = 1 << 20;
  const uint64_t* a = task.call.arguments;
  OpenFile* file = openFile(task, static_cast<int>(a[0]));
  if (file == nullptr || a[2] > kMost) return false;
  const bool regular = file->kind == Kind::kRegular, directory = file->kind == Kind::kDirectory;
  const int own = file->fd.get();
  switch (task.call.number) {
    case SYS_pread64: {
      if (!regular) return false;
      bytes_.resize(a[2]);
      const ssize_t n = pread(own, bytes_.data(), a[2], static_cast<off_t>(a[3]));
      return n >= 0 && answerBytes(task, a[1], n);
    }
    case SYS_read: {
      if (file->kind == Kind::kPipe) noteOpenFile(task, static_cast<int>(a[0]));
      if (!regular) return false;
      bytes_.resize(a[2]);
      const ssize_t n = read(own, bytes_.data(), a[2]);
      if (n < 0) return false;
      noteOpenFile(task, static_cast<int>(a[0]));
      if (answerBytes(task, a[1], n)) return true;
      lseek(own, -n, SEEK_CUR);  // the kernel finds the bad buffer for itself
      return false;
    }
    case SYS_getdents64: {
      if (!directory) return listWithoutGateFiles(task);
      const off_t before = lseek(own, 0, SEEK_CUR);
      bytes_.resize(a[2]);
      const long n = syscall(SYS_getdents64, own, bytes_.data(), a[2]);
      if (n < 0) return false;
      noteOpenFile(task, static_cast<int>(a[0]));
      if (answerBytes(task, a[1], n)) return true;
      lseek(own, before, SEEK_SET);
      return false;
    }
    default: return false;
  }
}

// A write that cannot wait, and that is the same whoever makes it: of a little to a file, or to a pipe that has room.
// Where it fails the task makes it, and gets the signal that may go with the error.
bool Recording::answerWrite(Task& task) {
  constexpr uint64_t kMost = PIPE_BUF;  // so much goes into a pipe whole or not at all (pipe(7))
  const uint64_t* a = task.call.arguments;
  const auto fd = static_cast<int>(a[0]);
  Process& process = *task.process;
  if (a[2] - 1 >= kMost || !process.plain || process.sharesFiles || fileSizesVary_ || !sharedObjects_.empty())
    return false;
  const bool wasKnown = process.files.known(fd) != nullptr;
  const OpenFile* file = openFile(task, fd);
  if (file == nullptr || (file->kind != Kind::kRegular && file->kind != Kind::kPipe)) return false;
  const bool pipe = file->kind == Kind::kPipe;
  const UniqueFd borrowed = pipe ? process.files.borrow(process.pid, fd) : UniqueFd();
  const auto write = [&]() -> ssize_t {
    task.stream = standardStream(task, fd);
    if (task.stream != 0 && streams_[oneStream_ ? 0 : task.stream - 1].writer != nullptr) return -1;
    bytes_.resize(a[2]);
    if (!task.tracee.read({a[1]}, bytes_.data(), a[2])) return -1;
    iovec piece{bytes_.data(), bytes_.size()};
    return pwritev2(pipe ? borrowed.get() : file->fd.get(), &piece, 1, -1, pipe ? RWF_NOWAIT : 0);
  };
  const ssize_t written = write();
  if (!wasKnown && !pipe) process.files.forget(fd);  // no duplicate stays of what is written (standardStream)
  return written >= 0 && answerWith(task, written);
}

// Nothing is left to fail but for file systems that write back on close (close(2), NOTES).
bool Recording::answerClose(Task& task) {
  const auto fd = static_cast<int>(task.call.arguments[0]);
  if (task.process->sharesFiles) return false;
  const OpenFile* file = openFile(task, fd);
  if (file == nullptr) return errno == EBADF && answerWith(task, -EBADF);
  if (file->kind == Kind::kForeign || !mayPredict(task)) return false;
  task.process->files.forget(fd);
  forgetGateFiles(task, static_cast<uint32_t>(fd), static_cast<uint32_t>(fd));
  return predict(task, 0);
}

bool Recording::answerStatx(Task& task, int fd, uint64_t extraFlags) {
  const uint64_t* a = task.call.arguments;
  struct statx s {};
  const auto flags = static_cast<int>((a[2] & kStatxSync) | extraFlags);
  return syscall(SYS_statx, fd, "", flags, a[3], &s) == 0 &&
         task.tracee.write({a[4]}, &s, sizeof s) && answerWith(task, 0);
}

// readlink of /proc/self/exe, which each static program of glibc's begins with. (In /proc, "self" is another to the
// mediator, so the task would have to make the call.)
bool Recording::answerOwnProgram(Task& task) {
  constexpr std::string_view kOwn = "/proc/self/exe";
  const uint64_t* a = task.call.arguments;
  std::string name;
  if (!task.process->plain || static_cast<int>(a[2]) <= 0 || !task.tracee.readString({a[0]}, name, kOwn.size() + 1) ||
      name != kOwn)
    return false;
  const std::string target = linkTarget("/proc/" + std::to_string(raw(task.process->pid)) + "/exe");
  const auto length = std::min<uint64_t>(target.size(), static_cast<uint32_t>(a[2]));
  if (target.empty() || !task.tracee.write({a[1]}, target.data(), length)) return false;
  task.lookedUp = std::move(name);
  return answerWith(task, static_cast<int64_t>(length));
}

// Calls on a name.
bool Recording::answerLookup(Task& task) {
  const uint64_t* a = task.call.arguments;
  int error = 0;
  UniqueFd found;
  // What `path` names is looked at through `found`, or the lookup is the whole answer.
  auto missing = [&](int dirfd, uint64_t path, bool follow) {
    found = lookUp(task, dirfd, path, follow, error);
    return error != 0;
  };
  auto answerStat = [&](uint64_t to) {
    struct stat s {};
    return found && fstat(found.get(), &s) == 0 && task.tracee.write({to}, &s, sizeof s) &&
           answerWith(task, 0);
  };
  auto answerAccess = [&](uint64_t mode, uint64_t flags) {
    if (!found) return false;
    if (syscall(kFaccessat2, found.get(), "", static_cast<int>(mode),
                static_cast<int>(flags) | AT_EMPTY_PATH) == 0)
      return answerWith(task, 0);
    return (errno == EACCES || errno == EROFS) && answerWith(task, -errno);
  };
  auto answerReadlink = [&](uint64_t to, uint64_t size) {
    if (!found || static_cast<int>(size) <= 0) return false;
    char target[PATH_MAX];
    const ssize_t n = readlinkat(found.get(), "", target, std::min<size_t>(sizeof target, size));
    if (n < 0 && errno == ENOENT) return answerWith(task, -EINVAL);  // not a link (readlink(2), BUGS)
    return n > 0 && task.tracee.write({to}, target, static_cast<uint64_t>(n)) && answerWith(task, n);
  };
  const auto dirfd = static_cast<int>(a[0]);
  switch (task.call.number) {
    case SYS_stat:
    case SYS_lstat:
      if (missing(AT_FDCWD, a[0], task.call.number == SYS_stat)) return answerWith(task, -error);
      return answerStat(a[1]);
    case SYS_newfstatat:
      if ((a[3] & ~uint64_t{kStatFlags}) != 0) return false;
      if (missing(dirfd, a[1], (a[3] & AT_SYMLINK_NOFOLLOW) == 0)) return answerWith(task, -error);
      return answerStat(a[2]);
    case SYS_statx:
      if ((a[2] & ~uint64_t{kStatFlags | kStatxSync}) != 0) return false;
      if (missing(dirfd, a[1], (a[2] & AT_SYMLINK_NOFOLLOW) == 0)) return answerWith(task, -error);
      return found && answerStatx(task, found.get(), AT_EMPTY_PATH);
    case SYS_access:
      if (missing(AT_FDCWD, a[0], true)) return answerWith(task, -error);
      return answerAccess(a[1], 0);
    case SYS_faccessat:
      if (missing(dirfd, a[1], true)) return answerWith(task, -error);
      return answerAccess(a[2], 0);
    case kFaccessat2:
      if ((a[3] & ~uint64_t{AT_EACCESS}) != 0) return false;
      if (missing(dirfd, a[1], true)) return answerWith(task, -error);
      return answerAccess(a[2], a[3]);
    case SYS_readlink:
      if (answerOwnProgram(task)) return true;
      if (missing(AT_FDCWD, a[0], false)) return answerWith(task, -error);
      return answerReadlink(a[1], a[2]);
    case SYS_readlinkat:
      if (missing(dirfd, a[1], false)) return answerWith(task, -error);
      return answerReadlink(a[2], a[3]);
    case SYS_getcwd: {
      if (!task.process->plain) return false;  // its root may be another
      const std::string path =
          linkTarget("/proc/" + std::to_string(raw(task.tracee.tid())) + "/cwd");
      if (path.empty() || path[0] != '/' || path.ends_with(" (deleted)")) return false;
      const uint64_t size = path.size() + 1;
      if (a[1] < size) return answerWith(task, -ERANGE);
      return task.tracee.write({a[0]}, path.c_str(), size) &&
             answerWith(task, static_cast<int64_t>(size));
    }
    case SYS_open: return answerOpen(task, AT_FDCWD, a[0], a[1]);
    case SYS_openat: return answerOpen(task, dirfd, a[1], a[2]);
    default: return false;
  }
}

// Opens what is there for reading, and gives the task a duplicate.
bool Recording::answerOpen(Task& task, int dirfd, uint64_t path, uint64_t flags) {
  if ((flags & ~kReadingOpen) != 0) return false;
  int error = 0;
  const UniqueFd found = lookUp(task, dirfd, path, (flags & O_NOFOLLOW) == 0, error);
  if (error != 0) {
    lookUpFailedOpen(task);
    task.lookedUp = describeName(task, 0);
    return answerWith(task, -error);
  }
  if (!found || !task.tracee.isNotified()) return false;
  struct stat s {};
  if (fstat(found.get(), &s) != 0) return false;
  if (enforcement_->floor().isSecret(s)) {
    refuse(task, EPERM, Floor::kSecret);
    return true;
  }
  const bool plain = (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) && isOnLocalFileSystem(found.get(), s);
  if (!plain && !isMemoryDevice(s)) return false;
  const auto ownFlags = static_cast<int>((flags & ~uint64_t{O_NOFOLLOW}) | O_CLOEXEC);
  UniqueFd own(open(ownLink(found.get()).c_str(), ownFlags));
  if (!own) return (errno == EACCES || errno == ENOTDIR) && answerWith(task, -errno);
  // While the gate makes calls, it is told of the file before the task goes on.
  const int number = task.tracee.addDescriptor(own.get(), (flags & O_CLOEXEC) != 0, !turnEnds(task) && !task.space->sites.logsCalls);
  if (number < 0) return answerWith(task, number);
  std::string name = linkTarget(ownLink(own.get()));
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::WHOLE);
  call.setHandling(Syscall::Handling::MEDIATOR);
  call.setResult(number);
  setPath(call, name);
  trace_->commit();
  if (!task.process->sharesFiles)
    task.process->files.adopt(number, std::move(own), s).path = name;
  noteOpenFile(task, number);
  grantOpen(task, name, s);
  task.tracee.skipCall(number);
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(number)};
  endTurn(task);
  return true;
}

}  // namespace airr
