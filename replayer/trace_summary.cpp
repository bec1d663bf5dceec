#include "replayer/trace_summary.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "mediator/socket_address.h"
#include "mediator/syscalls/model.h"
#include "replayer/task_tracker.h"

namespace airr {
namespace {

template <typename Texts>
std::vector<std::string> copy(const Texts& texts) {
  std::vector<std::string> all;
  for (auto text : texts) all.emplace_back(text.begin(), text.end());
  return all;
}

std::string hex(capnp::Data::Reader bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string all;
  for (uint8_t byte : bytes) {
    all += kDigits[byte >> 4];
    all += kDigits[byte & 15];
  }
  return all;
}

// Whether the call can write to what it opens. openat2 keeps its flags in memory: unknown here.
bool opensForWriting(const syscalls::Call& call) {
  uint64_t flags = call.number == SYS_open     ? call.arguments[1]
                   : call.number == SYS_openat ? call.arguments[2]
                   : call.number == SYS_creat  ? O_WRONLY
                                               : O_RDONLY;
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

class Gatherer {
 public:
  explicit Gatherer(TraceSummary& to) : to_(to) {}

  void observe(const schema::Event::Reader& event) {
    auto step = tracker_.observe(event);
    ++to_.events;
    to_.duration = std::max(to_.duration, event.getTime());
    if (event.getTask() != raw(TaskId::kSession)) {
      if (tasks_.insert(event.getTask()).second) ++to_.tasks;
      ProcessSummary& process = processFor(event);
      ++process.events;
    }
    switch (event.which()) {
      case schema::Event::EXEC:
        ++to_.execs;
        processFor(event).images.push_back(
            {event.getExec().getPath().cStr(), copy(event.getExec().getArguments())});
        break;
      case schema::Event::SYSCALL:
        if (step) observeCall(event.getSyscall(), *step);
        break;
      case schema::Event::SIGNAL:
        ++to_.signals;
        break;
      case schema::Event::TRAP:
        ++to_.traps[toString(event.getTrap().getKind())];
        break;
      case schema::Event::CLOCKS:
        to_.clockReadings += event.getClocks().size() / 16;
        break;
      case schema::Event::FORCED:
        countForced(event.getForced().getReason());
        break;
      case schema::Event::TASK_EXIT:
        if (event.getTaskExit().getLastOfProcess()) {
          processFor(event).status = event.getTaskExit().getStatus();
        }
        break;
      case schema::Event::NOTE:
        ++to_.notes;
        break;
      case schema::Event::SESSION_END:
        to_.status = event.getSessionEnd().getStatus();
        to_.reason = event.getSessionEnd().getReason().cStr();
        break;
      case schema::Event::POLICY:
        to_.policy = event.getPolicy().getName().cStr();
        to_.bounds = event.getPolicy().getBounds().cStr();
        for (auto tree : event.getPolicy().getOverlays())
          if (to_.overlays.size() < kMaxNames) to_.overlays.emplace_back(tree.cStr());
        break;
      case schema::Event::DECISION:
        ++to_.decisions;
        if (event.getDecision().getError() != 0) ++to_.denials;
        break;
      case schema::Event::SHARED_OBJECT:
      case schema::Event::GATE_YIELD:
      case schema::Event::PATCH:
        break;
    }
  }

  // A thread is its process's by the end of the trace, whichever of parent and child came first.
  void finish() {
    for (uint32_t task : tasks_) {
      auto process = to_.processes.find(tracker_.processOf(task));
      if (process != to_.processes.end()) ++process->second.tasks;
    }
    for (auto& [number, process] : to_.processes) process.parent = tracker_.parentOf(number);
  }

 private:
  ProcessSummary& processFor(const schema::Event::Reader& event) {
    uint32_t number = tracker_.processOf(event.getTask());
    auto [entry, isNew] = to_.processes.try_emplace(number);
    ProcessSummary& process = entry->second;
    if (isNew) {
      process.number = number;
      process.started = event.getTime();
    }
    process.ended = std::max(process.ended, event.getTime());
    return process;
  }

  void countForced(schema::Forced::Reason reason) {
    switch (reason) {
      case schema::Forced::Reason::SPIN:
        ++to_.forced.spin;
        break;
      case schema::Forced::Reason::QUANTUM:
        ++to_.forced.quantum;
        break;
      case schema::Forced::Reason::SIGNAL:
        ++to_.forced.signal;
        break;
    }
  }

  template <typename Value>
  Value* named(std::map<std::string, Value>& map, const std::string& name) {
    auto found = map.find(name);
    if (found != map.end()) return &found->second;
    if (map.size() >= kMaxNames) {
      ++to_.namesLeftOut;
      return nullptr;
    }
    return &map[name];
  }

  void observeCall(schema::Syscall::Reader event, const TaskTracker::Step& step) {
    if (!step.finished) return;
    SyscallCount& count = to_.syscalls[step.call.number];
    ++count.calls;
    bool failed = event.getResult() < 0 && event.getResult() >= -4095;
    if (failed) ++count.failures;
    if (event.getHandling() == schema::Syscall::Handling::REFUSED) ++count.refusals;
    countConnection(event, step);
    if (failed || step.path.empty()) return;

    const syscalls::Syscall* model = syscalls::find(step.call.number);
    if (!model) return;
    bool opens = model->authority == syscalls::Authority::kOpen;
    bool changes = model->authority == syscalls::Authority::kModify;
    if (!opens && !changes) return;
    if (FileUse* use = named(to_.files, step.path)) {
      use->opens += opens;
      use->writable |= opens && opensForWriting(step.call);
      use->changed |= changes;
    }
  }

  void countConnection(schema::Syscall::Reader event, const TaskTracker::Step& step) {
    std::string text;
    switch (step.call.number) {
      case SYS_connect:
        text = "connect";
        break;
      case SYS_bind:
        text = "bind";
        break;
      case SYS_accept:
      case SYS_accept4:
        text = "accept";
        break;
      default:
        return;
    }
    int64_t result = event.getResult();
    if (result < 0 && result != -EINPROGRESS) return;
    std::string address = step.path;
    for (auto write : event.getWrites()) {
      if (!address.empty() || !write.isBytes() || write.getAddress() != step.call.arguments[1]) {
        continue;
      }
      address = describeAddress(write.getBytes().begin(), write.getBytes().size());
    }
    text += address.empty() ? " descriptor " + std::to_string(int(step.call.arguments[0]))
                            : " " + address;
    if (uint64_t* times = named(to_.connections, text)) ++*times;
  }

  TraceSummary& to_;
  TaskTracker tracker_;
  std::set<uint32_t> tasks_;
};

}  // namespace

double TraceSummary::bytesPerEvent() const {
  if (events == 0 || fileSize < blobStoredBytes) return 0;
  return static_cast<double>(fileSize - blobStoredBytes) / static_cast<double>(events);
}

TraceSummary summarise(TraceReader& trace) {
  TraceSummary summary;
  auto header = trace.header();
  summary.arguments = copy(header.getArguments());
  summary.program = header.getProgram().cStr();
  summary.directory = header.getDirectory().cStr();
  summary.airrVersion = header.getAirrVersion().cStr();
  summary.sessionId = hex(header.getSessionId());
  summary.hostName = header.getMachine().getHostName().cStr();
  summary.kernelRelease = header.getMachine().getKernelRelease().cStr();
  summary.cpuModel = header.getMachine().getCpuModel().cStr();
  summary.startedAt = header.getStartedAt();
  summary.userId = header.getUserId();
  summary.groupId = header.getGroupId();

  Gatherer gatherer(summary);
  trace.rewind();
  while (auto event = trace.next()) gatherer.observe(*event);
  gatherer.finish();

  summary.end = trace.end();
  summary.authenticated = trace.authenticated();
  summary.frames = trace.frameCount();
  summary.fileSize = trace.fileSize();
  summary.validSize = trace.validSize();
  summary.blobs = trace.blobCount();
  for (uint32_t i = 0; i < trace.blobCount(); ++i) {
    summary.blobBytes += trace.blobInfo(i).size;
    summary.blobStoredBytes += trace.blobInfo(i).storedSize;
  }
  return summary;
}

const char* toString(schema::Trap::Kind kind) {
  switch (kind) {
    case schema::Trap::Kind::RDTSC:
      return "rdtsc";
    case schema::Trap::Kind::RDTSCP:
      return "rdtscp";
    case schema::Trap::Kind::RDRAND:
      return "rdrand";
    case schema::Trap::Kind::RDSEED:
      return "rdseed";
    case schema::Trap::Kind::CPUID:
      return "cpuid";
  }
  return "unknown";
}

}  // namespace airr
