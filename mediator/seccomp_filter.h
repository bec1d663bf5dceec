// The seccomp filter of every tracee: each call stops at the mediator. It is the same in record and
// replay, but for the gate's exemption.
//
// install() runs in the child between fork and exec: async-signal-safe, allocates nothing, returns
// 0 or -errno.
#pragma once

#include <cstdint>

namespace airr {

// SECCOMP_RET_DATA of the stop: which table the call came from.
enum class FilterData : uint16_t { kNative = 0, kForeignTable = 1, kX32 = 2 };

enum class Exemption { kNone, kGateClock };

// Sets NO_NEW_PRIVS, traps RDTSC, and installs the filter. Needs a tracer to be attached for any
// later call to run: without one the kernel answers ENOSYS (seccomp(2), SECCOMP_RET_TRACE).
int installFilter(Exemption);

}  // namespace airr
