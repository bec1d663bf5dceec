// The gate: code and data that the mediator maps into every tracee, at the same addresses in record
// and replay. It is the replacement vDSO (clock reads without a stop), the way of calls from
// patched sites (calls on what was granted before, without a stop), the scratch memory of calls
// that gave up the baton, and the shim's yield counter.
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

#define AIRR_GATE_VERSION 8
// Text: a complete ELF shared object (linux-vdso.so.1), mapped read-execute.
#define AIRR_GATE_TEXT AIRR_U64(0x70000000)
#define AIRR_GATE_TEXT_SIZE AIRR_U64(0x9000)
// A `syscall; ret` pair lies here. With the filter's exemption it may run clock reads unmediated
// (record only). AIRR_GATE_SYSCALL + 2 is the address that seccomp sees.
#define AIRR_GATE_SYSCALL (AIRR_GATE_TEXT + AIRR_U64(0x4000))
// A loop round one `syscall` without exemption, which stops: calls are injected here (mediator/injection.h). Before each
// but the first, %rbx has the result of the last, and the number is AIRR_SYSCALL.
#define AIRR_GATE_INJECT (AIRR_GATE_TEXT + AIRR_U64(0x4010))
// Where the replayer's stub (stub.lds.S) begins and stays: it makes AIRR_SYSCALL with kind 0
// forever.
#define AIRR_GATE_STUB_ENTRY (AIRR_GATE_TEXT + AIRR_U64(0x4020))
// A name for the file that the data is in while recording.
#define AIRR_GATE_FILE_NAME (AIRR_GATE_TEXT + AIRR_U64(0x4030))
// Where trampolines of patched sites jump to.
#define AIRR_GATE_CALL (AIRR_GATE_TEXT + AIRR_U64(0x4040))
// The same for sites of RDTSC.
#define AIRR_GATE_COUNTER (AIRR_GATE_TEXT + AIRR_U64(0x4100))
// Copies a name of the program's: what it faults on is not there (mediator/recording_tree.cpp, endNameFault).
#define AIRR_GATE_NAMES (AIRR_GATE_TEXT + AIRR_U64(0x4200))
#define AIRR_GATE_NAME_FAULT (AIRR_GATE_TEXT + AIRR_U64(0x4280))
// `syscall` without exemption, then the registers from the log's first words (gate_memory.h): what a task goes through
// that gets memory of its own for the gate's data.
#define AIRR_GATE_ENTER (AIRR_GATE_TEXT + AIRR_U64(0x4300))
// What openat2(2) is told, out of the program's reach: one struct open_how, and 8 bytes of padding, for each
// combination of the flags that are in gate.S; first those of the tree, then those of granted names.
#define AIRR_GATE_HOWS (AIRR_GATE_TEXT + AIRR_U64(0x4400))
#define AIRR_GATE_HOW_SIZE 24
#define AIRR_GATE_HOW_STRIDE 32
#define AIRR_GATE_HOW_COUNT 32
#define AIRR_GATE_GRANTED_HOWS (AIRR_GATE_HOWS + AIRR_GATE_HOW_COUNT * AIRR_GATE_HOW_STRIDE)
// One trampoline for each patched site (mediator/gate_patch.h), written when the site is patched.
#define AIRR_GATE_TRAMPOLINES (AIRR_GATE_TEXT + AIRR_U64(0x5000))
#define AIRR_GATE_TRAMPOLINE_SIZE 64
#define AIRR_GATE_TRAMPOLINE_COUNT 256
// Data: one struct airr_gate_data, read-write; shared with the mediator while recording, else private.
#define AIRR_GATE_DATA AIRR_U64(0x70010000)
#define AIRR_GATE_DATA_SIZE AIRR_U64(0x30000)
// Names that every task may open for reading (mediator/open_grants.h), read-only: a table of their numbers, then the
// names. Where there are none, nothing but zeros.
#define AIRR_GATE_GRANTS (AIRR_GATE_GRANTED_NAMES - AIRR_GATE_GRANT_SLOTS * AIRR_U64(4))
#define AIRR_GATE_GRANT_SLOTS AIRR_U64(32768)
#define AIRR_GATE_GRANTED_NAMES AIRR_U64(0x70400000)
#define AIRR_GATE_GRANTED_NAMES_SIZE AIRR_U64(0x400000)
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
#define AIRR_NOTE_SIZE 1024  // of a text, at most

// What the log calls a reading of the processor's counter. No Linux syscall has this number.
#define AIRR_GATE_RDTSC 0x4153

#define AIRR_GATE_RECORD 1
#define AIRR_GATE_REPLAY 2

// Where the fields of struct airr_gate_data are, for the assembler; gate_image.cpp checks them.
#define AIRR_GATE_DATA_MODE 0
#define AIRR_GATE_DATA_POSITION 4
#define AIRR_GATE_DATA_LIMIT 8
#define AIRR_GATE_DATA_HOOK_COUNT 16
#define AIRR_GATE_DATA_YIELD_AT 24
#define AIRR_GATE_DATA_CALL_STACK 40
#define AIRR_GATE_DATA_CALL_RESUME 48
#define AIRR_GATE_DATA_CALL_PLAIN 56
#define AIRR_GATE_DATA_KERNEL_CLOCK 64
#define AIRR_GATE_DATA_STACK_END 2048
#define AIRR_GATE_DATA_CLOCKS 133120
// Where the return address is while the kernel's vDSO reads the clock.
#define AIRR_GATE_DATA_CLOCK_RETURN (AIRR_GATE_DATA_STACK_END - 56)

#define AIRR_GATE_FILES 1024
// The descriptors that each process of a session has whose gate opens files; not the program's to use, close or
// replace. Above what is known of descriptors, and so of no use for the gate's other calls.
#define AIRR_GATE_OWN_FDS 1024
#define AIRR_GATE_TREE_FD 1024    // of AIRR_GATE_TREE
#define AIRR_GATE_ROOT_FD 1025    // of the root directory
#define AIRR_GATE_GRANTS_FD 1026  // of the granted names
#define AIRR_GATE_OWN_FDS_END 1027
#define AIRR_GATE_TREE "/usr"
#define AIRR_GATE_LOG_SIZE 131072
#define AIRR_GATE_CLOCKS 1800

#ifndef __ASSEMBLER__
struct airr_gate_reading {
  int64_t seconds;
  int64_t nanoseconds;
};

// What is known of a descriptor.
#define AIRR_GATE_FILE_READ 1       // reading from it neither waits nor depends on who reads
#define AIRR_GATE_FILE_DIRECTORY 2  // a directory that can be listed, and whose path is known
#define AIRR_GATE_FILE_STOP 4       // closing it is for the mediator
#define AIRR_GATE_FILE_PIPE 8       // reading can wait

// What depends on the session and the program.
#define AIRR_GATE_MAY_PROTECT 1  // mprotect
#define AIRR_GATE_MAY_LOOK_UP 2  // stat and its kin, of any name
#define AIRR_GATE_MAY_USE_FILES 4  // what is known of descriptors: one process alone has the memory and them
#define AIRR_GATE_MAY_OPEN 8  // for reading, what is in AIRR_GATE_TREE
#define AIRR_GATE_MAY_WAIT 16  // nobody else needs the turn
#define AIRR_GATE_MAY_WAKE 32  // who waits on a futex: nobody was woken in vain so often that a wake ends the turn
#define AIRR_GATE_MAY_MERGE 64  // take /lib and /lib64 for what they lead to in AIRR_GATE_TREE
#define AIRR_GATE_NAME_SIZE 256  // of a name that is looked up, with its NUL, at most
#define AIRR_GATE_DIRECTORIES 64
#define AIRR_GATE_DIRECTORY_SIZE 240  // of its path, with its NUL

// A directory, at the place of its descriptor modulo AIRR_GATE_DIRECTORIES. Paths begin behind the root's "/".
struct airr_gate_directory {
  uint32_t fd;
  uint32_t length;  // of its path, without the NUL; 0: none
  char path[AIRR_GATE_DIRECTORY_SIZE];
};
// Rounded up to whole words, which are compared.
#define AIRR_GATE_PATH_SIZE (AIRR_GATE_DIRECTORY_SIZE + AIRR_GATE_NAME_SIZE)

// Where a granted name's number, from 1 on, is looked for first in the table, and then behind it, cyclically, until
// there is a 0. Of a name's words, the last padded with zeros.
static inline uint32_t airr_gate_slot(const uint64_t* words, uint32_t count) {
  uint64_t hash = count;
  for (uint32_t i = 0; i < count; ++i) {
    hash = (hash ^ words[i]) * AIRR_U64(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
  }
  return (uint32_t)hash % AIRR_GATE_GRANT_SLOTS;
}

// The log has one of these for each call, then what the call read of the caller's memory, then what
// it wrote, each rounded up to 8 bytes.
struct airr_gate_entry {
  uint32_t number;
  uint32_t clocks;   // readings of the clock log that were taken before
  uint32_t in, out;  // bytes that follow
  int64_t result;
  uint64_t arguments[6];
  uint64_t resume, stack;  // where the caller went on: rip and rsp
};

struct airr_gate_data {
  uint32_t mode;      // AIRR_GATE_RECORD or AIRR_GATE_REPLAY
  uint32_t position;  // record: readings in the log; replay: readings taken
  uint32_t limit;     // record: AIRR_GATE_CLOCKS; replay: readings supplied
  uint32_t log_used;  // record: bytes of calls in the log; replay: bytes taken
  // Every hooked synchronisation call of the shim adds one, and makes AIRR_NOTE_YIELD when the
  // count has reached yield_at: an exact, replayable place for a hand-over. UINT64_MAX = never (the
  // mediator sets it when it maps the data); 0 = at the next such call, and at each one after it.
  uint64_t hook_count;
  uint64_t yield_at;
  uint32_t log_limit;  // record: AIRR_GATE_LOG_SIZE, or 0 for no calls; replay: bytes supplied
  uint32_t may;        // record: AIRR_GATE_MAY_*
  // Of the call at hand: its caller's stack pointer, where it goes on, and where it goes to make
  // its call in the open.
  uint64_t call_stack, call_resume, call_plain;
  // Record: clock_gettime of the kernel's vDSO, which reads the clock without a system call; or 0.
  uint64_t kernel_clock;
  // Record: what is led into the gate lies between these; munmap of it is for the mediator.
  uint64_t patched_start, patched_end;
  uint8_t files[AIRR_GATE_FILES];  // AIRR_GATE_FILE_*, by descriptor; 0 = nothing is known
  uint8_t stack[AIRR_GATE_DATA_STACK_END - 88 - AIRR_GATE_FILES];
  uint8_t log[AIRR_GATE_LOG_SIZE];
  struct airr_gate_reading clocks[AIRR_GATE_CLOCKS];
  // Record: directories among the descriptors that are known; and the working directory.
  struct airr_gate_directory directories[AIRR_GATE_DIRECTORIES];
  struct airr_gate_directory here;
  // Of the open at hand: a name from the root on, and what fstat says.
  uint64_t open_name[AIRR_GATE_PATH_SIZE / 8];
  uint8_t open_status[144];
};
#endif

#endif
