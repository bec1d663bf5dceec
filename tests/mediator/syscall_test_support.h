// What the tests of the syscall model share: this process' own memory as a tracee's, and calls.
#pragma once

#include <asm/unistd_64.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <type_traits>

#include "mediator/syscalls/model.h"

namespace airr::syscalls {

// This process' own memory, read as a tracee's is: bad addresses fail.
class OwnMemory : public MemoryAccess {
 public:
  bool read(Address from, void* to, uint64_t size) override {
    ++reads;
    const iovec local{to, size};
    const iovec remote{reinterpret_cast<void*>(from.value), size};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
  }
  bool write(Address to, const void* from, uint64_t size) override {
    const iovec local{const_cast<void*>(from), size};
    const iovec remote{reinterpret_cast<void*>(to.value), size};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
  }

  int reads = 0;
};

class Mapping {
 public:
  explicit Mapping(uint64_t size)
      : size_(size),
        start_(mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  Mapping(const Mapping&) = delete;
  ~Mapping() { munmap(start_, size_); }
  char* data() const { return static_cast<char*>(start_); }
  Address address() const { return {reinterpret_cast<uint64_t>(start_)}; }
  uint64_t size() const { return size_; }
  bool contains(uint64_t address) const {
    return address >= this->address().value && address < this->address().value + size_;
  }

 private:
  uint64_t size_;
  void* start_;
};

template <typename T>
uint64_t bits(T value) {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<uint64_t>(value);
  } else {
    return static_cast<uint64_t>(value);
  }
}

template <typename... T>
Call makeCall(uint64_t number, T... arguments) {
  return {number, {bits(arguments)...}};
}

inline int64_t run(const Call& call) {
  const uint64_t* a = call.arguments;
  const long result = syscall(static_cast<long>(call.number), a[0], a[1], a[2], a[3], a[4], a[5]);
  return result == -1 ? -errno : result;
}

inline const Syscall& rowOf(const Call& call) { return *find(call.number); }

}  // namespace airr::syscalls
