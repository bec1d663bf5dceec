#include "mediator/open_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <optional>
#include <utility>

namespace airr {
namespace {

constexpr size_t kMost = 64;  // duplicates held for one process
constexpr long kPidfdGetfd = 438;
constexpr long kPidfdOpen = 434;

// Of a file system that lies on no block device (fs/super.c, get_anon_bdev): the number may come to be another's.
bool isAnonymous(dev_t device) { return major(device) == 0; }

// f_type of statfs(2).
std::optional<uint32_t> fileSystemOf(int fd) {
  struct statfs fs {};
  return fstatfs(fd, &fs) == 0 ? std::optional(static_cast<uint32_t>(fs.f_type)) : std::nullopt;
}

bool isLocal(uint32_t type) {
  switch (type) {
    case 0xef53:      // ext2, ext3, ext4
    case 0x58465342:  // xfs
    case 0x9123683e:  // btrfs
    case 0x01021994:  // tmpfs
    case 0x858458f6:  // ramfs
    case 0x794c7630:  // overlayfs
    case 0x73717368:  // squashfs
    case 0xe0f5e1e2:  // erofs
    case 0xf2f52010:  // f2fs
    case 0x2fc12fc1:  // zfs
      return true;
    default: return false;
  }
}

}  // namespace

std::string descriptorLink(Tid tid, int fd) {
  return "/proc/" + std::to_string(raw(tid)) + (fd == AT_FDCWD ? "/cwd" : "/fd/" + std::to_string(fd));
}

bool isOnLocalFileSystem(int fd, const struct stat& status) {
  static std::map<dev_t, bool> ofDevice;
  const bool anonymous = isAnonymous(status.st_dev);
  if (!anonymous)
    if (const auto known = ofDevice.find(status.st_dev); known != ofDevice.end()) return known->second;
  const auto type = fileSystemOf(fd);
  if (!type) return false;
  const bool local = isLocal(*type);
  if (!anonymous) ofDevice[status.st_dev] = local;
  return local;
}

bool isMemoryDevice(const struct stat& status) {
  constexpr unsigned kMemory = 1, kNull = 3, kZero = 5, kFull = 7, kRandom = 8, kUrandom = 9;
  if (!S_ISCHR(status.st_mode) || major(status.st_rdev) != kMemory) return false;
  const unsigned device = minor(status.st_rdev);
  return device == kNull || device == kZero || device == kFull || device == kRandom || device == kUrandom;
}

bool isInProc(int fd, const struct stat& status) {
  constexpr uint32_t kProcMagic = 0x9fa0;  // PROC_SUPER_MAGIC, statfs(2)
  return isAnonymous(status.st_dev) && fileSystemOf(fd).value_or(kProcMagic) == kProcMagic;
}

UniqueFd OpenFiles::borrow(Tid process, int fd) {
  if (!process_) process_.reset(static_cast<int>(syscall(kPidfdOpen, raw(process), 0)));
  return UniqueFd(static_cast<int>(syscall(kPidfdGetfd, process_.get(), fd, 0)));
}

OpenFile* OpenFiles::find(Tid process, int fd) {
  if (fd < 0) {
    errno = EBADF;
    return nullptr;
  }
  if (auto known = files_.find(fd); known != files_.end()) return known->second.get();
  UniqueFd duplicate = borrow(process, fd);
  struct stat s {};
  if (!duplicate || fstat(duplicate.get(), &s) != 0) return nullptr;
  return &enter(fd, std::move(duplicate), s);
}

OpenFile& OpenFiles::adopt(int fd, UniqueFd own, const struct stat& status) {
  return enter(fd, std::move(own), status);
}

OpenFile& OpenFiles::enter(int fd, UniqueFd own, const struct stat& s) {
  if (files_.size() >= kMost) files_.clear();
  const auto entered = std::make_shared<OpenFile>();
  files_[fd] = entered;
  OpenFile& file = *entered;
  file.device = s.st_dev;
  file.inode = s.st_ino;
  if (S_ISCHR(s.st_mode) && s.st_rdev == makedev(1, 5)) {
    file.kind = OpenFile::Kind::kZeroDevice;
  } else if (S_ISFIFO(s.st_mode)) {
    file.kind = OpenFile::Kind::kPipe;
  } else if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) {
    file.kind = !isOnLocalFileSystem(own.get(), s) ? OpenFile::Kind::kForeign
                : S_ISREG(s.st_mode)            ? OpenFile::Kind::kRegular
                                                : OpenFile::Kind::kDirectory;
    if (!S_ISDIR(s.st_mode) || file.kind == OpenFile::Kind::kDirectory)
      file.fd = std::move(own);
    else
      file.kind = OpenFile::Kind::kOther;
  }
  return file;
}

void OpenFiles::noteDuplicate(int fd, int copy) {
  const auto known = files_.find(fd);
  if (known == files_.end()) {
    forget(copy);
  } else {
    files_[copy] = known->second;
  }
}

void OpenFiles::forget(int fd) { files_.erase(fd); }

void OpenFiles::forgetRange(unsigned first, unsigned last) {
  std::erase_if(files_, [&](const auto& entry) {
    const auto fd = static_cast<unsigned>(entry.first);
    return first <= fd && fd <= last;
  });
}

void OpenFiles::forgetAll() {
  files_.clear();
  process_.reset();
}

}  // namespace airr
