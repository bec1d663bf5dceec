#include "recorder/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "recorder/system.h"

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
  return writeWhole(System::host(), fd, parts);
}

void replaceFile(int directory, const std::string& name, std::initializer_list<std::span<const uint8_t>> parts) {
  const std::string draft = "new." + std::to_string(::gettid()) + ".small";
  ::unlinkat(directory, draft.c_str(), 0);
  const UniqueFd file = openOwn(directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (file && (!writeWhole(file.get(), parts) ||
               ::renameat(directory, draft.c_str(), directory, name.c_str()) != 0))
    ::unlinkat(directory, draft.c_str(), 0);
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

std::string ownLink(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

std::string linkTarget(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t n = ::readlink(link.c_str(), target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : std::string();
}

std::string pathFromEnvironment(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && value[0] == '/' ? value : "";
}

}  // namespace airr
