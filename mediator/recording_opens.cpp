// What the gate opens by itself (docs/gate.md): the descriptors that it needs, which stay what they are whatever the
// session's programs do; which names are granted; and what the gate is told.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string>

#include "mediator/injection.h"
#include "mediator/recording.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "schema/error.h"

namespace airr {

using schema::Syscall;

namespace {

constexpr uint64_t kMoveMount = 429;

bool isGateFile(uint32_t fd) { return fd >= AIRR_GATE_OWN_FDS && fd < AIRR_GATE_OWN_FDS_END; }

// Whether it may be one.
bool isDirectory(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode);
}

bool exchanges(const syscalls::Call& call) {
  return call.number == SYS_renameat2 && (call.arguments[4] & RENAME_EXCHANGE) != 0;
}

// As mknod(2) takes it: no type means a regular file.
bool isPlainMode(uint64_t mode) { return (mode & S_IFMT) == 0 || (mode & S_IFMT) == S_IFREG; }

}  // namespace

// A fresh image has what its process had.
void Recording::checkGateFiles(Task& task) {
  if (!opens_) return;
  int number = AIRR_GATE_OWN_FDS;
  for (const int own : opens_->files()) {
    if (syscall(SYS_kcmp, getpid(), raw(task.tracee.tid()), KCMP_FILE, own, number) != 0)
      throw Error(ExitCode::kFailure,
                  "process " + std::to_string(raw(task.process->pid)) + " has not got what its gate needs as descriptor " +
                      std::to_string(number) + " to open files",
                  "the session ends here; its trace up to this point is whole");
    ++number;
  }
}

// Into a fresh image that has what its gate needs.
void Recording::mapGrants(Injection& injection) {
  const int64_t result = injection.call(SYS_mmap, {AIRR_GATE_GRANTS, OpenGrants::kSize, PROT_READ, MAP_SHARED | MAP_FIXED,
                                                   AIRR_GATE_GRANTS_FD, 0});
  if (result != static_cast<int64_t>(AIRR_GATE_GRANTS))
    throw systemError("mapping what the gate may open", static_cast<int>(-result));
}

// Before a call on a descriptor of the gate's, or one that would close it among others. True: it is answered; to the
// program there is no such descriptor.
bool Recording::keepsGateFiles(Task& task) {
  if (!opens_) return false;
  const uint64_t* a = task.call.arguments;
  if (task.call.number == SYS_close_range) {
    const auto first = static_cast<uint32_t>(a[0]), last = static_cast<uint32_t>(a[1]);
    if (first >= AIRR_GATE_OWN_FDS_END || last < AIRR_GATE_OWN_FDS) return false;
    closeAround(task, first, last);
    return true;
  }
  for (int i = 0; i < 6; ++i) {
    if (!isGateFile(static_cast<uint32_t>(a[i]))) continue;
    const syscalls::Type type = task.model->arguments[i].type;
    if (type != syscalls::Type::kFd && type != syscalls::Type::kDirFd) continue;
    refuse(task, EBADF, "the gate's own descriptor");
    return true;
  }
  return false;
}

void Recording::closeAround(Task& task, uint32_t first, uint32_t last) {
  if (task.tracee.isNotified()) {
    task.tracee.stopAtCall({AIRR_GATE_INJECT});
    task.entry = task.tracee.callInfo();
  }
  int64_t result = 0;
  const auto close = [&](uint32_t from, uint32_t to) {
    if (result == 0 && from <= to)
      result = inject(task.tracee, SYS_close_range, {from, to, task.call.arguments[2]});
  };
  if (first < AIRR_GATE_OWN_FDS) close(first, AIRR_GATE_OWN_FDS - 1);
  if (last >= AIRR_GATE_OWN_FDS_END) close(AIRR_GATE_OWN_FDS_END, last);
  answerWith(task, result);
}

// A list of descriptors in /proc (fd, fdinfo) of one who has the gate's: those are not the program's. False: it is
// no such list.
bool Recording::listWithoutGateFiles(Task& task) {
  if (!opens_) return false;
  const uint64_t* a = task.call.arguments;
  const UniqueFd own = task.process->files.borrow(task.process->pid, static_cast<int>(a[0]));
  struct stat status {}, theirs {}, tree {};
  if (!own || fstat(own.get(), &status) != 0 || !S_ISDIR(status.st_mode) || !isInProc(own.get(), status)) return false;
  std::string path = linkTarget(ownLink(own.get()));
  if (path.ends_with("/fdinfo")) path.resize(path.size() - strlen("info"));
  const std::string first = std::to_string(AIRR_GATE_TREE_FD);
  if (!path.ends_with("/fd") || stat((path + '/' + first).c_str(), &theirs) != 0 || fstat(opens_->tree().get(), &tree) != 0 ||
      theirs.st_dev != tree.st_dev || theirs.st_ino != tree.st_ino)
    return false;

  constexpr size_t kLength = offsetof(struct dirent64, d_reclen), kName = offsetof(struct dirent64, d_name);
  const off_t before = lseek(own.get(), 0, SEEK_CUR);
  long left = 0;
  for (long n = -1; left == 0 && n != 0;) {
    bytes_.resize(a[2]);
    n = syscall(SYS_getdents64, own.get(), bytes_.data(), a[2]);
    if (n < 0) return false;
    for (long at = 0; at < n;) {
      uint16_t length = 0;
      memcpy(&length, bytes_.data() + at + kLength, sizeof length);
      const std::string_view name = reinterpret_cast<const char*>(bytes_.data() + at + kName);
      unsigned number = 0;
      std::from_chars(name.data(), name.data() + name.size(), number);
      if (!isGateFile(number)) {
        memmove(bytes_.data() + left, bytes_.data() + at, length);
        left += length;
      }
      at += length;
    }
  }
  if (answerBytes(task, a[1], left)) return true;
  lseek(own.get(), before, SEEK_SET);
  return false;
}

// After an open that the mediator made on a local file system: whether the gate may make it from now on. `path`,
// `status`: of what was opened.
void Recording::grantOpen(Task& task, const std::string& path, const struct stat& status) {
  if (!opens_ || !task.process->plain) return;
  if (!policies::isUnder(path, AIRR_GATE_TREE)) {
    if (!grantsNames_ || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) || !mayGrant(path, status) ||
        !opens_->grants.add(path))
      return;
    if (S_ISREG(status.st_mode)) {
      const std::string directory = path.substr(0, path.rfind('/'));
      if (opens_->noteOpened(directory)) grantOthersIn(directory);
    }
    if (isAlone(task) && !task.process->directoryVaries)
      tellPlace(task.space->gate->data().here, AT_FDCWD, resolvePath(task, AT_FDCWD, ""));
  }
  patchSite(task);
}

// A file that a decision may rest on is read where the mediator sees it (noteOpenFile).
bool Recording::mayGrant(const std::string& path, const struct stat& status) const {
  return enforcement_->mayAlwaysRead(path, status) && (!enforcement_->uses(policies::Fact::kHostNames) ||
                                                       facts::HostNames::fileOf(path) == facts::HostNames::File::kNone);
}

// What lies beside files that were opened.
void Recording::grantOthersIn(const std::string& directory) {
  constexpr int kMost = 2048;
  const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(directory.empty() ? "/" : directory.c_str()), closedir);
  if (!list) return;
  struct stat own {};
  if (fstat(dirfd(list.get()), &own) != 0) return;
  int count = 0;
  while (const dirent* entry = readdir(list.get())) {
    if (++count > kMost) return;
    struct stat status {};
    if (entry->d_type != DT_REG || fstatat(dirfd(list.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || status.st_dev != own.st_dev)
      continue;
    const std::string path = directory + '/' + entry->d_name;
    if (mayGrant(path, status)) opens_->grants.add(path);
  }
}

// Who reads what carries a label gets the label. `path`: of what does from now on; empty: everything.
void Recording::takeGrantBack(std::string_view path) {
  if (!path.empty()) return opens_->grants.takeBack(path);
  grantsNames_ = false;
  opens_->grants.takeAllBack();
}

// Where a directory is that the mediator has opened.
void Recording::tellDirectory(Task& task, int fd, std::string_view path) {
  if (opens_ && fd >= 0 && fd < AIRR_GATE_FILES)
    tellPlace(task.space->gate->data().directories[fd % AIRR_GATE_DIRECTORIES], fd, path);
}

void Recording::tellPlace(airr_gate_directory& place, int fd, std::string_view path) {
  place.length = 0;
  if (path.size() < 2 || path.size() > AIRR_GATE_DIRECTORY_SIZE || path[0] != '/') return;
  path.remove_prefix(1);
  memcpy(place.path, path.data(), path.size());
  place.fd = static_cast<uint32_t>(fd);
  place.length = static_cast<uint32_t>(path.size());
}

// Before and after calls by which names come to lead elsewhere. Gates know paths of directories: a directory may get
// another one, or go.
//
// Race: a gate that runs meanwhile may have put a path together already. It takes no word that there is nothing from
// such a path, and what it opens instead is what the path leads to then.
void Recording::beforeNamesChange(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_chdir:
    case SYS_fchdir:
    case SYS_chroot:
    case SYS_unshare:
    case SYS_setns:
      if (task.space->gate) task.space->gate->data().here.length = 0;
      break;
    case SYS_unlinkat:
      if ((a[2] & AT_REMOVEDIR) != 0) forgetPlaces();
      break;
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
      if (exchanges(task.call) || isDirectory(describeName(task, 0))) forgetPlaces();
      break;
    case SYS_rmdir:
    case SYS_mount:
    case SYS_umount2:
    case kMoveMount:
    case SYS_pivot_root:
      forgetPlaces();
      break;
    default: break;
  }
}

// A name that is granted may have become that of something that waits when it is opened, or that is not here.
void Recording::afterNamesChange(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_mknod:
      if (!isPlainMode(a[1])) forgetGrants();
      break;
    case SYS_mknodat:
      if (!isPlainMode(a[2])) forgetGrants();
      break;
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_link:
    case SYS_linkat: {
      struct stat status {};
      const bool found = task.process->plain && lstat(describeName(task, 1).c_str(), &status) == 0;
      const bool directory = !found || S_ISDIR(status.st_mode);
      const bool exchanged = exchanges(task.call);
      if (directory || exchanged) forgetPlaces(), ++renames_;
      if (exchanged || !found || !(isPlainMode(status.st_mode) || directory || S_ISLNK(status.st_mode))) forgetGrants();
      break;
    }
    case SYS_mount:
    case SYS_umount2:
    case kMoveMount:
    case SYS_pivot_root:
      grantsNames_ = false;
      forgetGrants();
      [[fallthrough]];
    default: beforeNamesChange(task);
  }
}

void Recording::forgetGrants() {
  if (opens_) opens_->forget();
}

// Of all directories, their paths.
void Recording::forgetPlaces() {
  for (const auto& [tid, task] : tasks_) {
    task->process->directory.clear();
    if (!task->space || !task->space->gate) continue;
    airr_gate_data& data = task->space->gate->data();
    data.here.length = 0;
    for (airr_gate_directory& directory : data.directories) directory.length = 0;
  }
}

// Its tasks have several working directories, or another process may change it.
void Recording::noteDirectoryVaries(Task& task) {
  task.process->directoryVaries = true;
  if (task.space->gate) task.space->gate->data().here.length = 0;
}

// A name that the gate was to copy is not there: the gate takes it for one that it cannot open, and the call is
// made in the open, where the kernel says so. False: it is another fault.
bool Recording::endNameFault(Task& task, int signal) {
  Registers r = task.tracee.registers();
  if (r.rip < AIRR_GATE_NAMES || r.rip >= AIRR_GATE_NAME_FAULT) return false;
  restoreAction(task, signal);
  r.rip = AIRR_GATE_NAME_FAULT;
  task.tracee.setRegisters(r);
  task.tracee.resume(Resume::kContinue);
  return true;
}

}  // namespace airr
