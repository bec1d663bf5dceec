// Calls that the mediator makes for a task, on the very objects that were decided on: links that are
// swapped and directories that are renamed between the decision and the call change nothing.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "mediator/call_hash.h"
#include "mediator/process_status.h"
#include "mediator/recording.h"
#include "recorder/signals_blocked.h"

namespace airr {
namespace {

using schema::Syscall;
using syscalls::Authority;

int64_t resultOf(long result) { return result >= 0 ? result : -errno; }

// The last component as a *at call takes it.
std::string entryOf(const ResolvedName& name) {
  return name.trailingSlash ? name.last + "/" : name.last;
}

}  // namespace

// File modes that a process masks out, its own affair (umask(2)).
mode_t Recording::umaskOf(const Task& task) {
  const std::string status = statusOf(task.tracee.tid());
  const auto mask = fieldOf(status, "Umask");
  return mask ? static_cast<mode_t>(strtoul(std::string(*mask).c_str(), nullptr, 8)) : 0777;
}

// After a decision that lets the call run. True: it was made here, and the task has its answer.
bool Recording::perform(Task& task) {
  if (task.model->authority == Authority::kOpen) return performOpen(task);
  if (task.model->authority != Authority::kModify) return false;
  if (!task.names[0]) return false;
  writeEnter(task);
  trace_->flush();
  const auto result = [&] {
    // A process of the session would not see the mediator's own ticks, which interrupt calls that wait (the
    // copy that an overlay makes of a file that is to be changed; network file systems).
    const SignalsBlocked quiet;
    return change(task);
  }();
  if (!result)
    throw Error(ExitCode::kFailure,
                std::string("no way to make the call ") + task.model->name + " on what was decided on");
  finishPerformed(task, *result);
  return true;
}

void Recording::finishPerformed(Task& task, int64_t result) {
  if (result >= 0) afterNamesChange(task);
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, task.entered ? Syscall::Phase::LEAVE : Syscall::Phase::WHOLE);
  call.setHandling(Syscall::Handling::MEDIATOR);
  call.setResult(result);
  if (!task.entered) {
    if (std::string path = describeName(task, 0); !path.empty()) setPath(call, path);
    if (std::string other = describeName(task, 1); !other.empty()) call.setOtherPath(other);
  }
  trace_->commit();
  task.tracee.skipCall(result);
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(result)};
  endTurn(task);
}

bool Recording::performOpen(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_open: return performOpenHere(task, a[1], a[2]);
    case SYS_openat: return performOpenHere(task, a[2], a[3]);
    case SYS_creat: return performOpenHere(task, O_CREAT | O_WRONLY | O_TRUNC, a[1]);
    case SYS_openat2: {
      open_how how{};
      if (a[3] < sizeof how || !task.tracee.readValue({a[2]}, how)) return false;
      // What restricts the search has to be answered by the search itself.
      if (how.resolve != 0) {
        task.expectedFile = task.names[0] && task.names[0]->exists();
        return false;
      }
      return performOpenHere(task, how.flags, how.mode);
    }
    default: return false;
  }
}

bool Recording::performOpenHere(Task& task, uint64_t flags, uint64_t mode) {
  if (!task.names[0]) return false;
  const ResolvedName& name = *task.names[0];
  auto answer = [&](int64_t result) {
    finishPerformed(task, result);
    return true;
  };
  const bool makes = (flags & O_CREAT) != 0;
  if (name.exists()) {
    const mode_t type = name.status.st_mode & S_IFMT;
    if (makes && (flags & O_EXCL) != 0) return answer(-EEXIST);
    if (type == S_IFLNK && (flags & O_PATH) == 0) return answer(-ELOOP);
    if (makes && type == S_IFDIR) return answer(-EISDIR);
    // Opening others may wait for somebody, or do something, and a descriptor that is only a place
    // cannot be given (seccomp_unotify(2), EBADF): the task does it, and what it opened is looked at
    // afterwards.
    if ((type != S_IFREG && type != S_IFDIR && !isMemoryDevice(name.status)) || (flags & O_PATH) != 0) {
      task.expectedFile = true;
      return false;
    }
  } else if (!makes) {
    return answer(-ENOENT);
  } else if (name.trailingSlash || name.last.empty()) {
    return answer(-EISDIR);
  }
  const bool changes = facts::writesByOpening(task.call) && !(name.exists() && isMemoryDevice(name.status));
  if (changes) {
    writeEnter(task);
    trace_->flush();
  }
  UniqueFd own;
  std::optional<SignalsBlocked> quiet;  // as in perform()
  if (changes || !name.exists() || !isOnLocalFileSystem(name.object.get(), name.status)) quiet.emplace();
  const uint64_t kept = (flags & ~uint64_t{O_CREAT | O_EXCL | O_NOFOLLOW}) | O_CLOEXEC;
  if (name.exists()) {
    const bool makesUnnamed = (flags & O_TMPFILE) == O_TMPFILE;
    const mode_t masked = makesUnnamed ? static_cast<mode_t>(mode & 07777) & ~umaskOf(task) : 0;
    // A directory's "." spares the way through procfs, but takes the right to search it.
    const bool plainDirectory = S_ISDIR(name.status.st_mode) && !makesUnnamed;
    if (plainDirectory) own.reset(openat(name.object.get(), ".", static_cast<int>(kept)));
    if (!plainDirectory || (!own && errno == EACCES))
      own.reset(open(name.objectLink().c_str(), static_cast<int>(kept), masked));
  } else {
    const mode_t wanted = static_cast<mode_t>(mode & 07777) & ~umaskOf(task);
    own.reset(openat(name.directory.get(), name.last.c_str(),
                     static_cast<int>(kept) | O_CREAT | O_EXCL | O_NOFOLLOW, wanted));
    // The mediator's own mask is not to matter.
    struct stat made {};
    if (own && fstat(own.get(), &made) == 0 && (made.st_mode & 07777) != wanted)
      fchmod(own.get(), wanted);
  }
  quiet.reset();
  if (!own) {
    // Made by another process since: natively, either order is possible, and this is the other one.
    return answer(errno == EEXIST && (flags & O_EXCL) == 0 ? -EINTR : -errno);
  }
  const int number = task.tracee.addDescriptor(own.get(), (flags & O_CLOEXEC) != 0, false);
  if (number < 0) return answer(number);
  const std::string path = name.exists() ? name.path : ownPathOf(own.get());
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, task.entered ? Syscall::Phase::LEAVE : Syscall::Phase::WHOLE);
  call.setHandling(Syscall::Handling::MEDIATOR);
  call.setResult(number);
  noteResult(task, call, number);
  if (!task.entered) setPath(call, path);
  trace_->commit();
  const bool local = !changes && isOnLocalFileSystem(own.get(), name.status);
  if (local && !task.process->sharesFiles) task.process->files.adopt(number, std::move(own), name.status).path = path;
  noteOpenFile(task, number);
  if (local) grantOpen(task, path, name.status);
  task.tracee.skipCall(number);
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(number)};
  endTurn(task);
  return true;
}

// Changes of names and attributes, each on what was found for it. Nothing: not known here.
std::optional<int64_t> Recording::change(Task& task) {
  const uint64_t* a = task.call.arguments;
  const ResolvedName& name = *task.names[0];
  const std::string entry = entryOf(name);
  const int directory = name.directory.get();
  auto mode = [&](uint64_t given) {
    return (static_cast<mode_t>(given) & S_IFMT) | (static_cast<mode_t>(given & 07777) & ~umaskOf(task));
  };
  auto withMode = [&](uint64_t given, auto&& make) {
    const int64_t result = resultOf(make(mode(given)));
    struct stat made {};
    const mode_t wanted = mode(given) & 07777;
    if (result == 0 && fstatat(directory, name.last.c_str(), &made, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISLNK(made.st_mode) && (made.st_mode & 0777) != (wanted & 0777)) {
      fchmodat(directory, name.last.c_str(), wanted | (made.st_mode & S_ISGID), 0);
    }
    return result;
  };
  auto owner = [&](uint64_t user, uint64_t group) {
    return resultOf(fchownat(name.object.get(), "", static_cast<uid_t>(user), static_cast<gid_t>(group),
                             AT_EMPTY_PATH));
  };
  auto times = [&](const timespec* at) {
    return resultOf(syscall(SYS_utimensat, name.object.get(), "", at, AT_EMPTY_PATH));
  };
  auto readText = [&](uint64_t at, std::string& text) { return task.tracee.readString({at}, text, 1 << 16); };

  switch (task.call.number) {
    // Of an entry of a directory.
    case SYS_mkdir:
    case SYS_mkdirat: {
      if (name.last.empty()) return -EEXIST;
      const uint64_t given = a[task.call.number == SYS_mkdir ? 1 : 2];
      return withMode(given & 01777, [&](mode_t m) { return mkdirat(directory, name.last.c_str(), m); });
    }
    case SYS_mknod:
    case SYS_mknodat: {
      if (name.last.empty()) return -EEXIST;
      const int shift = task.call.number == SYS_mknod ? 0 : 1;
      return withMode(a[1 + shift], [&](mode_t m) {
        return syscall(SYS_mknodat, directory, entry.c_str(), m, a[2 + shift]);
      });
    }
    case SYS_rmdir: return name.last.empty() ? -EBUSY : resultOf(unlinkat(directory, entry.c_str(), AT_REMOVEDIR));
    case SYS_unlink: return name.last.empty() ? -EISDIR : resultOf(unlinkat(directory, entry.c_str(), 0));
    case SYS_unlinkat:
      return name.last.empty() ? -EBUSY : resultOf(unlinkat(directory, entry.c_str(), static_cast<int>(a[2])));
    case SYS_symlink:
    case SYS_symlinkat: {
      std::string target;
      if (!readText(a[0], target)) return -EFAULT;
      return name.last.empty() ? -EEXIST : resultOf(symlinkat(target.c_str(), directory, entry.c_str()));
    }
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_link:
    case SYS_linkat: {
      if (!task.names[1]) return std::nullopt;
      const ResolvedName& to = *task.names[1];
      const std::string other = entryOf(to);
      if (task.call.number == SYS_link || task.call.number == SYS_linkat) {
        if (!name.exists()) return -ENOENT;
        if (to.last.empty()) return -EEXIST;
        // By the object: a name of it could lead elsewhere by now. Needs no right of its own, as
        // AT_EMPTY_PATH would (open(2), O_TMPFILE).
        return resultOf(linkat(AT_FDCWD, name.objectLink().c_str(), to.directory.get(), other.c_str(),
                               AT_SYMLINK_FOLLOW));
      }
      if (name.last.empty() || to.last.empty()) return -EBUSY;
      const uint64_t flags = task.call.number == SYS_renameat2 ? a[4] : 0;
      return resultOf(syscall(SYS_renameat2, directory, entry.c_str(), to.directory.get(), other.c_str(), flags));
    }
    default: break;
  }
  // Of an object.
  if (!name.exists()) return -ENOENT;
  const bool isLink = S_ISLNK(name.status.st_mode);
  const std::string link = name.objectLink();
  switch (task.call.number) {
    case SYS_chmod:
    case SYS_fchmodat:
    case syscalls::kFchmodat2: {
      if (isLink) return -EOPNOTSUPP;
      return resultOf(chmod(link.c_str(), static_cast<mode_t>(a[task.call.number == SYS_chmod ? 1 : 2])));
    }
    case SYS_chown:
    case SYS_lchown: return owner(a[1], a[2]);
    case SYS_fchownat: return owner(a[2], a[3]);
    case SYS_truncate: return isLink ? -EINVAL : resultOf(truncate(link.c_str(), static_cast<off_t>(a[1])));
    case SYS_utimensat: {
      timespec at[2];
      if (a[2] == 0) return times(nullptr);
      return task.tracee.read({a[2]}, at, sizeof at) ? times(at) : -EFAULT;
    }
    case SYS_utime: {
      utimbuf given{};
      if (a[1] == 0) return times(nullptr);
      if (!task.tracee.readValue({a[1]}, given)) return -EFAULT;
      const timespec at[2] = {{given.actime, 0}, {given.modtime, 0}};
      return times(at);
    }
    case SYS_utimes:
    case SYS_futimesat: {
      timeval given[2];
      const uint64_t from = a[task.call.number == SYS_utimes ? 1 : 2];
      if (from == 0) return times(nullptr);
      if (!task.tracee.read({from}, given, sizeof given)) return -EFAULT;
      timespec at[2];
      for (int i = 0; i < 2; ++i) {
        if (given[i].tv_usec < 0 || given[i].tv_usec >= 1'000'000) return -EINVAL;
        at[i] = {given[i].tv_sec, given[i].tv_usec * 1000};
      }
      return times(at);
    }
    case SYS_setxattr:
    case SYS_lsetxattr: {
      constexpr uint64_t kMostValue = 64 << 10;  // XATTR_SIZE_MAX
      std::string attribute;
      if (isLink) return -EPERM;
      if (!readText(a[1], attribute)) return -EFAULT;
      if (a[3] > kMostValue) return -E2BIG;
      std::vector<uint8_t> value(a[3]);
      if (!value.empty() && !task.tracee.read({a[2]}, value.data(), value.size())) return -EFAULT;
      return resultOf(setxattr(link.c_str(), attribute.c_str(), value.data(), value.size(), static_cast<int>(a[4])));
    }
    case SYS_removexattr:
    case SYS_lremovexattr: {
      std::string attribute;
      if (isLink) return -EPERM;
      return readText(a[1], attribute) ? resultOf(removexattr(link.c_str(), attribute.c_str())) : -EFAULT;
    }
    default: return -ENOSYS;  // newer forms, without which programs use these
  }
}

}  // namespace airr
