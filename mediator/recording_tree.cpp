// The tree of system files that the gate opens by itself (docs/gate.md): its descriptor, which stays what it is
// whatever the session's programs do, and what the gate is told.
#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// A fresh image has what its process had.
void Recording::checkTree(Task& task) {
  if (!tree_ || syscall(SYS_kcmp, getpid(), raw(task.tracee.tid()), KCMP_FILE, tree_.get(), AIRR_GATE_TREE_FD) == 0) return;
  throw Error(ExitCode::kFailure,
              "process " + std::to_string(raw(task.process->pid)) + " has not got " AIRR_GATE_TREE " as descriptor " +
                  std::to_string(AIRR_GATE_TREE_FD) + ", by which its gate opens files",
              "the session ends here; its trace up to this point is whole");
}

// Before a call on the tree's descriptor, or one that would close it among others. True: it is answered; to the
// program there is no such descriptor.
bool Recording::keepsTree(Task& task) {
  if (!tree_) return false;
  const uint64_t* a = task.call.arguments;
  if (task.call.number == SYS_close_range) {
    const auto first = static_cast<uint32_t>(a[0]), last = static_cast<uint32_t>(a[1]);
    if (first > AIRR_GATE_TREE_FD || last < AIRR_GATE_TREE_FD) return false;
    closeAround(task, first, last);
    return true;
  }
  for (int i = 0; i < 6; ++i) {
    if (static_cast<uint32_t>(a[i]) != AIRR_GATE_TREE_FD) continue;
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
  if (first < AIRR_GATE_TREE_FD) close(first, AIRR_GATE_TREE_FD - 1);
  close(AIRR_GATE_TREE_FD + 1, last);
  answerWith(task, result);
}

// A list of descriptors in /proc (fd, fdinfo) of one who has the tree's: that is not the program's. False: it is
// no such list.
bool Recording::listWithoutTree(Task& task) {
  if (!tree_) return false;
  const uint64_t* a = task.call.arguments;
  const UniqueFd own = task.process->files.borrow(task.process->pid, static_cast<int>(a[0]));
  struct stat status {}, theirs {}, tree {};
  if (!own || fstat(own.get(), &status) != 0 || !S_ISDIR(status.st_mode) || !isInProc(own.get(), status)) return false;
  std::string path = linkTarget(ownLink(own.get()));
  if (path.ends_with("/fdinfo")) path.resize(path.size() - strlen("info"));
  const std::string name = std::to_string(AIRR_GATE_TREE_FD);
  if (!path.ends_with("/fd") || stat((path + '/' + name).c_str(), &theirs) != 0 || fstat(tree_.get(), &tree) != 0 ||
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
      if (reinterpret_cast<const char*>(bytes_.data() + at + kName) != name) {
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

// Of an open for reading.
void Recording::patchOpenSite(Task& task, std::string_view path) {
  if (tree_ && policies::isUnder(path, AIRR_GATE_TREE)) patchSite(task);
}

// Where in the tree a directory is that the mediator has opened; if it is in there.
void Recording::tellDirectory(Task& task, int fd, std::string_view path) {
  constexpr std::string_view kTree = AIRR_GATE_TREE "/";
  if (fd < 0 || fd >= AIRR_GATE_FILES) return;
  airr_gate_directory& directory = task.space->gate->data().directories[fd % AIRR_GATE_DIRECTORIES];
  directory.length = 0;
  if (!path.starts_with(kTree)) return;
  path.remove_prefix(kTree.size());
  if (path.size() >= AIRR_GATE_DIRECTORY_SIZE) return;
  memcpy(directory.path, path.data(), path.size());
  directory.fd = static_cast<uint32_t>(fd);
  directory.length = static_cast<uint32_t>(path.size());
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
