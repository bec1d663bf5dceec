// The gate: code and data that the mediator maps into every tracee, at the same addresses in record
// and replay. In this version it is the replacement vDSO (clock reads without a stop), the scratch
// memory of calls that gave up the baton, and the shim's yield counter.
//
// Plain C layout: shared by the mediator, the gate's freestanding code, and the shim. The tracee can
// write the data; the mediator treats every field as hostile.
#ifndef AIRR_RECORDER_GATE_GATE_H
#define AIRR_RECORDER_GATE_GATE_H

#include <stdint.h>

#define AIRR_GATE_VERSION 1
// Text: a complete ELF shared object (linux-vdso.so.1), mapped read-execute.
#define AIRR_GATE_TEXT 0x70000000ull
#define AIRR_GATE_TEXT_SIZE 0x4000ull
// A `syscall; ret` pair lies here. With the filter's exemption it may run clock reads unmediated
// (record only); the mediator also uses it to inject calls. AIRR_GATE_SYSCALL + 2 is the address
// that seccomp sees.
#define AIRR_GATE_SYSCALL (AIRR_GATE_TEXT + 0x3000ull)
// A second pair without exemption: every call from here stops. For injection in replay and record.
#define AIRR_GATE_INJECT (AIRR_GATE_TEXT + 0x3010ull)
// Data: one struct airr_gate_data, read-write, private.
#define AIRR_GATE_DATA 0x70010000ull
#define AIRR_GATE_DATA_SIZE 0x8000ull
// Scratch: untouched until used, no reserve.
#define AIRR_GATE_SCRATCH 0x71000000ull
#define AIRR_GATE_SCRATCH_SIZE 0x10000000ull
#define AIRR_GATE_END (AIRR_GATE_SCRATCH + AIRR_GATE_SCRATCH_SIZE)

// The shim speaks to the mediator with this syscall number (no Linux syscall has it):
// arguments: kind (AIRR_NOTE_*), pointer to text, length. Without a mediator: ENOSYS.
#define AIRR_SYSCALL 0x4152
#define AIRR_NOTE_RESOLVE 1   // text: "getaddrinfo host service"
#define AIRR_NOTE_LOAD 2      // text: "dlopen path"
#define AIRR_NOTE_SPAWN 3     // text: "execve path", "posix_spawn path", …
#define AIRR_NOTE_THREAD 4    // text: "pthread_create"
#define AIRR_NOTE_RANDOM 5    // text: "std::random_device"
#define AIRR_NOTE_HELLO 6     // text: shim version; its absence is no error
#define AIRR_NOTE_YIELD 7     // hand the baton over; no text

enum { AIRR_GATE_RECORD = 1, AIRR_GATE_REPLAY = 2 };

struct airr_gate_reading {
  int64_t seconds;
  int64_t nanoseconds;
};

#define AIRR_GATE_CLOCKS 1800
struct airr_gate_data {
  uint32_t mode;      // AIRR_GATE_RECORD or AIRR_GATE_REPLAY
  uint32_t position;  // record: readings in the log; replay: readings taken
  uint32_t limit;     // record: AIRR_GATE_CLOCKS; replay: readings supplied
  uint32_t reserved;
  // Every hooked synchronisation call of the shim adds one, and makes AIRR_NOTE_YIELD when the
  // count reaches yield_at: an exact, replayable place for a hand-over. UINT64_MAX = never.
  uint64_t hook_count;
  uint64_t yield_at;
  struct airr_gate_reading clocks[AIRR_GATE_CLOCKS];
};

#endif
