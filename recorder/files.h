// The few things that airr does with its own files: descriptors out of the session's way, whole
// reads and writes, private directories.
//
// Stateless; usable from any thread. Failure: as each function says.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "schema/unique_fd.h"

namespace airr {

// The mediator's own descriptors are numbered from here, so that none has a number that the session
// expects to be free, or that a tracee between fork and exec would overwrite.
constexpr int kFirstOwnFd = 512;

// openat(2) with O_CLOEXEC, at a number from kFirstOwnFd. Empty on failure, with errno set.
UniqueFd openOwn(int directory, const std::string& path, int flags, mode_t mode = 0);
inline UniqueFd openOwn(const std::string& path, int flags, mode_t mode = 0) {
  return openOwn(AT_FDCWD, path, flags, mode);
}

// Writes everything, whatever write(2) takes at a time. False on failure, with errno set.
bool writeWhole(int fd, std::initializer_list<std::span<const uint8_t>> parts);

// Puts a small file (0600) in the place of what the directory has by that name, whole or not at all. Other threads may
// do the same.
void replaceFile(int directory, const std::string& name, std::initializer_list<std::span<const uint8_t>> parts);

// Reads until the buffer is full or the file ends; the number of bytes, or -1 with errno set.
ssize_t readWhole(int fd, std::span<uint8_t> buffer, uint64_t offset);

// Creates the directory and what is missing of its parents, each 0700. False with errno set.
bool makePrivateDirectory(const std::string& path);

// The name of a descriptor of this process, by which what it stands for is reached again (proc_pid_fd(5)).
std::string ownLink(int fd);
// What a symbolic link says; empty if there is none.
std::string linkTarget(const std::string& link);

// $VARIABLE, or empty when it is unset. A relative path counts as unset (XDG Base Directory
// specification).
std::string pathFromEnvironment(const char* variable);

}  // namespace airr
