// The regular files and directories that a process has open, as descriptors of the mediator's own
// that share the process's open file descriptions (pidfd_getfd(2), Linux 5.6): position included, so
// that the mediator can read for the process.
//
// Ownership: owns the duplicates. One thread. Nothing fails: what cannot be duplicated is kOther.
// The owner must forget a descriptor before the process closes or replaces it: a duplicate keeps a
// description, its locks among them, alive.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "schema/types.h"
#include "schema/unique_fd.h"

namespace airr {

struct OpenFile {
  enum class Kind : uint8_t {
    kRegular,     // on a local file system: reading depends on nothing but the description
    kDirectory,   // the same
    kForeign,     // a regular file elsewhere (procfs, sysfs, FUSE, network): not read from here
    kZeroDevice,  // /dev/zero
    kPipe,        // not duplicated, lest its other end finds it open
    kOther,       // sockets, terminals, …; not duplicated
  };
  Kind kind = Kind::kOther;
  UniqueFd fd;  // for kRegular, kDirectory and kForeign
  uint64_t device = 0, inode = 0;
  std::string path;  // as the process sees it; filled by whoever needs it first
};

// The name in procfs of a task's descriptor, or with AT_FDCWD of its working directory. Its table need not be that of its process's other tasks.
std::string descriptorLink(Tid, int fd);

// Whether a descriptor is on a file system whose reads neither depend on who reads nor wait for
// anybody. `status`: what fstat(2) says of it. The answer for a block device's is remembered:
// the controlling thread only.
bool isOnLocalFileSystem(int fd, const struct stat& status);
// Whether it is on procfs, which means other things to each process; so does an error.
bool isInProc(int fd, const struct stat& status);
// The null device and its kin (drivers/char/mem.c): to open one does nothing, and never waits.
bool isMemoryDevice(const struct stat& status);

class OpenFiles {
 public:
  // Nothing: the process has no such descriptor (errno is EBADF then), or it cannot be duplicated.
  // Valid until the next call of a member.
  OpenFile* find(Tid process, int fd);
  // The process was given a duplicate of `own` as its descriptor `fd`.
  OpenFile& adopt(int fd, UniqueFd own, const struct stat& status);
  // A duplicate of what `find` has none of, for the moment; errno as with find().
  UniqueFd borrow(Tid process, int fd);
  // Only what was found before.
  const OpenFile* known(int fd) const {
    auto found = files_.find(fd);
    return found == files_.end() ? nullptr : found->second.get();
  }
  // The process has made `copy` a duplicate of `fd`.
  void noteDuplicate(int fd, int copy);
  void forget(int fd);
  void forgetRange(unsigned first, unsigned last);
  void forgetAll();

 private:
  OpenFile& enter(int fd, UniqueFd own, const struct stat& status);

  UniqueFd process_;  // pidfd
  std::map<int, std::shared_ptr<OpenFile>> files_;  // one for all numbers that lead to a description
};

}  // namespace airr
