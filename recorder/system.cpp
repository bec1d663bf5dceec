#include "recorder/system.h"

#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "schema/error.h"

namespace airr {
namespace {

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

ssize_t System::write(int fd, std::span<const iovec> parts) {
  return ::writev(fd, parts.data(), static_cast<int>(parts.size()));
}

int System::truncate(int fd, uint64_t size) { return ::ftruncate(fd, static_cast<off_t>(size)); }

int System::sync(int fd) { return ::fdatasync(fd); }

int64_t System::ticks() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return nanoseconds(now);
}

int64_t System::wallClock() {
  timespec now{};
  // Not through the vDSO: the calling thread may have RDTSC trapped (mediator/own_time.h).
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

void System::randomize(std::span<uint8_t> bytes) {
  // Up to 256 bytes come whole (getrandom(2)).
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min<size_t>(bytes.size(), 256));
    const ssize_t n = ::getrandom(piece.data(), piece.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != static_cast<ssize_t>(piece.size())) throw systemError("cannot get random bytes");
    bytes = bytes.subspan(piece.size());
  }
}

System& System::host() {
  static System system;
  return system;
}

bool writeWhole(System& system, int fd, std::initializer_list<std::span<const uint8_t>> parts) {
  std::array<iovec, 4> vectors;
  size_t count = 0;
  for (auto part : parts) {
    if (!part.empty()) vectors.at(count++) = {const_cast<uint8_t*>(part.data()), part.size()};
  }
  iovec* next = vectors.data();
  while (count > 0) {
    const ssize_t written = system.write(fd, {next, count});
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

}  // namespace airr
