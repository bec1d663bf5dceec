// The gate: code and data that the mediator maps into every tracee, at the same addresses in record
// and replay. In this version it is the replacement vDSO (clock reads without a stop), the scratch
// memory of calls that gave up the baton, and the shim's yield counter.
//
// Plain C layout: shared by the mediator, the gate's freestanding code, and the shim. The tracee
// can write the data; the mediator treats every field as hostile.
#ifndef AIRR_RECORDER_GATE_GATE_H
#define AIRR_RECORDER_GATE_GATE_H

#ifdef __ASSEMBLER__  // also read by the assembler and, through it, the linker scripts
#define AIRR_U64(number) number
#else
#include <stdint.h>
#define AIRR_U64(number) number##ull
#endif

#define AIRR_GATE_VERSION 1
// Text: a complete ELF shared object (linux-vdso.so.1), mapped read-execute.
#define AIRR_GATE_TEXT AIRR_U64(0x70000000)
#define AIRR_GATE_TEXT_SIZE AIRR_U64(0x4000)
// A `syscall; ret` pair lies here. With the filter's exemption it may run clock reads unmediated
// (record only); the mediator also uses it to inject calls. AIRR_GATE_SYSCALL + 2 is the address
// that seccomp sees.
#define AIRR_GATE_SYSCALL (AIRR_GATE_TEXT + AIRR_U64(0x3000))
// A second pair without exemption: every call from here stops. For injection in replay and record.
#define AIRR_GATE_INJECT (AIRR_GATE_TEXT + AIRR_U64(0x3010))
// Where the replayer's stub (stub.lds.S) begins and stays: it makes AIRR_SYSCALL with kind 0
// forever.
#define AIRR_GATE_STUB_ENTRY (AIRR_GATE_TEXT + AIRR_U64(0x3020))
// Data: one struct airr_gate_data, read-write, private.
#define AIRR_GATE_DATA AIRR_U64(0x70010000)
#define AIRR_GATE_DATA_SIZE AIRR_U64(0x8000)
// Scratch: untouched until used, no reserve.
#define AIRR_GATE_SCRATCH AIRR_U64(0x71000000)
#define AIRR_GATE_SCRATCH_SIZE AIRR_U64(0x10000000)
#define AIRR_GATE_END (AIRR_GATE_SCRATCH + AIRR_GATE_SCRATCH_SIZE)

// The shim speaks to the mediator with this syscall number (no Linux syscall has it):
// arguments: kind (AIRR_NOTE_*), pointer to text, length. Without a mediator: ENOSYS.
#define AIRR_SYSCALL 0x4152
#define AIRR_NOTE_RESOLVE 1  // text: "getaddrinfo host service"
#define AIRR_NOTE_LOAD 2     // text: "dlopen path"
#define AIRR_NOTE_SPAWN 3    // text: "execve path", "posix_spawn path", …
#define AIRR_NOTE_THREAD 4   // text: "pthread_create"
#define AIRR_NOTE_RANDOM 5   // text: "std::random_device"
#define AIRR_NOTE_HELLO 6    // text: shim version; its absence is no error
#define AIRR_NOTE_YIELD 7    // hand the baton over; no text

#define AIRR_GATE_RECORD 1
#define AIRR_GATE_REPLAY 2

// Where the fields of struct airr_gate_data are, for the assembler; gate_image.cpp checks them.
#define AIRR_GATE_DATA_MODE 0
#define AIRR_GATE_DATA_POSITION 4
#define AIRR_GATE_DATA_LIMIT 8
#define AIRR_GATE_DATA_HOOK_COUNT 16
#define AIRR_GATE_DATA_YIELD_AT 24
#define AIRR_GATE_DATA_CLOCKS 32

#ifndef __ASSEMBLER__
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
  // count has reached yield_at: an exact, replayable place for a hand-over. UINT64_MAX = never (the
  // mediator sets it when it maps the data); 0 = at the next such call, and at each one after it.
  uint64_t hook_count;
  uint64_t yield_at;
  struct airr_gate_reading clocks[AIRR_GATE_CLOCKS];
};
#endif

#endif
