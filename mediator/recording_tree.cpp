// The tree of system files that the gate opens by itself (docs/gate.md): its descriptor, which stays what it is
// whatever the session's programs do, and what the gate is told.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "mediator/recording.h"
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

// Before a call that would close or replace the tree's descriptor, or have an exec close it. True: it is answered;
// to the program there is no such descriptor.
bool Recording::keepsTree(Task& task) {
  if (!tree_) return false;
  const uint64_t* a = task.call.arguments;
  const auto isTree = [](uint64_t fd) { return static_cast<uint32_t>(fd) == AIRR_GATE_TREE_FD; };
  bool touched = false;
  switch (task.call.number) {
    case SYS_close:
      touched = isTree(a[0]);
      break;
    case SYS_dup2:
    case SYS_dup3:
      touched = isTree(a[1]);
      break;
    case SYS_fcntl:
      touched = isTree(a[0]) && static_cast<uint32_t>(a[1]) == F_SETFD;
      break;
    case SYS_ioctl:
      touched = isTree(a[0]) && (static_cast<uint32_t>(a[1]) == FIOCLEX || static_cast<uint32_t>(a[1]) == FIONCLEX);
      break;
    case SYS_close_range: {
      const auto first = static_cast<uint32_t>(a[0]), last = static_cast<uint32_t>(a[1]);
      if (first > AIRR_GATE_TREE_FD || last < AIRR_GATE_TREE_FD) return false;
      closeAround(task, first, last);
      return true;
    }
    default:
      break;
  }
  if (touched) refuse(task, EBADF, "the gate's own descriptor");
  return touched;
}

void Recording::closeAround(Task& task, uint32_t first, uint32_t last) {
  if (task.tracee.isNotified()) {
    task.tracee.stopAtCall({AIRR_GATE_INJECT});
    task.entry = task.tracee.callInfo();
  }
  int64_t result = 0;
  const auto close = [&](uint32_t from, uint32_t to) {
    if (result == 0 && from <= to)
      result = task.tracee.inject({AIRR_GATE_INJECT}, SYS_close_range, {from, to, task.call.arguments[2]});
  };
  if (first < AIRR_GATE_TREE_FD) close(first, AIRR_GATE_TREE_FD - 1);
  close(AIRR_GATE_TREE_FD + 1, last);
  answerWith(task, result);
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
