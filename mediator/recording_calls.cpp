// Ordinary calls: from the seccomp stop to the event.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "mediator/call_hash.h"
#include "mediator/credentials.h"
#include "mediator/instruction.h"
#include "mediator/recording.h"
#include "mediator/seccomp_filter.h"
#include "mediator/socket_address.h"
#include "mediator/socket_path.h"
#include "mediator/syscalls/extents.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

using schema::Syscall;
using syscalls::Authority;
using syscalls::Treatment;

// Output of at least this many bytes is a blob, so that equal content is stored once.
constexpr uint64_t kBlobThreshold = 32 << 10;
constexpr uint64_t kMseal = 462;  // Linux 6.10

// The socket address that a call gives to the kernel, in words; empty if it gives none.
std::string givenAddress(Tracee& tracee, const syscalls::Call& call) {
  const uint64_t* a = call.arguments;
  uint64_t at = 0, size = 0;
  switch (call.number) {
    case SYS_connect:
    case SYS_bind:
      at = a[1], size = static_cast<uint32_t>(a[2]);
      break;
    case SYS_sendto:
      at = a[4], size = static_cast<uint32_t>(a[5]);
      break;
    case SYS_sendmsg: {
      msghdr message{};
      if (!tracee.readValue({a[1]}, message)) return {};
      at = reinterpret_cast<uint64_t>(message.msg_name), size = message.msg_namelen;
      break;
    }
    default: break;
  }
  uint8_t address[sizeof(sockaddr_storage)];
  if (at == 0 || size > sizeof address || !tracee.read({at}, address, size)) return {};
  return describeAddress(address, size);
}

// Calls by which the world outside changes or is reached: on record before they run.
bool hasEffect(const syscalls::Syscall& model, const syscalls::Call& call) {
  switch (model.authority) {
    case Authority::kNone:
    case Authority::kMetadata:
    case Authority::kSocket:
    case Authority::kSpawn:
    case Authority::kCode:
    case Authority::kDevice:
    case Authority::kPrivilege:  // what the caller then does with it is an effect
      return false;
    case Authority::kSignal: return call.number != SYS_prlimit64 || call.arguments[0] != 0;
    case Authority::kOpen: {
      uint64_t flags = call.number == SYS_open     ? call.arguments[1]
                       : call.number == SYS_openat ? call.arguments[2]
                                                   : uint64_t{O_RDWR};
      return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
    }
    default: return true;
  }
}

}  // namespace

void Recording::hashInputs(Task& task) {
  task.inputHash = airr::hashInputs(*task.model, task.call, task.tracee, regions_);
}

void Recording::enterCall(Task& task) {
  task.entry = task.tracee.callInfo();
  if (task.space->isKernelClock(task.entry.instruction)) {
    task.tracee.skipCall(readKernelClock(task, task.entry.call));
    return task.tracee.resume(Resume::kContinue);
  }
  drainGate(task);
  noteWait(task);
  task.call = task.entry.call;
  forgetClosedFiles(task);
  allowGateCalls(task, task.stash.empty());
  allowInGate(task, AIRR_GATE_MAY_USE_FILES, isAlone(task));
  allowInGate(task, AIRR_GATE_MAY_WAIT, isAlone(task) && task.space->domain->tasks == 1);
  task.model = nullptr;
  task.entered = task.altered = task.releasable = false;
  task.inputHash = 0;
  task.stream = 0;
  task.lookedUp.clear();
  const bool restarting = task.restartable && task.call.number == SYS_restart_syscall;
  if (!restarting) {
    if (task.scratch) task.space->scratch.release(task.scratch);
    task.scratch = {};
    task.redirect = {};
    task.restartable = false;
  }

  if (task.entry.filterData == static_cast<uint32_t>(FilterData::kForeignTable))
    return refuse(task, ENOSYS, "int 0x80");
  if (task.entry.filterData == static_cast<uint32_t>(FilterData::kX32)) return refuse(task, ENOSYS, "x32");
  if (task.call.number == AIRR_SYSCALL) return onShim(task);
  task.model = syscalls::find(task.call.number);
  if (task.model == nullptr) return refuse(task, ENOSYS, "unknown syscall");
  if (task.model->treatment == Treatment::kRefuse)
    return refuse(task, task.model->refusal, task.model->note ? task.model->note : "refused");
  const char* why = nullptr;
  if (int error = syscalls::refusedOperation(*task.model, task.call, &why); error != 0)
    return refuse(task, error, why);
  if (keepsGateFiles(task)) return;
  beforeNamesChange(task);
  if (touchesGate(task)) return refuse(task, EPERM, "changes the gate's memory");
  if (task.model->treatment == Treatment::kMemory && !task.space->sites.patches->empty()) unpatchChanged(task);

  if (!decide(task)) return;

  requeueStash(task);
  switch (task.model->treatment) {
    case Treatment::kSpawn: return startSpawn(task);
    case Treatment::kExec: return startExec(task);
    case Treatment::kExit: return startExit(task);
    case Treatment::kSignalReturn: return startSignalReturn(task);
    default: break;
  }
  hashInputs(task);
  if (task.decided && perform(task)) return;
  if (answerHere(task)) return;
  if (task.tracee.isNotified()) {
    task.tracee.stopAtCall({AIRR_GATE_INJECT});
    task.entry = task.tracee.callInfo();
  }
  if (task.call.number == SYS_close) {
    const uint64_t fd = static_cast<uint32_t>(task.call.arguments[0]);
    task.process->files.forget(static_cast<int>(fd));
    forgetGateFiles(task, fd, fd);
  }
  if (!restarting) {
    task.outputCall = task.call;
    task.outputModel = task.model;
    task.lengths = syscalls::noteLengths(*task.model, task.call, task.tracee);
  }
  startCall(task);
}

void Recording::refuse(Task& task, int error, const char* why) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  if (task.model != nullptr) hashInputs(task);
  fillCall(task, call, Syscall::Phase::WHOLE);
  call.setHandling(Syscall::Handling::REFUSED);
  call.setResult(-error);
  call.setPath(why);
  trace_->commit();
  task.tracee.skipCall(-error);
  task.position = {task.entry.instruction, task.entry.stack,
                   static_cast<uint64_t>(-static_cast<int64_t>(error))};
  endTurn(task);
}

// Ends the call without the kernel; its outputs, if any, are in the task's memory already.
void Recording::answer(Task& task, int64_t result, Syscall::Handling handling) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::WHOLE);
  call.setHandling(handling);
  call.setResult(result);
  task.outputCall = task.call;
  task.outputModel = task.model;
  fillOutputs(task, call, result);
  if (!task.lookedUp.empty()) setPath(call, task.lookedUp);
  noteNames(task, call.asReader());
  trace_->commit();
  patchSite(task);
  task.tracee.skipCall(result);
  task.position = {task.entry.instruction, task.entry.stack, static_cast<uint64_t>(result)};
}

void Recording::startCall(Task& task) {
  if (task.model->treatment == Treatment::kMemory && !prepareMapping(task)) return;
  switch (task.call.number) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendfile:
      task.stream = standardStream(task, static_cast<int>(task.call.arguments[0]));
      break;
    case SYS_copy_file_range:
      task.stream = standardStream(task, static_cast<int>(task.call.arguments[2]));
      break;
    case SYS_splice:
    case SYS_tee: {
      const uint64_t to = task.call.arguments[task.call.number == SYS_tee ? 1 : 2];
      if (standardStream(task, static_cast<int>(to)) != 0)
        return refuse(task, EINVAL, "data moved inside the kernel would not be on record");
      break;
    }
    default: break;
  }
  task.releasable = !task.greets && syscalls::mayBlock(*task.model, task.outputCall);
  if (task.releasable && !task.restartable && task.space->domain->tasks > 1) {
    if (uint64_t size = syscalls::scratchSize(*task.model, task.call, task.tracee); size != 0) {
      constexpr uint64_t kMostScratch = 4 << 20;
      size = std::min(size, kMostScratch);
      task.scratch = task.space->scratch.allocate(size);
      if (task.scratch)
        task.redirect =
            syscalls::redirect(*task.model, task.call, task.tracee, task.scratch, size);
      // Without scratch the kernel would write while siblings run, so the baton stays here.
      if (!task.redirect.active) task.releasable = false;
    }
    if (task.redirect.active) {
      Registers r = task.tracee.registers();
      setArguments(r, task.redirect.call.arguments);
      task.tracee.setRegisters(r);
    }
  }
  if (hasEffect(*task.model, task.call)) {
    writeEnter(task);
    trace_->flush();
  }
  if (task.stream != 0 && !enterStream(task)) return;
  task.state = TaskState::kInKernel;
  task.tracee.resume(Resume::kToSyscallExit);
  if (task.releasable && contended(task)) offerBaton(task);
}

void Recording::fillCall(Task& task, Syscall::Builder call, Syscall::Phase phase) {
  call.setNumber(static_cast<uint16_t>(task.call.number));
  call.setPhase(phase);
  if (task.altered) call.setHandling(Syscall::Handling::ALTERED);
  if (phase == Syscall::Phase::LEAVE) return;
  call.setInputHash(task.inputHash);
  call.setLeadsNowhere(task.leadsNowhere);
  call.setStream(static_cast<Syscall::Stream>(task.stream));
  unsigned count = task.model ? task.model->argumentCount : 6;
  auto arguments = call.initArguments(count);
  for (unsigned i = 0; i < count; ++i) arguments.set(i, task.call.arguments[i]);
}

void Recording::writeEnter(Task& task) {
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, Syscall::Phase::ENTER);
  if (std::string path = describePath(task, -EINPROGRESS); !path.empty()) setPath(call, path);
  if (std::string other = describeName(task, 1); !other.empty()) call.setOtherPath(other);
  trace_->commit();
  task.entered = true;
}

void Recording::finishCall(Task& task) {
  if (task.call.number == SYS_rt_sigreturn) return finishSignalReturn(task);
  const CallInfo exit = task.tracee.callInfo();
  int64_t result = exit.result;
  if (task.redirect.active || task.altered) {
    Registers r = task.tracee.registers();
    setArguments(r, task.call.arguments);
    task.tracee.setRegisters(r);
  }
  if (task.redirect.active &&
      !syscalls::copyBack(*task.outputModel, task.outputCall, task.redirect, result, task.lengths,
                          task.tracee)) {
    result = -EFAULT;
    Registers r = task.tracee.registers();
    r.rax = static_cast<uint64_t>(result);
    task.tracee.setRegisters(r);
  }
  task.restartable = result == kRestartBlock;

  if (task.expectedFile && result >= 0) checkOpened(task, static_cast<int>(result));
  // Blobs, shared objects and the like are written inside; they come before this event.
  if (result >= 0) noteBefore(task, result);
  auto event = beginEvent(task);
  auto call = event.initSyscall();
  fillCall(task, call, task.entered ? Syscall::Phase::LEAVE : Syscall::Phase::WHOLE);
  call.setResult(result);
  fillOutputs(task, call, result);
  noteNames(task, call.asReader());
  if (result >= 0) noteResult(task, call, result);
  // What a name led to is known only now.
  const bool opens = task.model != nullptr && task.model->authority == Authority::kOpen;
  if (opens && result < 0) lookUpFailedOpen(task);
  call.setLeadsNowhere(task.leadsNowhere);
  if (!task.entered || opens)
    if (std::string path = describePath(task, result); !path.empty()) setPath(call, path);
  if (!task.entered) {
    if (std::string other = describeName(task, 1); !other.empty()) call.setOtherPath(other);
  }
  trace_->commit();
  if (task.call.number == SYS_read) noteOpenFile(task, static_cast<int>(task.call.arguments[0]));
  noteEnded(task, result);
  leaveStream(task);
  if (task.scratch && !task.restartable) {
    task.space->scratch.release(task.scratch);
    task.scratch = {};
    task.redirect = {};
  }
  task.position = {exit.instruction, exit.stack, static_cast<uint64_t>(result)};
  if (!endTurnByWake(task, result)) endTurn(task);
}

void Recording::fillOutputs(Task& task, Syscall::Builder call, int64_t result) {
  regions_.clear();
  syscalls::outputRegions(*task.outputModel, task.outputCall, result, task.lengths, task.tracee,
                          regions_);
  std::erase_if(regions_, [](const Region& region) { return region.length == 0; });
  if (regions_.empty()) return;
  auto writes = call.initWrites(static_cast<unsigned>(regions_.size()));
  for (unsigned i = 0; i < regions_.size(); ++i)
    fillWrite(task.tracee, writes[i], regions_[i]);
}

void Recording::fillWrite(Tracee& tracee, schema::MemoryWrite::Builder write, const Region& region) {
  write.setAddress(region.start.value);
  if (region.length < kBlobThreshold) {
    auto bytes = write.initBytes(static_cast<unsigned>(region.length));
    if (!tracee.read(region.start, bytes.begin(), region.length)) write.initBytes(0);
    return;
  }
  bytes_.resize(region.length);
  if (!tracee.read(region.start, bytes_.data(), region.length)) {
    write.initBytes(0);
    return;
  }
  auto range = write.initBlob();
  range.setBlob(trace_->addBlob(bytes_.data(), bytes_.size()));
  range.setOffset(0);
  range.setLength(region.length);
}

// A limit of some process of the session has changed.
void Recording::noteLimit(uint64_t resource) {
  if (static_cast<uint32_t>(resource) == RLIMIT_FSIZE) {
    fileSizesVary_ = true;
  } else {
    predictMappings_ = false;
  }
}

// What the mediator must know about a call that succeeded, and events that go before the call's.
void Recording::noteBefore(Task& task, int64_t result) {
  const uint64_t* a = task.call.arguments;
  afterNamesChange(task);
  switch (task.call.number) {
    case SYS_chroot:
    case SYS_pivot_root:
    case SYS_unshare:
    case SYS_setns:
      task.process->plain = false;
      allowInGate(task, AIRR_GATE_MAY_OPEN, false);
      noteDirectoryVaries(task);
      [[fallthrough]];
    case SYS_chdir:
    case SYS_fchdir:
      task.process->directory.clear();
      task.process->directoryFd.reset();
      break;
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setfsuid:
    case SYS_setfsgid:
    case SYS_setgroups:
    case SYS_capset:
      // Many programs only make sure that they are who they are.
      if (!hasOwnCredentials(task.tracee.tid())) task.process->plain = false;
      break;
    case SYS_rt_sigaction:
      if (a[1] != 0 && a[0] < 65) task.tracee.readValue({a[1]}, task.actions->of[a[0]]);
      break;
    case SYS_rt_sigprocmask: noteSignalMask(task); break;
    case SYS_set_tid_address: task.clearChildTid = a[0]; break;
    case SYS_set_robust_list: task.robustList = a[0]; break;
    case SYS_mmap:
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_mremap:
      noteMappingCall(task, result);
      if (task.call.number == SYS_mmap) shareMapping(task, static_cast<uint64_t>(result));
      break;
    case SYS_madvise: noteAdvice(task); break;
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_mlockall:
    case kMseal:
      predictMappings_ = false;
      break;
    case SYS_setrlimit: noteLimit(a[0]); break;
    case SYS_prlimit64:
      if (a[2] != 0) noteLimit(a[1]);
      break;
    default: break;
  }
}

void Recording::noteResult(Task& task, Syscall::Builder call, int64_t result) {
  switch (task.call.number) {
    case SYS_mmap: noteMapping(task, call, result); break;
    case SYS_mprotect: noteProtection(task, call); break;
    case SYS_sendfile:
    case SYS_copy_file_range:
    case SYS_splice:
      recordPayload(task, call, result);
      break;
    case SYS_open:
    case SYS_openat:
    case SYS_creat:
    case SYS_openat2: recordFormerContent(task, call, result); break;
    default: break;
  }
  if (!sharedObjects_.empty()) noteSharedWrite(task, call, result);
}

// Which of the session's standard streams a descriptor is: the same open file description (kcmp(2)).
uint8_t Recording::standardStream(Task& task, int fd) {
  OpenFiles& files = task.process->files;
  const bool wasKnown = !task.process->sharesFiles && files.known(fd) != nullptr;
  const OpenFile* file = openFile(task, fd);
  const bool isSeen = file != nullptr;
  const std::pair<uint64_t, uint64_t> object = isSeen ? std::pair(file->device, file->inode) : std::pair(0ul, 0ul);
  // No duplicate stays of what is written: it would keep a program from being executed (ETXTBSY).
  if (!wasKnown && isSeen && file->fd) files.forget(fd);
  auto same = [&](int own) {
    return (!isSeen || object == outputs_[own - 1]) &&
           syscall(SYS_kcmp, getpid(), raw(task.tracee.tid()), KCMP_FILE, own, fd) == 0;
  };
  const bool output = same(1), error = same(2);
  if (output && error) return static_cast<uint8_t>(fd == 2 ? Syscall::Stream::ERROR : Syscall::Stream::OUTPUT);
  if (output) return static_cast<uint8_t>(Syscall::Stream::OUTPUT);
  if (error) return static_cast<uint8_t>(Syscall::Stream::ERROR);
  return static_cast<uint8_t>(Syscall::Stream::NONE);
}

// False: another task is writing to the same stream; this one gives up the baton and waits for it.
bool Recording::enterStream(Task& task) {
  StreamTurn& stream = streams_[oneStream_ ? 0 : task.stream - 1];
  task.writesStream = true;
  if (stream.writer == nullptr) {
    stream.writer = &task;
    return true;
  }
  if (!task.entered) writeEnter(task);
  stream.waiting.push_back(&task);
  task.state = TaskState::kBlocked;
  release(task);
  return false;
}

void Recording::leaveStream(Task& task) {
  if (!task.writesStream) return;
  task.writesStream = false;
  StreamTurn& stream = streams_[oneStream_ ? 0 : task.stream - 1];
  std::erase(stream.waiting, &task);
  if (stream.writer != &task) return;
  stream.writer = nullptr;
  while (stream.writer == nullptr && !stream.waiting.empty()) {
    Task* next = stream.waiting.front();
    stream.waiting.pop_front();
    try {
      next->tracee.resume(Resume::kToSyscallExit);
      stream.writer = next;
    } catch (const TraceeGone&) {
      next->writesStream = false;  // killed while it waited
    }
  }
}

// Data that the kernel moved to a file never was in the task's memory: read it from the source, or
// from the file itself where the source is a pipe, before the position that the call left.
void Recording::recordPayload(Task& task, Syscall::Builder call, int64_t result) {
  if (result <= 0) return;
  const uint64_t* a = task.call.arguments;
  const unsigned at = task.call.number == SYS_sendfile ? 1 : task.call.number == SYS_splice ? 2 : 0;
  const int holder = static_cast<int>(a[at]);
  const uint64_t offsetPointer = a[at + 1];
  struct stat s {};
  if (task.call.number == SYS_splice &&
      (stat(descriptorLink(task.tracee.tid(), holder).c_str(), &s) != 0 || !S_ISREG(s.st_mode)))
    return;
  int64_t after = 0;
  if (offsetPointer != 0) {
    if (!task.tracee.readValue({offsetPointer}, after)) return;
  } else {
    after = filePosition(task.tracee.tid(), holder);
  }
  UniqueFd file(open(descriptorLink(task.tracee.tid(), holder).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || after < result) return;
  std::vector<uint8_t> data(static_cast<size_t>(result));
  ssize_t n = pread(file.get(), data.data(), data.size(), after - result);
  if (n != result) return;
  auto write = call.initPayload(1)[0];
  if (data.size() < kBlobThreshold) {
    write.setBytes(capnp::Data::Reader(data.data(), data.size()));
  } else {
    auto range = write.initBlob();
    range.setBlob(trace_->addBlob(data.data(), data.size()));
    range.setLength(data.size());
  }
}

// What a file held before the session may change it, so that replay can tell what the session wrote.
void Recording::recordFormerContent(Task& task, Syscall::Builder call, int64_t result) {
  constexpr off_t kMostContent = 64 << 20;
  const uint64_t* a = task.call.arguments;
  uint64_t flags = task.call.number == SYS_open ? a[1] : task.call.number == SYS_openat ? a[2] : O_TRUNC;
  if (task.call.number == SYS_openat2 && !task.tracee.readValue({a[2]}, flags)) return;
  if ((flags & O_ACCMODE) == O_RDONLY || (flags & (O_TRUNC | O_PATH | O_DIRECTORY)) != 0) return;
  const std::string link = descriptorLink(task.tracee.tid(), static_cast<int>(result));
  struct stat s {};
  if (stat(link.c_str(), &s) != 0 || !S_ISREG(s.st_mode) || s.st_size == 0) return;
  if (s.st_size > kMostContent) {
    call.initPayload(1)[0].setZeros(static_cast<uint64_t>(s.st_size));
    return;
  }
  UniqueFd file(open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return;
  auto range = call.initPayload(1)[0].initBlob();
  range.setBlob(trace_->addFile(file.get()));
  range.setLength(static_cast<uint64_t>(s.st_size));
}

int64_t Recording::filePosition(Tid tid, int fd) {
  const std::string path =
      "/proc/" + std::to_string(raw(tid)) + "/fdinfo/" + std::to_string(fd);
  UniqueFd info(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!info || read(info.get(), text, sizeof text - 1) <= 5) return 0;
  return strtoll(text + 4, nullptr, 10);  // "pos:\t…" is the first line (proc_pid_fdinfo(5))
}

std::string Recording::resolvePath(Task& task, int dirfd, const std::string& name) {
  if (!name.empty() && name[0] == '/') return name;
  std::string base;
  if (dirfd == AT_FDCWD) {
    if (task.process->directory.empty() || task.process->directoryVaries)
      task.process->directory = linkTarget(descriptorLink(task.tracee.tid(), AT_FDCWD));
    base = task.process->directory;
  } else {
    base = linkTarget(descriptorLink(task.tracee.tid(), dirfd));
  }
  if (name.empty()) return base;
  return pathIn(base, name);
}

// The path that a call named, absolute; of an open that succeeded, the path of what it opened; of calls
// that change or map what a descriptor leads to, that file.
std::string Recording::describePath(Task& task, int64_t result) {
  if (task.model == nullptr) return {};
  const syscalls::Syscall& model = *task.model;
  if (model.authority == Authority::kOpen && result >= 0)
    return linkTarget(descriptorLink(task.tracee.tid(), static_cast<int>(result)));
  std::string name = describeName(task, 0);
  if (!name.empty()) return name;
  name = givenAddress(task.tracee, task.call);
  if (task.process->plain)
    name = resolveSocketPath(task.tracee.tid(), name, task.call.number != SYS_bind);
  if (!name.empty()) return name;
  const uint64_t* a = task.call.arguments;
  if (task.call.number == SYS_mmap && (a[2] & PROT_EXEC) != 0 && (a[3] & MAP_ANONYMOUS) == 0)
    return linkTarget(descriptorLink(task.tracee.tid(), static_cast<int>(a[4])));
  if (model.authority == Authority::kModify && model.arguments[0].type == syscalls::Type::kFd)
    return linkTarget(descriptorLink(task.tracee.tid(), static_cast<int>(a[0])));
  return {};
}

// The first or the second path among the arguments, absolute; empty if there is none.
std::string Recording::describeName(Task& task, unsigned which) {
  if (task.model == nullptr) return {};
  const syscalls::Syscall& model = *task.model;
  // As it was decided on. An exec's is that of an interpreter by now.
  if (const auto& found = task.names[which];
      found && found->error == 0 && model.authority != Authority::kExecute)
    return found->path;
  for (unsigned i = 0; i < model.argumentCount; ++i) {
    if (model.arguments[i].type != syscalls::Type::kPath || which-- != 0) continue;
    std::string name;
    if (!task.tracee.readString({task.call.arguments[i]}, name, PATH_MAX)) return {};
    int dirfd = AT_FDCWD;
    if (i > 0 && model.arguments[i - 1].type == syscalls::Type::kDirFd)
      dirfd = static_cast<int>(task.call.arguments[i - 1]);
    return resolvePath(task, dirfd, name);
  }
  return {};
}

// What the shim says, which is text up to the first zero.
void Recording::noteShim(Task& task, uint64_t kind, std::string_view text) {
  static constexpr const char* kKinds[] = {"",       "resolve", "load",  "spawn",
                                           "thread", "random",  "hello", "yield"};
  auto event = beginEvent(task);
  auto note = event.initNote();
  note.setKind(kind < std::size(kKinds) ? kKinds[kind] : "unknown");
  // Cap'n Proto text is UTF-8 for its readers; what the shim says is bytes.
  note.setText(std::string(text.substr(0, text.find('\0'))));
  trace_->commit();
}

void Recording::onShim(Task& task) {
  const uint64_t kind = task.call.arguments[0];
  if (kind == AIRR_NOTE_YIELD) {
    auto event = beginEvent(task);
    event.setGateYield(task.space->gate ? GateMemory::load(task.space->gate->data().hook_count) : 0);
    trace_->commit();
    askForYield(task, false);
  } else {
    const uint64_t length = std::min<uint64_t>(task.call.arguments[2], AIRR_NOTE_SIZE);
    std::string text;
    task.tracee.readString({task.call.arguments[1]}, text, length);
    noteShim(task, kind, text);
  }
  task.tracee.skipCall(0);
  task.position = {task.entry.instruction, task.entry.stack, 0};
  if (kind == AIRR_NOTE_YIELD && contended(task)) return giveUpTurn(task);
  endTurn(task);
}

}  // namespace airr
