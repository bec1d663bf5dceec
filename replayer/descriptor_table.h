// The descriptors of a recorded process, as far as they matter for the files that it writes.
//
// Values shared by the tasks that share them in the kernel. Not thread-safe, nothing fails.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "replayer/file_tree.h"

namespace airr {

// An open file description: shared by dup, fork and SCM_RIGHTS, with its position.
struct FileDescription {
  std::string path;                // as it was when opened
  std::shared_ptr<FileNode> node;  // none for what is not materialised: devices, sockets, old files
  uint64_t position = 0;
  bool writable = false;
  bool append = false;
};

struct DescriptorTable {
  struct Slot {
    std::shared_ptr<FileDescription> file;
    bool closeOnExec = false;
  };
  std::map<int, Slot> slots;

  std::shared_ptr<FileDescription> find(int fd) const {
    auto found = slots.find(fd);
    return found == slots.end() ? nullptr : found->second.file;
  }
  // A null file says that `fd` is open on something that is not followed.
  void set(int fd, std::shared_ptr<FileDescription> file, bool closeOnExec) {
    if (file) {
      slots[fd] = {std::move(file), closeOnExec};
    } else {
      slots.erase(fd);
    }
  }
};

// What CLONE_FS shares.
struct FileSystemContext {
  std::string directory;
  uint32_t mask = 022;
};

}  // namespace airr
