// What the trace's writer takes from the kernel: writing to its file, the clock, and randomness.
// Tests put a faulty one in its place.
//
// Ownership: callers borrow a System, which must outlive them. Any thread.
// Failure: as each function says.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <initializer_list>
#include <span>

namespace airr {

class System {
 public:
  virtual ~System() = default;

  // As writev(2), ftruncate(2), fdatasync(2): -1 with errno on failure.
  virtual ssize_t write(int fd, std::span<const iovec> parts);
  virtual int truncate(int fd, uint64_t size);
  virtual int sync(int fd);

  // Nanoseconds of a clock that never goes back, in steps of some milliseconds
  // (CLOCK_MONOTONIC_COARSE, which the vDSO reads without RDTSC).
  virtual int64_t ticks();
  // Nanoseconds since 1970.
  virtual int64_t wallClock();
  // Throws Error (kFailure) when there are no random bytes.
  virtual void randomize(std::span<uint8_t> bytes);

  static System& host();
};

// Writes everything, whatever write() takes at a time. False on failure, with errno set.
bool writeWhole(System& system, int fd, std::initializer_list<std::span<const uint8_t>> parts);

}  // namespace airr
