// Time for the mediator and the replayer, which must not execute RDTSC either.
//
// A task that may not execute RDTSC differs from one that may in CR4.TSD, and the kernel rewrites CR4
// at each switch between the two. Under a hypervisor that intercepts the write this is most of the
// cost of a stop: 14.7 µs against 6.4 µs on one core of a KVM guest (Linux 6.18, AMD). So the
// controlling thread traps RDTSC for itself too, and takes the time by syscall.
//
// trapOwnCounter() once, from the controlling thread, before it starts others; the rest from any
// thread afterwards. Throws Error if the kernel refuses.
#pragma once

#include <chrono>
#include <cstdint>

namespace airr {

using SteadyTime = std::chrono::steady_clock::time_point;

// From here on RDTSC faults in this thread; code that executes it all the same (a library reading
// the clock through the vDSO) is served by a SIGSEGV handler, slowly. Says whether it does fault:
// under some hypervisors (PVM, which runs the guest's kernel unprivileged) prctl(2) succeeds and has
// no effect.
bool trapOwnCounter();

// CLOCK_MONOTONIC, not through the vDSO where RDTSC faults.
SteadyTime steadyNow();
// What RDTSC would give about now, from CLOCK_MONOTONIC_RAW and a rate measured at the first call (which takes 2 ms if it
// comes within 2 ms of trapOwnCounter()). Controlling thread only.
uint64_t counterNow();

}  // namespace airr
