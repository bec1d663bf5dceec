// Tasks in replay: real threads and processes, with the recorded numbers.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mediator/launch.h"
#include "mediator/machine.h"
#include "mediator/memory_map.h"
#include "mediator/own_time.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "recorder/gate/gate_image.h"
#include "replayer/replaying.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr int kStubFd = 700;  // where every replayed task finds the stub
constexpr uint64_t kMostStack = 1ull << 30;
constexpr uint64_t kDefaultStack = 8ull << 20;
// Flags of a recorded clone that its replay needs: who shares what, and the thread pointer.
constexpr uint64_t kKeptFlags = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                                CLONE_SETTLS;

}  // namespace

void Replaying::start() {
  pinToCore(std::nullopt);
  trapOwnCounter();
  UniqueFd image(memfd_create("airr-stub", 0));
  const auto stub = stubImage();
  if (!image || ::write(image.get(), stub.data(), stub.size()) != static_cast<ssize_t>(stub.size()))
    throw systemError("preparing the replay stub");
  // Execution wants no writer: the descriptor that tasks inherit is a read-only one.
  UniqueFd readable(open(ownLink(image.get()).c_str(), O_RDONLY));
  image.reset();
  if (!readable || dup2(readable.get(), kStubFd) < 0) throw systemError("preparing the replay stub");
  stub_.reset(kStubFd);

  // Replayed children are nobody's to wait for: an ignored SIGCHLD frees them at once (wait(2)).
  signal(SIGCHLD, SIG_IGN);
  LaunchOptions launchOptions;
  launchOptions.programFd = kStubFd;
  launchOptions.arguments = {"airr-replay"};
  launchOptions.newSession = true;
  Launcher launcher(launchOptions);
  const Launched launched = launcher.start();
  UniqueFd report(launched.errorPipe);
  auto task = std::make_unique<Task>(TaskId{1}, launched.tid);
  task->process = std::make_shared<Process>();
  task->process->pid = launched.tid;
  task->process->liveTasks = 1;
  task->space = std::make_shared<Space>();
  Task& first = *task;
  tasks_[1] = std::move(task);
  for (;;) {
    Stop stop = first.tracee.wait();
    if (stop.kind == Stop::Kind::kEnded) {
      launcher.released();
      int error = 0;
      if (read(report.get(), &error, sizeof error) != sizeof error) error = ECHILD;
      throw systemError("starting the replay stub", error);
    }
    if (stop.kind == Stop::Kind::kExec) break;
    first.tracee.resume(Resume::kContinue);
  }
  launcher.released();
  waitForStub(first);
}

// The stub makes one call, for ever; stopped there, the process is empty but for the gate.
void Replaying::waitForStub(Task& task) {
  for (;;) {
    task.tracee.resume(Resume::kContinue);
    Stop stop = task.tracee.wait();
    if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExit)
      throw TraceeGone{task.tracee.tid()};
    if (stop.kind == Stop::Kind::kSeccomp && callOf(task.tracee.registers()).number == AIRR_SYSCALL)
      return;
  }
}

void Replaying::spawn(Task& task, schema::Syscall::Reader event) {
  const Registers before = task.tracee.registers();
  uint64_t flags = task.call.number == SYS_clone   ? task.call.arguments[0]
                   : task.call.number == SYS_vfork ? uint64_t{CLONE_VM}
                                                   : 0;
  const bool thread = (flags & CLONE_THREAD) != 0;
  Registers r = before;
  r.orig_rax = SYS_clone;
  r.rdi = (flags & kKeptFlags) | (thread ? uint64_t{CLONE_FILES} : uint64_t{SIGCHLD});
  r.rsi = task.call.number == SYS_clone ? task.call.arguments[1] : 0;
  r.rdx = r.r10 = 0;
  r.r8 = task.call.number == SYS_clone ? task.call.arguments[4] : 0;
  task.tracee.setRegisters(r);
  Tid childTid{};
  for (;;) {
    task.tracee.resume(Resume::kToSyscallExit);
    Stop stop = task.tracee.wait();
    if (stop.kind == Stop::Kind::kSpawn) childTid = Tid{static_cast<pid_t>(stop.message)};
    if (stop.kind == Stop::Kind::kSyscallExit) break;
    if (stop.kind == Stop::Kind::kEnded || stop.kind == Stop::Kind::kExit)
      throw TraceeGone{task.tracee.tid()};
  }
  if (raw(childTid) == 0)
    throw systemError("replay, event " + std::to_string(trace_.eventNumber()) + ": making a task",
                      static_cast<int>(-static_cast<int64_t>(task.tracee.registers().rax)));
  auto child = std::make_unique<Task>(TaskId{event.getChild()}, childTid);
  if (thread) {
    child->process = task.process;
  } else {
    child->process = std::make_shared<Process>();
    child->process->pid = childTid;
    child->process->openFiles = task.process->openFiles;
  }
  ++child->process->liveTasks;
  if (flags & CLONE_VM) {
    child->space = task.space;
  } else {
    child->space = std::make_shared<Space>();
    child->space->programBreak = task.space->programBreak;
    child->space->gateHasOld = task.space->gateHasOld;
  }
  child->tracee.wait();
  Registers childRegisters = child->tracee.registers();
  childRegisters.rdi = before.rdi, childRegisters.rsi = before.rsi, childRegisters.rdx = before.rdx;
  childRegisters.r10 = before.r10, childRegisters.r8 = before.r8;
  childRegisters.rax = 0;
  childRegisters.orig_rax = static_cast<uint64_t>(-1);
  child->tracee.setRegisters(childRegisters);
  if ((flags & CLONE_CHILD_SETTID) && !(flags & CLONE_VM)) {
    const auto number = static_cast<uint32_t>(event.getResult());
    child->tracee.write({task.call.arguments[3]}, &number, sizeof number);
  }
  applyWrites(task, event.getWrites());
  Registers after = before;
  after.orig_rax = static_cast<uint64_t>(-1);
  task.tracee.setRegisters(after);
  tasks_[event.getChild()] = std::move(child);
}

void Replaying::onExec(Task& task, schema::Exec::Reader event) {
  if (task.atCall) {
    // The stub replaces the program: a fresh address space, and the kernel's own exec semantics.
    struct {
      uint64_t argv[2];
      uint64_t envp[1];
      char empty[8];
    } strings{};
    const uint64_t at = AIRR_GATE_DATA + sizeof(airr_gate_data);
    strings.argv[0] = at + offsetof(decltype(strings), empty);
    if (!task.tracee.write({at}, &strings, sizeof strings)) throw TraceeGone{task.tracee.tid()};
    Registers r = task.tracee.registers();
    r.orig_rax = SYS_execveat;
    r.rdi = kStubFd;
    r.rsi = strings.argv[0];
    r.rdx = at;
    r.r10 = at + offsetof(decltype(strings), envp);
    r.r8 = AT_EMPTY_PATH;
    task.tracee.setRegisters(r);
    task.tracee.resume(Resume::kContinue);
    // A thread that executes takes over its leader's tid.
    task.tracee.renumber(task.process->pid);
    Stop stop = task.tracee.wait();
    if (stop.kind != Stop::Kind::kExec)
      throw Error(ExitCode::kFailure, "replay, event " + std::to_string(trace_.eventNumber()) +
                                          ": a task could not execute the replay stub");
    auto process = std::make_shared<Process>();
    process->pid = task.process->pid;
    process->liveTasks = 1;
    process->openFiles = task.process->openFiles;
    task.process = process;
    task.space = std::make_shared<Space>();
    waitForStub(task);
  }
  loadImage(task, event);
}

void Replaying::loadImage(Task& task, schema::Exec::Reader event) {
  Tracee& tracee = task.tracee;
  Injection injection(tracee);
  const auto clear = [&](uint64_t start, uint64_t end) {
    require(injection.call(SYS_munmap, {start, end - start}), "clearing memory");
  };
  clear(0, AIRR_GATE_TEXT);
  clear(AIRR_GATE_END, kUserEnd);
  uint64_t below = 0;
  for (auto region : event.getRegions()) {
    const uint64_t start = region.getStart(), end = region.getEnd();
    if (start >= end || (start | end) % kPageSize != 0)
      throw Error(ExitCode::kUnreadable, options_.tracePath + ": a program image with an impossible region");
    if (region.getGrowsDown()) {
      // The kernel grows a stack down to its limit on touch; here it has that size at once, so that
      // memory below can be written before it is touched.
      const uint64_t limit = stackLimit_ > kMostStack ? kDefaultStack : pageCeil(stackLimit_);
      const uint64_t bottom = std::max(end - std::min(limit, end), below + kPageSize);
      const uint64_t from = std::min(bottom, start);
      mapPrivate(injection, from, end - from, region.getProtection());
    } else if (region.hasMapping() && region.getMapping().isBlob()) {
      mapBlob(task, injection, start, end - start, region.getProtection(), MAP_PRIVATE, region.getMapping().getBlob());
    } else {
      mapPrivate(injection, start, end - start, region.getProtection());
    }
    below = end;
  }
  injection.end();
  applyWrites(task, event.getPages());
  airr_gate_data data{};
  data.mode = AIRR_GATE_REPLAY;
  data.yield_at = UINT64_MAX;
  if (!tracee.write({AIRR_GATE_DATA}, &data, offsetof(airr_gate_data, stack))) throw TraceeGone{tracee.tid()};
  setRegisters(task, event.getRegisters());
}

// Ends the real task. Its memory, if shared, stays with the others.
void Replaying::endTask(Task& task) {
  Tracee& tracee = task.tracee;
  Registers r = tracee.registers();
  r.rdi = 0;
  if (task.atCall) {
    r.orig_rax = SYS_exit;
    tracee.setRegisters(r);
  } else {
    r.rip = AIRR_GATE_INJECT;
    r.rax = SYS_exit;
    r.orig_rax = static_cast<uint64_t>(-1);
    tracee.setRegisters(r);
  }
  const bool stays = tracee.tid() == task.process->pid && task.process->liveTasks > 1;
  for (;;) {
    tracee.resume(Resume::kContinue);
    Stop stop = tracee.wait();
    if (stop.kind == Stop::Kind::kEnded) break;
    if (stop.kind == Stop::Kind::kExit) {
      tracee.resume(Resume::kContinue);
      // A leader is a zombie until its last thread ends, and is reported only then.
      if (!stays) {
        while (tracee.wait().kind != Stop::Kind::kEnded) tracee.resume(Resume::kContinue);
      }
      break;
    }
  }
  const std::shared_ptr<Process> process = task.process;
  const bool leader = tracee.tid() == process->pid;
  tasks_.erase(raw(task.id));
  if (--process->liveTasks == 0 && !leader) {
    int status = 0;
    while (waitpid(raw(process->pid), &status, __WALL) < 0 && errno == EINTR) {
    }
  }
}

void Replaying::killAll() {
  for (auto& [number, task] : tasks_) kill(raw(task->process->pid), SIGKILL);
  int status = 0;
  while (!tasks_.empty()) {
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0 && errno != EINTR) break;
    // A killed task stops once more on its way out (PTRACE_O_TRACEEXIT).
    if (tid > 0 && WIFSTOPPED(status)) ptrace(PTRACE_CONT, tid, 0, 0);
  }
  tasks_.clear();
}

}  // namespace airr
