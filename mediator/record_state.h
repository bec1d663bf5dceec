// What the recording mediator knows of the session: tasks, processes, address spaces, domains.
// Internal to the mediator; one thread.
#pragma once

#include <fcntl.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mediator/call_sites.h"
#include "mediator/copy_on_write.h"
#include "mediator/gate_memory.h"
#include "mediator/input_instructions.h"
#include "mediator/known_ranges.h"
#include "mediator/open_files.h"
#include "mediator/own_time.h"
#include "mediator/resolved_name.h"
#include "mediator/scratch_arena.h"
#include "mediator/site_uses.h"
#include "mediator/syscalls/model.h"
#include "mediator/tracee.h"
#include "schema/types.h"
#include "schema/unique_fd.h"

namespace airr {

struct Task;

// How much a domain's tasks compute, and where (recording_placement.cpp).
struct DomainLoad {
  pid_t process = 0;             // that ran last
  uint32_t stops = 0;            // since the last tick
  pid_t sampled = 0;             // the process whose processor time this is, as of then
  std::chrono::nanoseconds time{};
  bool elsewhere = false;        // not on the mediator's core
};

// A baton domain: the tasks that share writable memory. One of them at a time runs user code.
//
// The rule that makes replay exact: a task gives the baton up only when its position is on record,
// that is, right after an event of its own, with no instruction executed since.
struct Domain {
  Task* holder = nullptr;
  std::deque<Task*> ready;
  SteadyTime turnStart{};
  uint32_t tasks = 0;
  // It was woken again and again, and found what it waits for taken: each wake ends the turn (endTurnByWake).
  Task* starving = nullptr;
  DomainLoad load;
};

// An instruction that was replaced by int3.
struct TrapSite {
  InputInstruction::Kind kind{};
  uint8_t length = 0;
  uint8_t operandBytes = 0;  // this and the next of RDRAND and RDSEED
  uint8_t destination = 0;   // register number as in ModRM with REX
  bool generated = false;    // not of a file, but of memory that was made executable
  uint8_t original = 0;      // the byte at a generated site
};

using FileTrapSite = std::pair<uint64_t, TrapSite>;  // and its offset in the file

struct SharedObjectState;

struct SharedMapping {
  uint64_t end = 0;
  std::shared_ptr<SharedObjectState> object;
  uint64_t offset = 0;
};

// PR_SET_MDWE, PR_GET_MDWE and a bit of theirs (Linux 6.3 and 6.6).
constexpr uint32_t kSetMdwe = 65, kGetMdwe = 66;
constexpr uint64_t kMdweNoInherit = 2;

// open(2) flags with which nothing is written or made. The last is the kernel's O_LARGEFILE.
constexpr uint64_t kReadingOpen =
    O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | 0100000;

// Call sites of an address space, and which of them jump into its gate.
struct SiteState {
  // Program files that are mapped executable, by start.
  struct Program {
    uint64_t end = 0, offset = 0;
    const ProgramFile* file = nullptr;
  };
  CopyOnWrite<std::map<uint64_t, Program>> programs;
  SiteUses::Executable* uses = nullptr;  // of the executable that was started last
  // Sites that jump into the gate, by the address of the `syscall` that was there.
  struct Patch {
    uint64_t jump = 0;
    SiteBytes bytes;
  };
  CopyOnWrite<std::map<uint64_t, Patch>> patches;
  uint32_t trampolines = 0;                       // in use
  CopyOnWrite<std::unordered_map<uint64_t, uint8_t>> siteUses;  // by the address behind the `syscall`
  bool isForked = false;                           // others began as copies of it
  uint64_t usesSeen = 0;                           // of Recording::usedSites_
  CopyOnWrite<std::set<uint64_t>> unpatchable;     // the same; or patched already
  bool logsCalls = false;                         // something was patched
  bool callsAllowed = false;                      // the gate may make calls
  uint32_t may = 0;                               // AIRR_GATE_MAY_*, as the gate has it
  uint64_t patchedStart = UINT64_MAX, patchedEnd = 0;  // what the sites and their jumps lie between
};

// Shared by tasks made with CLONE_VM.
struct AddressSpace {
  std::shared_ptr<Domain> domain;
  uint32_t users = 0;
  std::map<uint64_t, TrapSite> trapSites;            // by address
  std::map<uint64_t, SharedMapping> sharedMappings;  // by start
  // Digests of the pages as of the last forced point; replay has their content.
  std::unordered_map<uint64_t, std::array<uint64_t, 2>> pageDigests;
  ScratchArena scratch;
  KnownRanges known;
  uint32_t mapOperations = 0;  // since exec; each can split a mapping or two
  std::unique_ptr<GateMemory> gate;  // from the first exec on
  bool gateArmed = false;            // it logs clock readings
  // The kernel's vDSO, where the gate reads the clock from; empty if it does not.
  uint64_t kernelClockStart = 0, kernelClockEnd = 0;
  uint32_t gateIdle = 0;  // stops since the log last had a reading
  SiteState sites;
  bool isKernelClock(uint64_t instruction) const {
    return instruction >= kernelClockStart && instruction < kernelClockEnd;
  }
  // What prctl set, as the tasks are told; the kernel is not, for the mediator must go on reading
  // and mapping (PR_SET_DUMPABLE, PR_SET_MDWE).
  uint64_t dumpable = 1;
  uint64_t denyWriteExecute = 0;
  uint64_t inheritedDenial() const {
    return denyWriteExecute & kMdweNoInherit ? 0 : denyWriteExecute;
  }
  std::chrono::nanoseconds forcedCost{0};  // of the last forced point
  bool yieldAsked = false;  // the gate's yield_at is not UINT64_MAX
  SteadyTime lastForced{};
};

struct SharedObjectState {
  uint32_t number = 0;
  uint64_t device = 0, inode = 0;
  std::weak_ptr<Domain> domain;
};

// Shared by tasks made with CLONE_SIGHAND.
struct SignalActions {
  // The kernel's struct sigaction (asm/signal.h).
  struct Action {
    uint64_t handler = 0;  // SIG_DFL, SIG_IGN or an address
    uint64_t flags = 0;
    uint64_t restorer = 0;
    uint64_t mask = 0;
  };
  std::array<Action, 65> of{};
};

struct Process {
  Tid pid{};
  OpenFiles files;
  // What the gate of its address space knows of its descriptors; empty: nothing. And the directories among
  // them: what the gate logs is looked at when they may have been closed.
  std::vector<uint8_t> gateFiles;
  struct Directory {
    std::string path;
    uint64_t named = 0;  // Recording::renames_ when it had this path
  };
  std::map<int, Directory> gateDirectories;
  bool sharesFiles = false;  // its descriptor table, with another process: `files` is not used
  uint32_t liveTasks = 0;
  // Executables: its own, its parent's, and so on; at most facts::kMostLineage.
  std::vector<std::string> lineage;
  std::string directory;  // cached working directory, empty: unknown
  UniqueFd directoryFd;   // the same, O_PATH
  // Its tasks may have several working directories, or another process may change them: no cache is used.
  bool directoryVaries = false;
  // Credentials, root, mounts and pid namespace are the mediator's own, so that what the mediator
  // looks up is what the task would find.
  bool plain = true;
};
enum class TaskState {
  kReady,     // stopped, waits for the baton
  kRunning,   // in user code, holds the baton
  kInKernel,  // in a call, holds the baton
  kBlocked,   // in a call, gave the baton up
  kStopped,   // in a group stop
  kExiting,   // past its exit stop
  kDead,
};

enum class Continuation { kResume, kFinishCall, kStart, kExit };

struct Task {
  explicit Task(TaskId number, Tid tid) : id(number), tracee(tid) {}
  TaskId id;
  Tracee tracee;
  TaskState state = TaskState::kReady;
  Continuation continuation = Continuation::kStart;
  std::shared_ptr<Process> process;
  std::shared_ptr<AddressSpace> space;
  std::shared_ptr<SignalActions> actions;
  bool started = false;  // its first stop was seen
  // Of the call at hand: what its names lead to, and whether the policy was asked and lets it run.
  std::optional<ResolvedName> names[2];
  bool leadsNowhere = false;  // a name's directory was not found: there is nothing to decide on
  bool decided = false;
  bool greets = false;        // it sends the first bytes on a connection: none may change them any more
  bool expectedFile = false;  // an open in the kernel has to give what names[0] is
  std::optional<std::pair<uint64_t, uint64_t>> expectedProgram;  // exec: device and inode
  bool exitLogged = false;

  // The call it is in.
  syscalls::Call call;  // as the task made it
  const syscalls::Syscall* model = nullptr;
  uint64_t inputHash = 0;
  std::string lookedUp;  // the absolute path that the current call named, if the mediator looked it up
  syscalls::Lengths lengths;
  syscalls::Redirect redirect;
  Address scratch;
  bool releasable = false;    // may give the baton up inside
  bool entered = false;       // its `enter` event is written
  bool altered = false;       // runs with other arguments than the task's
  uint8_t stream = 0;         // schema::Syscall::Stream
  bool writesStream = false;  // holds or waits for that stream
  // The call whose outputs the kernel writes: `call`, or what restart_syscall continues.
  syscalls::Call outputCall;
  const syscalls::Syscall* outputModel = nullptr;
  bool restartable = false;  // the last call ended in -ERESTART_RESTARTBLOCK; scratch is kept

  // Where its record ends. A signal that finds it still there can be delivered there.
  struct Position {
    uint64_t instruction = 0, stack = 0, result = 0;
    // The stack of a notified call is not known: 0.
    bool operator==(const Position& other) const {
      return instruction == other.instruction && result == other.result &&
             (stack == other.stack || stack == 0 || other.stack == 0);
    }
  };
  Position position;
  CallInfo entry;                // of the seccomp stop it is at, or inside of
  std::vector<siginfo_t> stash;  // signals that came between two positions
  // What the kernel put on the stack for handlers that have not returned; the last are the innermost.
  struct Frame {
    Address at;
    std::vector<uint8_t> bytes;
  };
  std::vector<Frame> frames;
  SteadyTime runningSince{};
  bool forceRequested = false;             // PTRACE_INTERRUPT was sent to end the turn
  std::chrono::nanoseconds forceAfter{0};  // of running without a stop

  uint32_t wokenInVain = 0;  // from a futex, and the next thing it did was to wait there again

  uint64_t signalMask = 0;
  std::vector<uint64_t> affinity;  // that the task is told it has; empty: the session's

  int exitStatus = 0;               // of its exit stop
  std::vector<uint64_t> exitWords;  // that the kernel changes when it ends
  uint64_t clearChildTid = 0;
  uint64_t robustList = 0;
};

}  // namespace airr
