// Tasks: clone, exec, exit.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mediator/injection.h"
#include "mediator/memory_map.h"
#include "mediator/recording.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "recorder/gate/gate_image.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

using schema::Syscall;

// Flags by which a child would escape its tracer (clone(2)).
constexpr uint64_t kUntraced = CLONE_UNTRACED | CLONE_PTRACE;

struct CloneRequest {
  uint64_t flags = 0, parentTid = 0, childTid = 0;
};

CloneRequest cloneRequest(const syscalls::Call& call) {
  switch (call.number) {
    case SYS_vfork: return {CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0};
    case SYS_fork: return {SIGCHLD, 0, 0};
    default: return {call.arguments[0], call.arguments[2], call.arguments[3]};
  }
}

std::string executableOf(Tid tid, const std::string& otherwise) {
  const std::string path = linkTarget("/proc/" + std::to_string(raw(tid)) + "/exe");
  return path.empty() ? otherwise : path;
}

// The address of a `syscall` instruction in the kernel's vDSO, as an offset. It is the same image in
// every process of one boot.
uint64_t vdsoSyscallOffset() {
  static const uint64_t offset = [] {
    const auto* image = reinterpret_cast<const uint8_t*>(getauxval(AT_SYSINFO_EHDR));
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
    if (image != nullptr) {
      const auto* segments = reinterpret_cast<const Elf64_Phdr*>(image + header->e_phoff);
      for (int i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type != PT_LOAD || !(segments[i].p_flags & PF_X)) continue;
        for (uint64_t at = 0; at + 1 < segments[i].p_memsz; ++at)
          if (image[at] == 0x0f && image[at + 1] == 0x05) return at;
      }
    }
    throw Error(ExitCode::kFailure, "this kernel's vDSO has no syscall instruction to start from",
                "boot without vdso=0");
  }();
  return offset;
}

// Where clock_gettime is in it; 0: it has none.
uint64_t vdsoClockOffset() {
  static const uint64_t offset = []() -> uint64_t {
    void* const vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (vdso == nullptr) return 0;
    const auto clock = reinterpret_cast<uint64_t>(dlsym(vdso, "__vdso_clock_gettime"));
    dlclose(vdso);
    return clock != 0 ? clock - getauxval(AT_SYSINFO_EHDR) : 0;
  }();
  return offset;
}

bool isVdso(const MappedRegion& region) {
  return region.name == "[vdso]" || region.name.starts_with("[vvar");
}

bool isZombie(Tid tid) {
  UniqueFd fd(open(("/proc/" + std::to_string(raw(tid)) + "/task/" + std::to_string(raw(tid)) +
                    "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[512] = {};
  if (!fd || ::read(fd.get(), text, sizeof text - 1) <= 0) return true;
  const char* behindName = strrchr(text, ')');
  return behindName == nullptr || behindName[2] == 'Z' || behindName[2] == 'X';
}

// Words of robust futexes that the kernel marks when the task dies (kernel/futex/core.c,
// exit_robust_list; the list is at most ROBUST_LIST_LIMIT = 2048 long).
std::vector<uint64_t> robustWords(Tracee& tracee, uint64_t head) {
  std::vector<uint64_t> words;
  struct {
    uint64_t next;
    int64_t offset;
    uint64_t pending;
  } list{};
  if (head == 0 || !tracee.readValue({head}, list)) return words;
  auto add = [&](uint64_t entry) {
    uint64_t at = (entry & ~1ull) + static_cast<uint64_t>(list.offset);
    uint32_t value = 0;
    if (tracee.readValue({at}, value) &&
        (value & FUTEX_TID_MASK) == static_cast<uint32_t>(raw(tracee.tid())))
      words.push_back(at);
  };
  uint64_t entry = list.next;
  for (int i = 0; i < 2048 && (entry & ~1ull) != head && entry != 0; ++i) {
    if (entry != list.pending) add(entry);
    if (!tracee.readValue({entry & ~1ull}, entry)) break;
  }
  if (list.pending != 0) add(list.pending);
  return words;
}

// A fresh page of memory is zero; only what is not needs to be on record.
Region nonZeroPart(Tracee& tracee, Address page) {
  uint8_t bytes[kPageSize];
  if (!tracee.read(page, bytes, sizeof bytes)) return {page, 0};
  const auto isSet = [](uint8_t byte) { return byte != 0; };
  const uint8_t* first = std::find_if(bytes, bytes + kPageSize, isSet);
  const uint8_t* last = bytes + kPageSize;
  while (last > first && last[-1] == 0) --last;
  return {page + static_cast<uint64_t>(first - bytes), static_cast<uint64_t>(last - first)};
}

std::vector<std::string> readStrings(Tracee& tracee, uint64_t array) {
  constexpr size_t kMost = 4096;
  std::vector<std::string> result;
  uint64_t pointer = 0;
  std::string text;
  while (array != 0 && result.size() < kMost && tracee.readValue({array}, pointer) && pointer != 0 &&
         tracee.readString({pointer}, text, 1 << 17)) {
    result.push_back(text);
    array += sizeof pointer;
  }
  return result;
}

}  // namespace

std::vector<std::string> Recording::readArguments(Task& task, uint64_t array) {
  return readStrings(task.tracee, array);
}

void Recording::startSpawn(Task& task) {
  hashInputs(task);
  task.outputCall = task.call;
  task.outputModel = task.model;
  if (task.call.number == SYS_clone && (task.call.arguments[0] & kUntraced) != 0) {
    Registers r = task.tracee.registers();
    r.rdi = task.call.arguments[0] & ~kUntraced;
    task.tracee.setRegisters(r);
    task.altered = true;
  }
  task.state = TaskState::kInKernel;
  task.tracee.resume(Resume::kToSyscallExit);
}

void Recording::onSpawn(Task& task, const Stop& stop) {
  const CloneRequest request = cloneRequest(task.call);
  const Tid childTid{static_cast<pid_t>(stop.message)};
  const bool sharesMemory = (request.flags & CLONE_VM) != 0;

  int status = 0;
  if (auto early = early_.find(raw(childTid)); early != early_.end()) {
    status = early->second;
    early_.erase(early);
  } else {
    pid_t got;
    do {
      got = waitpid(raw(childTid), &status, __WALL);
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw systemError("waiting for a new task");
  }
  Task& child = makeTask(childTid);
  if (request.flags & CLONE_THREAD) {
    child.process = task.process;
    if ((request.flags & CLONE_FS) == 0) noteDirectoryVaries(task);
  } else {
    child.process = std::make_shared<Process>();
    child.process->pid = childTid;
    child.process->directory = task.process->directory;
    child.process->lineage = task.process->lineage;
    if (!child.process->lineage.empty() && child.process->lineage.size() < facts::kMostLineage)
      child.process->lineage.insert(child.process->lineage.begin(), task.process->lineage.front());
    enforcement_->state().spawned(static_cast<uint32_t>(raw(task.process->pid)),
                                  static_cast<uint32_t>(raw(childTid)));
    constexpr uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER;
    if (request.flags & CLONE_FILES) child.process->sharesFiles = task.process->sharesFiles = true;
    if (request.flags & CLONE_FS) {
      noteDirectoryVaries(task);
      child.process->directoryVaries = true;
    }
    child.process->plain = task.process->plain && (request.flags & kNewNamespaces) == 0;
  }
  ++child.process->liveTasks;
  child.actions = (request.flags & CLONE_SIGHAND) ? task.actions
                                                  : std::make_shared<SignalActions>(*task.actions);
  if (sharesMemory) {
    joinSpace(child, task.space);
    if ((request.flags & CLONE_THREAD) == 0) allowInGate(task, AIRR_GATE_MAY_USE_FILES, false);
  } else {
    task.space->sites.isForked = true;
    auto space = std::make_shared<AddressSpace>();
    space->trapSites = task.space->trapSites;
    space->yieldAsked = task.space->yieldAsked;
    space->sharedMappings = task.space->sharedMappings;
    space->known = task.space->known;
    space->mapOperations = task.space->mapOperations;
    space->gateArmed = task.space->gateArmed;
    if (task.space->gate) space->gate = task.space->gate->fork();
    space->kernelClockStart = task.space->kernelClockStart;
    space->kernelClockEnd = task.space->kernelClockEnd;
    space->sites = task.space->sites;
    child.process->gateFiles = task.process->gateFiles;
    child.process->gateDirectories = task.process->gateDirectories;
    space->dumpable = task.space->dumpable;
    space->denyWriteExecute = task.space->inheritedDenial();
    if (space->sharedMappings.empty()) {
      space->domain = std::make_shared<Domain>();
      domains_.push_back(space->domain);
    } else {
      space->domain = task.space->domain;
    }
    joinSpace(child, space);
    if (!isAlone(task)) forgetAllGateFiles(child);
    if (!child.process->plain) allowInGate(child, AIRR_GATE_MAY_OPEN, false);
    if (task.space->domain->load.elsewhere) place(child);
  }
  if (task.space->domain->tasks > 1) {
    allowInGate(task, AIRR_GATE_MAY_WAIT, false);
    allowInGate(child, AIRR_GATE_MAY_WAIT, false);
  }
  child.signalMask = task.signalMask;
  child.affinity = task.affinity;
  if (request.flags & CLONE_CHILD_CLEARTID) child.clearChildTid = request.childTid;

  // But for vfork, whose parent sleeps, the call's result is known: no further stop.
  const bool finished = !stop.vfork && task.process->plain && !task.altered;
  {
    auto event = beginEvent(task);
    auto call = event.initSyscall();
    fillCall(task, call, finished ? Syscall::Phase::WHOLE : Syscall::Phase::ENTER);
    call.setChild(raw(child.id));
    call.setResult(raw(childTid));
    std::vector<uint64_t> words;
    if (request.flags & CLONE_PARENT_SETTID) words.push_back(request.parentTid);
    if ((request.flags & CLONE_CHILD_SETTID) && sharesMemory) words.push_back(request.childTid);
    auto writes = call.initWrites(static_cast<unsigned>(words.size()));
    for (unsigned i = 0; i < words.size(); ++i) fillWrite(task.tracee, writes[i], {{words[i]}, 4});
    trace_->commit();
    task.entered = true;
  }

  child.started = true;
  child.state = TaskState::kReady;
  child.continuation = Continuation::kStart;
  if (WIFSTOPPED(status)) {
    child.space->domain->ready.push_back(&child);
  } else {
    onEnded(child, status);
  }
  if (finished) {
    task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(raw(childTid))};
    return endTurn(task);
  }
  if (stop.vfork) {
    // The parent sleeps until the child has executed or is gone; the child has its memory.
    task.state = TaskState::kBlocked;
    release(task);
  }
  task.tracee.resume(Resume::kToSyscallExit);
}

void Recording::startExec(Task& task) {
  hashInputs(task);
  task.outputCall = task.call;
  task.outputModel = task.model;
  writeEnter(task);
  trace_->flush();
  task.state = TaskState::kInKernel;
  task.tracee.resume(Resume::kToSyscallExit);
}

void Recording::onExec(Task& reported, const Stop& stop) {
  // exec by a thread that is not the leader: it takes the leader's tid, and the leader, already
  // dead, is never reported (ptrace(2), "execve(2) under ptrace").
  Task* task = &reported;
  const Tid formerTid{static_cast<pid_t>(stop.message)};
  const Tid tid = reported.tracee.tid();
  if (formerTid != tid) {
    auto former = tasks_.find(raw(formerTid));
    if (former == tasks_.end())
      throw Error(ExitCode::kFailure, "exec by an unknown task " + std::to_string(raw(formerTid)));
    if (!reported.exitLogged) writeTaskExit(reported, 0, false);
    leaveSpace(reported);
    reported.state = TaskState::kDead;
    --reported.process->liveTasks;
    graves_.push_back(std::move(tasks_[raw(tid)]));
    tasks_[raw(tid)] = std::move(former->second);
    tasks_.erase(former);
    task = tasks_[raw(tid)].get();
    task->tracee.renumber(tid);
  }
  task->tracee.resume(Resume::kToSyscallExit);
  Stop exit = task->tracee.wait();
  while (exit.kind == Stop::Kind::kOther) {
    task->tracee.resume(Resume::kToSyscallExit);
    exit = task->tracee.wait();
  }
  if (exit.kind != Stop::Kind::kSyscallExit) return handleStop(*task, exit);
  if (task->decided) checkProgram(*task);

  auto space = std::make_shared<AddressSpace>();
  space->denyWriteExecute = task->space->inheritedDenial();
  const bool wasElsewhere = task->space->domain->load.elsewhere;
  leaveSpace(*task);
  space->domain = std::make_shared<Domain>();
  domains_.push_back(space->domain);
  joinSpace(*task, space);
  if (wasElsewhere) place(*task);
  space->domain->holder = task;
  space->domain->turnStart = now_;
  auto actions = std::make_shared<SignalActions>();
  for (int i = 1; i < 65; ++i)
    if (task->actions->of[i].handler == reinterpret_cast<uint64_t>(SIG_IGN))
      actions->of[i].handler = task->actions->of[i].handler;
  task->actions = actions;
  task->process->gateFiles.clear();
  task->process->gateDirectories.clear();
  task->clearChildTid = task->robustList = 0;
  task->scratch = {};
  task->redirect = {};
  task->restartable = false;
  task->entered = false;
  if (bootstrapping_) launcher_->released();
  bootstrapping_ = false;

  noteSignalMask(*task);
  std::vector<MappedRegion> regions = readMemoryMap(task->tracee.tid());
  checkGateFiles(*task);
  mapGate(*task, regions);
  for (const MappedRegion& region : regions)
    if (!isVdso(region) && region.name[0] != '[') space->known.add(region.start.value, region.length());
  const std::string exe = executableOf(task->tracee.tid(), program_);
  patchImage(*task, captureImage(*task, exe, regions));
  std::vector<std::string>& lineage = task->process->lineage;
  if (lineage.empty()) {
    lineage.push_back(exe);
  } else {
    lineage.front() = exe;
  }
  setPosition(*task);
  resumeUser(*task);
}

// Puts the gate into a fresh image, and points the auxiliary vector's vDSO at it.
void Recording::mapGate(Task& task, const std::vector<MappedRegion>& regions) {
  Tracee& tracee = task.tracee;
  uint64_t sp = tracee.registers().rsp;
  // Stack at entry: argc, argv…, NULL, envp…, NULL, auxv pairs (System V ABI, AMD64, 3.4.1).
  uint64_t word = 0;
  if (!tracee.readValue({sp}, word)) throw TraceeGone{tracee.tid()};
  uint64_t at = sp + 8 * (word + 2);
  do {
    if (!tracee.readValue({at}, word)) throw TraceeGone{tracee.tid()};
    at += 8;
  } while (word != 0);
  uint64_t vdso = 0;
  for (uint64_t pair[2]; tracee.read({at}, pair, sizeof pair) && pair[0] != AT_NULL; at += 16) {
    if (pair[0] != AT_SYSINFO_EHDR) continue;
    vdso = pair[1];
    const uint64_t gate = AIRR_GATE_TEXT;
    tracee.write({at + 8}, &gate, sizeof gate);
  }
  if (vdso == 0)
    throw Error(ExitCode::kFailure, "the kernel gave the program no vDSO", "boot without vdso=0");

  const Address start{vdso + vdsoSyscallOffset()};
  auto require = [&](int64_t result, const char* what) {
    if (result < 0 && result > -4096) throw systemError(what, static_cast<int>(-result));
  };
  // The first call is made from the vDSO: it must be one that stops (notifiedCalls()).
  constexpr uint64_t kPrivate = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const auto nowhere = static_cast<uint64_t>(-1);
  require(tracee.injectAt(start, SYS_mmap,
                        {AIRR_GATE_TEXT, AIRR_GATE_TEXT_SIZE, PROT_READ | PROT_EXEC,
                         kPrivate | MAP_FIXED_NOREPLACE, nowhere, 0}),
          "mapping the gate");
  const auto image = gateText();
  if (!tracee.forceWrite({AIRR_GATE_TEXT}, image.data(), image.size()))
    throw TraceeGone{tracee.tid()};
  Injection injection(tracee);
  require(injection.call(SYS_mmap, {AIRR_GATE_DATA, AIRR_GATE_END - AIRR_GATE_DATA, PROT_READ | PROT_WRITE,
                                    kPrivate | MAP_FIXED_NOREPLACE, nowhere, 0}),
          "mapping the gate's data");
  // The vDSO and its data lie side by side.
  uint64_t low = UINT64_MAX, high = 0;
  for (const MappedRegion& region : regions) {
    if (!isVdso(region)) continue;
    low = std::min(low, region.start.value);
    high = std::max(high, region.end.value);
  }
  AddressSpace& space = *task.space;
  const bool readsClock = !counterTraps_ && vdsoClockOffset() != 0;
  if (readsClock) {
    space.kernelClockStart = vdso;
    space.kernelClockEnd = high;
  } else if (low < high) {
    require(injection.call(SYS_munmap, {low, high - low}), "hiding the vDSO");
  }
  if (opens_) mapGrants(injection);
  space.gate = GateMemory::map(injection);
  injection.end();
  airr_gate_data& data = space.gate->data();
  data.mode = AIRR_GATE_RECORD;
  data.limit = AIRR_GATE_CLOCKS;
  data.yield_at = UINT64_MAX;
  space.sites.may = AIRR_GATE_MAY_PROTECT | AIRR_GATE_MAY_USE_FILES | (gatePowers_.looksUp ? AIRR_GATE_MAY_LOOK_UP : 0) |
                    (opens_ && task.process->plain ? AIRR_GATE_MAY_OPEN : 0) |
                    (opens_ && opens_->merged() ? AIRR_GATE_MAY_MERGE : 0);
  data.may = space.sites.may;
  data.kernel_clock = readsClock ? vdso + vdsoClockOffset() : 0;
  space.gateArmed = true;
}

// The Exec event: everything that the new program starts from.
std::vector<Recording::ImageFile> Recording::captureImage(Task& task, const std::string& path,
                                                         std::vector<MappedRegion>& regions) {
  Tracee& tracee = task.tracee;
  struct Piece {
    MappedRegion region;
    bool hasBlob = false;
    uint32_t blob = 0;
    uint64_t blobSize = 0;
  };
  std::vector<Piece> pieces;
  std::vector<ImageFile> programs;
  uint64_t programInode = 0;  // the first file's; the loader, if there is one, is another
  std::vector<Region> pages;
  PageMap pageMap(tracee.tid());
  UniqueFd file;
  uint64_t fileInode = 0, fileSize = 0;
  uint32_t fileBlob = 0;
  for (MappedRegion& region : regions) {
    if (region.name == "[vsyscall]" || isVdso(region)) continue;
    Piece piece;
    piece.region = region;
    if (region.inode != 0) {
      piece.hasBlob = true;
      if (fileInode != region.inode) {
        fileInode = 0;
        struct stat s {};
        const auto opens = [&](const std::string& name) {
          file.reset(open(name.c_str(), O_RDONLY | O_CLOEXEC));
          return file && fstat(file.get(), &s) == 0 && s.st_ino == region.inode;
        };
        // Renamed, deleted, or in another mount namespace: the executable is reachable all the same.
        if (opens(region.name) || opens("/proc/" + std::to_string(raw(tracee.tid())) + "/exe")) {
          fileInode = region.inode;
          fileBlob = trace_->addProgram(file.get());
          fileSize = static_cast<uint64_t>(s.st_size);
        }
      }
      if (fileInode == region.inode) {
        piece.blob = fileBlob;
        piece.blobSize = fileSize;
        if (programInode == 0) programInode = region.inode;
        if (region.protection & PROT_EXEC) {
          findProgramTraps(file.get(), piece.blob);
          findProgramCalls(file.get(), piece.blob);
          programs.push_back({region.start.value, region.length(), region.offset, piece.blob,
                              region.inode != programInode});
        }
      } else {
        std::vector<uint8_t> content(region.length());
        if (!tracee.read(region.start, content.data(), content.size())) throw TraceeGone{tracee.tid()};
        piece.blob = trace_->addBlob(content.data(), content.size());
        piece.blobSize = content.size();
        piece.region.offset = 0;
      }
    }
    // Elsewhere nothing was written: the loader's own pages and the stack are all.
    if (!(region.protection & PROT_WRITE)) {
      pieces.push_back(std::move(piece));
      continue;
    }
    pageMap.privatePages(region.start, region.end, [&](Address page) {
      pages.push_back(region.inode != 0 ? Region{page, kPageSize} : nonZeroPart(tracee, page));
    });
    pieces.push_back(std::move(piece));
  }

  const uint64_t sp = tracee.registers().rsp;
  uint64_t argc = 0;
  tracee.readValue({sp}, argc);
  const std::vector<std::string> arguments = readStrings(tracee, sp + 8);
  const std::vector<std::string> environment = readStrings(tracee, sp + 8 * (argc + 2));

  auto event = beginEvent(task);
  auto exec = event.initExec();
  exec.setPath(path);
  auto setTexts = [](auto list, const std::vector<std::string>& from) {
    for (unsigned i = 0; i < from.size(); ++i) list.set(i, from[i]);
  };
  setTexts(exec.initArguments(static_cast<unsigned>(arguments.size())), arguments);
  setTexts(exec.initEnvironment(static_cast<unsigned>(environment.size())), environment);
  const Registers& registers = tracee.registers();
  exec.setRegisters({reinterpret_cast<const uint8_t*>(&registers), sizeof registers});
  auto list = exec.initRegions(static_cast<unsigned>(pieces.size()));
  for (unsigned i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    list[i].setStart(piece.region.start.value);
    list[i].setEnd(piece.region.end.value);
    list[i].setProtection(static_cast<uint8_t>(piece.region.protection));
    list[i].setGrowsDown(piece.region.name == "[stack]");
    list[i].setName(piece.region.name);
    if (piece.hasBlob) {
      auto range = list[i].initMapping().initBlob();
      range.setBlob(piece.blob);
      range.setOffset(piece.region.offset);
      range.setLength(piece.blobSize > piece.region.offset ? piece.blobSize - piece.region.offset : 0);
    }
  }
  auto writes = exec.initPages(static_cast<unsigned>(pages.size()));
  for (unsigned i = 0; i < pages.size(); ++i) fillWrite(tracee, writes[i], pages[i]);
  trace_->commit();
  return programs;
}

void Recording::startExit(Task& task) {
  auto event = beginEvent(task);
  fillCall(task, event.initSyscall(), Syscall::Phase::WHOLE);
  trace_->commit();
  task.state = TaskState::kInKernel;
  // A process that leaves nothing for the kernel to change in memory that others see just ends.
  if (task.process->liveTasks == 1 && task.space->users == 1 &&
      robustWords(task.tracee, task.robustList).empty())
    task.tracee.announceExit(false);
  task.tracee.resume(Resume::kContinue);
}

void Recording::onExitStop(Task& task, const Stop& stop) {
  // Killed: what its gate logged is not to become another's.
  if (task.state == TaskState::kRunning && task.space && task.space->users > 1) drainGate(task);
  task.exitStatus = static_cast<int>(stop.message);
  task.exitWords = task.space ? robustWords(task.tracee, task.robustList) : std::vector<uint64_t>();
  if (task.space && task.clearChildTid != 0 && task.space->users > 1)
    task.exitWords.push_back(task.clearChildTid);
  leaveStream(task);
  // After this stop the kernel clears the tid word and marks robust futexes. Tasks that share the
  // memory must not run meanwhile.
  if (!task.exitWords.empty() && task.space->domain->tasks > 1) {
    const Domain& domain = *task.space->domain;
    if (domain.holder == &task) return exitWithBaton(task);
    // Killed. A sibling that holds the baton inside a call (exec, exit_group) waits for this end, and
    // keeps everybody else waiting; else only other processes could see the words.
    const bool siblingWaits = domain.holder != nullptr && domain.holder->space == task.space &&
                              domain.holder->state == TaskState::kInKernel;
    if (siblingWaits) {
      writeWordsOfExit(task);
    } else if (domain.tasks > task.space->users) {
      return makeReady(task, Continuation::kExit);
    }
  }
  task.state = TaskState::kExiting;
  task.tracee.resume(Resume::kContinue);
}

void Recording::writeWordsOfExit(Task& task) {
  auto event = beginEvent(task);
  auto exit = event.initTaskExit();
  exit.setStatus(task.exitStatus);
  exit.setLastOfProcess(task.process->liveTasks == 1);
  auto writes = exit.initWrites(static_cast<unsigned>(task.exitWords.size()));
  for (unsigned i = 0; i < task.exitWords.size(); ++i) {
    // What handle_futex_death and mm_release make of the word (kernel/futex/core.c, kernel/fork.c).
    uint32_t value = 0;
    task.tracee.readValue({task.exitWords[i]}, value);
    value = task.exitWords[i] == task.clearChildTid ? 0
                                                    : (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    writes[i].setAddress(task.exitWords[i]);
    writes[i].setBytes({reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }
  trace_->commit();
  task.exitLogged = true;
}

void Recording::exitWithBaton(Task& task) {
  task.state = TaskState::kExiting;
  writeWordsOfExit(task);
  const bool leaderStays = task.tracee.tid() == task.process->pid && task.process->liveTasks > 1;
  int status = task.exitStatus;
  task.tracee.resume(Resume::kContinue);
  if (leaderStays) {
    // A leader's end is not reported before its last thread's; it is a zombie when it is done.
    while (!isZombie(task.tracee.tid())) sched_yield();
    release(task);
    return;
  }
  for (;;) {
    Stop end = task.tracee.wait();
    if (end.kind == Stop::Kind::kEnded) {
      status = static_cast<int>(end.message);
      break;
    }
    task.tracee.resume(Resume::kContinue);
  }
  onEnded(task, status);
}

void Recording::writeTaskExit(Task& task, int status, bool last) {
  auto event = beginEvent(task);
  auto exit = event.initTaskExit();
  exit.setStatus(status);
  exit.setLastOfProcess(last);
  trace_->commit();
  task.exitLogged = true;
}

void Recording::onEnded(Task& task, int status) {
  const Tid tid = task.tracee.tid();
  if (bootstrapping_ && tid == root_) {
    launcher_->released();
    int error = 0;
    if (read(launchPipe_, &error, sizeof error) != sizeof error) error = ECHILD;
    throw Error(error == ENOENT ? ExitCode::kNotFound : ExitCode::kCannotExecute,
                "cannot run '" + program_ + "': " + strerror(error));
  }
  if (!task.exitLogged) writeTaskExit(task, status, task.process->liveTasks == 1);
  if (--task.process->liveTasks == 0)
    enforcement_->state().ended(static_cast<uint32_t>(raw(task.process->pid)));
  leaveSpace(task);
  task.state = TaskState::kDead;
  if (tid == root_) rootStatus_ = status;
  auto found = tasks_.find(raw(tid));
  if (found != tasks_.end() && found->second.get() == &task) {
    graves_.push_back(std::move(found->second));
    tasks_.erase(found);
  }
}

}  // namespace airr
