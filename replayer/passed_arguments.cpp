#include "replayer/passed_arguments.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace airr {
namespace {

constexpr size_t kMaxPath = 4096;
constexpr size_t kMaxControl = 64 << 10;

constexpr int kNone = kNoArgument;
constexpr PathArguments kPathArguments[] = {
    {SYS_rename, {kNone, kNone}, {0, 1}},
    {SYS_renameat, {0, 2}, {1, 3}},
    {SYS_renameat2, {0, 2}, {1, 3}},
    {SYS_link, {kNone, kNone}, {0, 1}},
    {SYS_linkat, {0, 2}, {1, 3}},
    {SYS_symlink, {kNone, kNone}, {0, 1}},
    {SYS_symlinkat, {kNone, 1}, {0, 2}},
    {SYS_unlink, {kNone, kNone}, {0, kNone}},
    {SYS_unlinkat, {0, kNone}, {1, kNone}},
    {SYS_rmdir, {kNone, kNone}, {0, kNone}},
    {SYS_mkdir, {kNone, kNone}, {0, kNone}},
    {SYS_mkdirat, {0, kNone}, {1, kNone}},
    {SYS_mknod, {kNone, kNone}, {0, kNone}},
    {SYS_mknodat, {0, kNone}, {1, kNone}},
    {SYS_chmod, {kNone, kNone}, {0, kNone}},
    {SYS_fchmodat, {0, kNone}, {1, kNone}},
    {syscalls::kFchmodat2, {0, kNone}, {1, kNone}},
    {SYS_truncate, {kNone, kNone}, {0, kNone}},
    {SYS_chdir, {kNone, kNone}, {0, kNone}},
};

std::string readString(syscalls::MemoryReader& memory, uint64_t address) {
  std::string text;
  char buffer[256];
  while (address != 0 && text.size() < kMaxPath) {
    // Never across a page: the next one may not be there.
    uint64_t size = std::min<uint64_t>(sizeof buffer, pageFloor(address) + kPageSize - address);
    if (!memory.read({address}, buffer, size)) break;
    size_t length = strnlen(buffer, size);
    text.append(buffer, length);
    if (length < size) return text;
    address += size;
  }
  return {};
}

// Up to `limit` bytes of what the vectors describe.
std::vector<uint8_t> readVectors(syscalls::MemoryReader& memory, const std::vector<iovec>& vectors,
                                 uint64_t limit) {
  constexpr uint64_t kChunk = 1 << 20;
  std::vector<uint8_t> bytes;
  for (const iovec& vector : vectors) {
    uint64_t from = reinterpret_cast<uint64_t>(vector.iov_base);
    uint64_t left = std::min<uint64_t>(vector.iov_len, limit - bytes.size());
    while (left > 0) {
      uint64_t size = std::min(left, kChunk);
      size_t old = bytes.size();
      bytes.resize(old + size);
      if (!memory.read({from}, bytes.data() + old, size)) {
        bytes.resize(old);
        return bytes;
      }
      from += size;
      left -= size;
    }
  }
  return bytes;
}

std::vector<uint8_t> readWritten(const syscalls::Call& call, uint64_t limit,
                                 syscalls::MemoryReader& memory) {
  const uint64_t* a = call.arguments;
  switch (call.number) {
    case SYS_write:
    case SYS_pwrite64:
      return readVectors(memory, {{reinterpret_cast<void*>(a[1]), a[2]}}, limit);
    case SYS_writev:
    case SYS_pwritev:
    case SYS_pwritev2: {
      std::vector<iovec> vectors(std::min(a[2], syscalls::kMaxVectors));
      if (!memory.read({a[1]}, vectors.data(), vectors.size() * sizeof(iovec))) return {};
      return readVectors(memory, vectors, limit);
    }
    default:
      return {};
  }
}

void readOpen(const syscalls::Call& call, syscalls::MemoryReader& memory, PassedArguments& to) {
  const uint64_t* a = call.arguments;
  switch (call.number) {
    case SYS_open:
      to.flags = a[1];
      to.mode = a[2];
      break;
    case SYS_creat:
      to.flags = O_CREAT | O_WRONLY | O_TRUNC;
      to.mode = a[1];
      break;
    case SYS_openat:
      to.flags = a[2];
      to.mode = a[3];
      break;
    case SYS_openat2: {
      open_how how{};
      if (!memory.read({a[2]}, &how, sizeof how)) break;
      to.flags = how.flags;
      to.mode = how.mode;
      break;
    }
    default:
      break;
  }
}

void readMessage(const syscalls::Call& call, const DescriptorTable& table,
                 syscalls::MemoryReader& memory, PassedArguments& to) {
  msghdr message{};
  if (!memory.read({call.arguments[1]}, &message, sizeof message)) return;
  to.control = reinterpret_cast<uint64_t>(message.msg_control);
  if (call.number != SYS_sendmsg || message.msg_controllen > kMaxControl) return;
  std::vector<uint8_t> control(message.msg_controllen);
  if (control.empty() || !memory.read({to.control}, control.data(), control.size())) return;
  for (int fd : passedDescriptors(control)) to.descriptors.push_back(table.find(fd));
}

}  // namespace

const PathArguments* pathArgumentsOf(uint64_t number) {
  auto row = std::find_if(std::begin(kPathArguments), std::end(kPathArguments),
                          [&](auto& each) { return static_cast<uint64_t>(each.number) == number; });
  return row == std::end(kPathArguments) ? nullptr : row;
}

PassedArguments readPassed(const syscalls::Call& call, const DescriptorTable& table,
                           uint64_t dataLimit, syscalls::MemoryReader& memory) {
  PassedArguments passed;
  if (const PathArguments* row = pathArgumentsOf(call.number)) {
    for (int i = 0; i < 2; ++i) {
      if (row->path[i] == kNone) continue;
      passed.paths[i] = readString(memory, call.arguments[row->path[i]]);
    }
  }
  auto file = table.find(static_cast<int>(call.arguments[0]));
  if (file && file->node) passed.data = readWritten(call, dataLimit, memory);
  readOpen(call, memory, passed);
  if (call.number == SYS_sendmsg || call.number == SYS_recvmsg) {
    readMessage(call, table, memory, passed);
  }
  return passed;
}

std::vector<int> passedDescriptors(const std::vector<uint8_t>& control) {
  std::vector<int> all;
  for (size_t at = 0; at + sizeof(cmsghdr) <= control.size();) {
    cmsghdr header;
    std::memcpy(&header, control.data() + at, sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size() - at) break;
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS) {
      for (size_t i = CMSG_LEN(0); i + sizeof(int) <= header.cmsg_len; i += sizeof(int)) {
        int fd;
        std::memcpy(&fd, control.data() + at + i, sizeof fd);
        all.push_back(fd);
      }
    }
    at += CMSG_ALIGN(header.cmsg_len);
  }
  return all;
}

}  // namespace airr
