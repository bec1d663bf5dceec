// A call straight to the kernel, without libc: for code that shares its memory, and so libc's errno, with a thread that
// does not know of it. Async-signal-safe, any thread. Failures come as -errno.
#pragma once

namespace airr {

// x86-64 (syscall(2), "Architecture calling conventions").
inline long rawCall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return result;
}

template <class T>
long asArgument(const T* pointer) {
  return reinterpret_cast<long>(pointer);
}

}  // namespace airr
