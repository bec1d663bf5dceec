// Memory for a file that is read whole: not set to anything first, and in large pages where the kernel
// has them, as the first touch of each small page can cost more than what is read into it.
//
// Owns its mapping; for one thread at a time. Throws Error if there is no memory.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "schema/error.h"

namespace airr {

class LargeBuffer {
 public:
  LargeBuffer() = default;
  explicit LargeBuffer(uint64_t size) : size_(size) {
    if (size == 0) return;
    void* const start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) throw systemError("taking " + std::to_string(size) + " bytes of memory");
    madvise(start, size, MADV_HUGEPAGE);
    start_ = static_cast<uint8_t*>(start);
  }
  LargeBuffer(LargeBuffer&& other) noexcept { swap(other); }
  LargeBuffer& operator=(LargeBuffer&& other) noexcept {
    LargeBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~LargeBuffer() {
    if (start_ != nullptr) munmap(start_, size_);
  }
  std::span<uint8_t> bytes() const { return {start_, size_}; }

 private:
  void swap(LargeBuffer& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(size_, other.size_);
  }
  uint8_t* start_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace airr
