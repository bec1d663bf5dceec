// How many bytes the pointers of one call cover: what regions.cpp and redirect.cpp share.
//
// Pure but for reads through MemoryReader. Every count comes from a hostile program: results are
// saturated, never wrapped, and are to be bounded before use.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "mediator/syscalls/model.h"
#include "mediator/syscalls/operations.h"

namespace airr::syscalls {

// A call with its arguments as its operation has them.
class CallView {
 public:
  CallView(const Syscall& syscall, const Call& call)
      : call_(call), arguments_(argumentsOf(syscall, call, storage_)) {}
  CallView(const CallView&) = delete;
  CallView& operator=(const CallView&) = delete;

  const Call& call() const { return call_; }
  std::span<const Argument> arguments() const { return arguments_; }
  // Where argument `index` points to, nothing if it is unused, null, or no pointer to memory.
  Address target(size_t index) const;
  // The value of an argument that counts; negative counts are 0.
  uint64_t count(uint8_t index) const;

 private:
  const Call& call_;
  Argument storage_[6];
  std::span<const Argument> arguments_;
};

bool isInput(const Argument&);
bool isOutput(const Argument&);
bool isWritten(const Argument&, int64_t result);

// The room that the program gave at argument `index`. Only for sizes that say it without reading
// memory (0 for the others); kValueResult takes it from `lengths`.
uint64_t capacity(const CallView&, size_t index, const Lengths& lengths);
// How much of it the call has written; reads the new length of kValueResult.
uint64_t writtenBytes(const CallView&, size_t index, int64_t result, const Lengths& lengths,
                      MemoryReader&);

// At most kMaxVectors of them; false if there are more (the kernel answers EINVAL) or some cannot
// be read (EFAULT).
bool readVectors(Address from, uint64_t count, iovec (&to)[kMaxVectors], MemoryReader&);

template <typename T>
bool readValue(MemoryReader& memory, Address from, T& to) {
  return memory.read(from, &to, sizeof to);
}

inline Address addressOf(const void* pointer) { return {reinterpret_cast<uint64_t>(pointer)}; }
inline void* pointerTo(Address address) { return reinterpret_cast<void*>(address.value); }

}  // namespace airr::syscalls
