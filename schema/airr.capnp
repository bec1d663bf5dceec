# The events of a trace. docs/trace-format.md describes the file around them.
#
# Every event is one Cap'n Proto message (standard stream framing) inside a frame. Field numbers are
# never reused; a reader ignores what it does not know, and a writer that changes the meaning of a
# field raises the format version in the header.

@0xb1a4c77d9e02f6a5;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("airr::schema");

struct Header {
  airrVersion @0 :Text;
  sessionId @1 :Data;            # 16 random bytes
  startedAt @2 :Int64;           # CLOCK_REALTIME, nanoseconds since 1970
  machine @3 :Machine;
  arguments @4 :List(Text);      # the command that was recorded, argv[0] first
  program @5 :Text;              # the resolved path of its executable
  directory @6 :Text;            # working directory of the first process
  userId @7 :UInt32;
  groupId @8 :UInt32;
  gateVersion @9 :UInt32;        # layout of the gate (recorder/gate/gate.h)
  stackLimit @10 :UInt64;        # RLIMIT_STACK in bytes, 2^64-1 for none
  keyId @11 :Data;               # first 8 bytes of SHA-256 of the root key
}

struct Machine {
  hostName @0 :Text;
  kernelRelease @1 :Text;
  cpuModel @2 :Text;
  cpuFeatures @3 :List(Text);    # names as in /proc/cpuinfo
  pageSize @4 :UInt32;
  xsaveMask @5 :UInt64;          # XCR0
  tscTrapped @6 :Bool;
  cpuidTrapped @7 :Bool;
}

struct Event {
  task @0 :UInt32;               # number of the task in this session, from 1; 0 = the session
  time @1 :UInt64;               # microseconds since the session began
  union {
    exec @2 :Exec;
    syscall @3 :Syscall;
    signal @4 :Signal;
    trap @5 :Trap;
    clocks @6 :Data;             # readings that the gate took before the task's next event:
                                 # 16 bytes each, seconds and nanoseconds, little-endian int64
    forced @7 :Forced;
    taskExit @8 :TaskExit;
    note @9 :Note;
    sharedObject @10 :SharedObject;
    sessionEnd @11 :SessionEnd;
    gateYield @12 :UInt64;       # the shim's hook counter at which the baton was handed over
  }
}

# One piece of a tracee's memory that the kernel (or the mediator for it) wrote.
struct MemoryWrite {
  address @0 :UInt64;
  union {
    bytes @1 :Data;
    blob @2 :BlobRange;
    zeros @3 :UInt64;            # that many zero bytes
  }
}

struct BlobRange {
  blob @0 :UInt32;               # number of the blob in this trace
  offset @1 :UInt64;
  length @2 :UInt64;
}

# A syscall is one event when the task kept the baton, else two: `enter` when it gave the baton up
# inside the call, `leave` when it had the baton again and the results were put in its memory.
struct Syscall {
  number @0 :UInt16;
  phase @1 :Phase;
  handling @2 :Handling;
  stream @3 :Stream;             # the call wrote to the session's standard output or error
  result @4 :Int64;              # as in rax: -errno on failure
  arguments @5 :List(UInt64);    # as many as the syscall takes; empty for `leave`
  inputHash @6 :UInt64;          # XXH3-64 over the input memory
  writes @7 :List(MemoryWrite);
  path @8 :Text;                 # what the call named, resolved as far as the mediator knows
  mapping @9 :Mapping;           # a successful mmap of a file or of shared memory
  child @10 :UInt32;             # a successful clone: number of the new task
  payload @11 :List(MemoryWrite); # data that the kernel moved between descriptors, address 0
  sharedWrites @12 :List(SharedWrite);
  registers @13 :Data;           # rt_sigreturn: what it restored

  enum Phase { whole @0; enter @1; leave @2; }
  enum Handling {
    kernel @0;                   # the kernel ran it
    mediator @1;                 # the mediator gave the result
    refused @2;                  # refused by name before it ran
    altered @3;                  # run with other arguments than the task's (docs/limits.md)
  }
  enum Stream { none @0; output @1; error @2; }
}

struct Mapping {
  union {
    none @0 :Void;
    blob @1 :BlobRange;          # private file mapping
    shared @2 :Shared;
  }
  struct Shared { object @0 :UInt32; offset @1 :UInt64; }
}

# Memory that processes share: a MAP_SHARED file, memfd or anonymous mapping. `content` is what it
# held when the session mapped it first (or again, after it was unmapped everywhere).
struct SharedObject {
  object @0 :UInt32;
  size @1 :UInt64;
  content @2 :BlobRange;
  hasContent @3 :Bool;
  path @4 :Text;
}

# A write or truncation by syscall of an object that is mapped shared.
struct SharedWrite {
  object @0 :UInt32;
  offset @1 :UInt64;
  bytes @2 :Data;
  newSize @3 :Int64 = -1;        # ftruncate; -1 = no change of size
}

# The memory image with which a program starts. Registers are the kernel's user_regs_struct.
struct Exec {
  path @0 :Text;
  arguments @1 :List(Text);
  registers @2 :Data;
  regions @3 :List(Region);
  pages @4 :List(MemoryWrite);   # what differs from the regions' files
  programBreak @5 :UInt64;
  formerTask @6 :UInt32;         # task that called execve; it continues as `task`
  environment @7 :List(Text);

  struct Region {
    start @0 :UInt64;
    end @1 :UInt64;
    protection @2 :UInt8;        # PROT_* bits
    growsDown @3 :Bool;
    mapping @4 :Mapping;
    name @5 :Text;
  }
}

struct Signal {
  number @0 :UInt8;
  action @1 :Action;
  info @2 :Data;                 # siginfo_t as the tracee gets it
  registers @3 :Data;            # at the handler's first instruction
  frame @4 :List(MemoryWrite);   # the signal frame on the stack
  synchronous @5 :Bool;          # raised by the instruction itself; replay raises it again

  enum Action { handler @0; ignored @1; stop @2; fatal @3; }
}

# An instruction whose result the mediator supplies.
struct Trap {
  kind @0 :Kind;
  length @1 :UInt8;              # of the instruction, bytes
  a @2 :UInt64;                  # rdtsc: the counter; rdrand, rdseed: the value; cpuid: eax | ebx << 32
  b @3 :UInt64;                  # rdtscp: TSC_AUX; cpuid: ecx | edx << 32; rdrand, rdseed:
                                 # carry flag | register << 8 | operand bytes << 16
  enum Kind { rdtsc @0; rdtscp @1; rdrand @2; rdseed @3; cpuid @4; }
}

# A hand-over at a point that replay cannot find by counting: state is put there instead.
struct Forced {
  reason @0 :Reason;
  registers @1 :Data;
  xstate @2 :Data;               # PTRACE_GETREGSET NT_X86_XSTATE
  pages @3 :List(MemoryWrite);   # that differ from the task's last forced point (or all, if full)
  gone @4 :List(UInt64);         # pages of the last forced point that are no longer there
  hookCount @5 :UInt64;          # of the gate, whose memory is not among the pages
  enum Reason { spin @0; quantum @1; signal @2; }
}

struct TaskExit {
  status @0 :Int32;              # as from waitpid
  writes @1 :List(MemoryWrite);  # clear_child_tid and robust futexes
  lastOfProcess @2 :Bool;
}

# What the shim says that a call means. A hint by untrusted code, never the ground of a decision.
struct Note {
  kind @0 :Text;
  text @1 :Text;
}

struct SessionEnd {
  status @0 :Int32;              # wait status of the first process
  events @1 :UInt64;
  tasks @2 :UInt32;
  forcedSpin @3 :UInt64;
  forcedQuantum @4 :UInt64;
  forcedSignal @5 :UInt64;
  reason @6 :Text;               # empty, or why the mediator ended the session
}
