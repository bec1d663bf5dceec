# The events of a trace. docs/trace-format.md describes the file around them.
#
# Every event is one Cap'n Proto message (standard stream framing) inside a frame. Field numbers are
# never reused; a reader ignores what it does not know, and a writer that changes the meaning of a
# field raises the format version in the header.

@0xb1a4c77d9e02f6a5;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("airr::schema");

using SealedKey = import "encryption.capnp".SealedKey;

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
  publicKey @12 :Data;           # Ed25519 key of the key store, which signs this header
  epochKey @13 :Data;            # Ed25519 key of the first epoch (docs/trace-format.md)
  policyHash @14 :Data;          # SHA-256 of the policy's text
  executableHash @15 :Data;      # SHA-256 of the airr executable; empty if it could not be read
  hostId @16 :Data;              # HMAC-SHA-256(/etc/machine-id, "airr host v2"); empty without one

  # Of an encrypted trace (docs/trace-format.md). With sealedHeader, nothing else is here but airrVersion,
  # sessionId, startedAt and the keys.
  recipients @17 :List(SealedKey);
  sealedHeader @18 :Data;        # the whole header, a Header, encrypted
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
    policy @13 :PolicyInForce;   # the policy that decides from here on
    decision @14 :Decision;      # what was decided about the next call of the task
    patch @15 :List(MemoryWrite); # code of the task's program that was changed, to be written
                                 # whatever its protection, before the task goes on
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
  inputHash @6 :UInt64;          # XXH3-64 over the input memory; 0 if nameLength says what that is
  writes @7 :List(MemoryWrite);
  path @8 :Text;                 # what the call named, resolved as far as the mediator knows; of calls
                                 # that change or map what a descriptor leads to, that file
  mapping @9 :Mapping;           # a successful mmap of a file or of shared memory
  child @10 :UInt32;             # a successful clone: number of the new task
  payload @11 :List(MemoryWrite); # data that the kernel moved between descriptors, address 0
  sharedWrites @12 :List(SharedWrite);
  registers @13 :Data;           # rt_sigreturn: what it restored
  otherPath @14 :Text;           # of calls that name two files (rename, link): the second, absolute
  leadsNowhere @15 :Bool;        # a name's directory was not found: there was nothing to decide on
  nameLength @16 :UInt16;        # not 0: as many bytes at the end of `path`, and a NUL, are the input memory

  enum Phase { whole @0; enter @1; leave @2; }
  enum Handling {
    kernel @0;                   # the kernel ran it
    mediator @1;                 # the mediator gave the result
    refused @2;                  # refused by name before it ran
    altered @3;                  # run with other arguments than the task's (docs/limits.md)
    gate @4;                     # made by the gate, in the task's own memory, and logged there
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

struct PolicyInForce {
  name @0 :Text;                 # as given to --policy
  text @1 :Text;                 # all of it
  workspace @2 :Text;            # what its variables stand for; empty: not known
  home @3 :Text;
  temporary @4 :Text;
  bounds @5 :Text;               # what the kernel forbids as well (Landlock), one line a right
  overlays @6 :List(Text);       # trees whose changes went to an overlay (docs/overlays.md)
}

# Written before the call may take effect. `digest` is the SHA-256 of the canonical encoding of this
# struct without it: what an approval is bound to.
struct Decision {
  syscall @0 :UInt16;
  verdict @1 :Verdict;           # the strictest of the actions'
  actions @2 :List(DecidedAction);
  error @3 :Int32;               # errno that the task got instead; 0: the call was made
  approved @4 :Approved;
  digest @5 :Data;
  answeredBy @6 :Text;           # "terminal", "airr approve", "command"

  enum Verdict { allow @0; readOnly @1; approve @2; restricted @3; blocked @4; }
  enum Approved { notAsked @0; yes @1; no @2; noAnswer @3; earlier @4; }
}

# An action, the facts that were found out about it, and what the policy said. Facts that follow from
# the events before (the executable, its lineage, labels) are not repeated.
struct DecidedAction {
  kind @0 :UInt8;                # these numbers are those of policies/facts.h
  present @1 :UInt64;            # bit f: fact f is known
  unknown @2 :UInt64;            # bit f: fact f could not be found out
  verdict @3 :Decision.Verdict;
  rules @4 :List(Text);          # that gave it
  reason @5 :Text;
  path @6 :Text;
  otherPath @7 :Text;
  target @8 :Text;
  arguments @9 :List(Text);
  digest @10 :Text;
  fileExists @11 :Bool;
  inside @12 :Bool;
  fileKind @13 :UInt8;
  family @14 :UInt8;
  socketType @15 :UInt8;
  fileOwner @16 :UInt32;
  fileMode @17 :UInt32;
  port @18 :UInt16;
  hostHigh @19 :UInt64;          # IPv6, or IPv4 in its mapped form; big end first
  hostLow @20 :UInt64;
  hostNames @21 :List(Text);
  signal @22 :Int64;
  operation @23 :Int64;
  classes @24 :UInt16;
  shellCommands @25 :List(Text);
  shellReads @26 :List(Text);
  shellWrites @27 :List(Text);
  shellUnparseable @28 :Bool;
  toolServer @29 :Text;
  toolName @30 :Text;
  toolArguments @31 :List(Text); # pointer, value, pointer, …
  serverName @32 :Text;          # that a TLS client asks for
}
