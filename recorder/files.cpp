#include "recorder/files.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace airr {

UniqueFd openOwn(int directory, const std::string& path, int flags, mode_t mode) {
  UniqueFd low(::openat(directory, path.c_str(), flags | O_CLOEXEC, mode));
  if (!low) return low;
  UniqueFd own(::fcntl(low.get(), F_DUPFD_CLOEXEC, kFirstOwnFd));
  if (!own) {
    // fcntl(2): EINVAL here means that kFirstOwnFd is not below RLIMIT_NOFILE.
    const int error = errno == EINVAL ? EMFILE : errno;
    low.reset();
    errno = error;
  }
  return own;
}

bool writeWhole(int fd, std::initializer_list<std::span<const uint8_t>> parts) {
  std::array<iovec, 4> vectors;
  size_t count = 0;
  for (auto part : parts) {
    if (!part.empty()) vectors.at(count++) = {const_cast<uint8_t*>(part.data()), part.size()};
  }
  iovec* next = vectors.data();
  while (count > 0) {
    const ssize_t written = ::writev(fd, next, static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    if (written == 0) {  // no progress and no reason: never wait for it in a loop
      errno = EIO;
      return false;
    }
    size_t left = static_cast<size_t>(written);
    while (count > 0 && left >= next->iov_len) {
      left -= next->iov_len;
      ++next;
      --count;
    }
    if (count > 0) {
      next->iov_base = static_cast<uint8_t*>(next->iov_base) + left;
      next->iov_len -= left;
    }
  }
  return true;
}

ssize_t readWhole(int fd, std::span<uint8_t> buffer, uint64_t offset) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n =
        ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

bool makePrivateDirectory(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string prefix = path.substr(0, slash);
    if (::mkdir(prefix.c_str(), 0700) != 0 && errno != EEXIST) {
      // A parent that exists may answer otherwise (EROFS, EACCES); only its absence matters.
      const int error = errno;
      struct stat status;
      if (::stat(prefix.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = error;
        return false;
      }
    }
    if (slash == std::string::npos) return true;
  }
}

std::string pathFromEnvironment(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && value[0] == '/' ? value : "";
}

}  // namespace airr
