#include <fnmatch.h>
#include <string.h>

#include <algorithm>
#include <cstring>
#include <iomanip>

#include "mediator/call_hash.h"
#include "mediator/syscalls/print.h"
#include "policies/facts.h"
#include "replayer/task_tracker.h"
#include "tools/inspect.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

using nlohmann::json;
using Writes = capnp::List<schema::MemoryWrite>::Reader;

uint64_t sizeOf(schema::MemoryWrite::Reader write) {
  switch (write.which()) {
    case schema::MemoryWrite::BYTES:
      return write.getBytes().size();
    case schema::MemoryWrite::BLOB:
      return write.getBlob().getLength();
    case schema::MemoryWrite::ZEROS:
      return write.getZeros();
  }
  return 0;
}

uint64_t totalSize(Writes writes) {
  uint64_t total = 0;
  for (auto write : writes) total += sizeOf(write);
  return total;
}

// The memory that an event says was written: all that is known of the tracee's memory here.
class WrittenMemory : public syscalls::MemoryReader {
 public:
  explicit WrittenMemory(Writes writes) : writes_(writes) {}

  bool read(Address from, void* to, uint64_t size) override {
    for (auto write : writes_) {
      uint64_t offset = from.value - write.getAddress();
      uint64_t available = sizeOf(write);
      if (from.value < write.getAddress() || offset > available || size > available - offset) {
        continue;
      }
      if (write.isBytes()) {
        std::memcpy(to, write.getBytes().begin() + offset, size);
        return true;
      }
      if (write.isZeros()) {
        std::memset(to, 0, size);
        return true;
      }
    }
    return false;
  }

 private:
  Writes writes_;
};

const char* phaseName(schema::Syscall::Phase phase) {
  switch (phase) {
    case schema::Syscall::Phase::WHOLE:
      return "whole";
    case schema::Syscall::Phase::ENTER:
      return "enter";
    case schema::Syscall::Phase::LEAVE:
      return "leave";
  }
  return "unknown";
}

const char* handlingName(schema::Syscall::Handling handling) {
  switch (handling) {
    case schema::Syscall::Handling::KERNEL:
      return "kernel";
    case schema::Syscall::Handling::MEDIATOR:
      return "mediator";
    case schema::Syscall::Handling::REFUSED:
      return "refused";
    case schema::Syscall::Handling::ALTERED:
      return "altered";
    case schema::Syscall::Handling::GATE:
      return "gate";
  }
  return "unknown";
}

const char* actionName(schema::Signal::Action action) {
  switch (action) {
    case schema::Signal::Action::HANDLER:
      return "handler";
    case schema::Signal::Action::IGNORED:
      return "ignored";
    case schema::Signal::Action::STOP:
      return "stop";
    case schema::Signal::Action::FATAL:
      return "fatal";
  }
  return "unknown";
}

const char* reasonName(schema::Forced::Reason reason) {
  switch (reason) {
    case schema::Forced::Reason::SPIN:
      return "spin";
    case schema::Forced::Reason::QUANTUM:
      return "quantum";
    case schema::Forced::Reason::SIGNAL:
      return "signal";
  }
  return "unknown";
}

json textsJson(capnp::List<capnp::Text>::Reader texts) {
  json list = json::array();
  for (auto text : texts) list.push_back(jsonText({text.begin(), text.size()}));
  return list;
}

// The path of a refused call is the reason instead.
bool isRefused(schema::Syscall::Reader event) {
  return event.getHandling() == schema::Syscall::Handling::REFUSED;
}

bool isFailure(int64_t result) { return result < 0 && result >= -4095; }

std::string resultText(int64_t result) {
  if (!isFailure(result)) return std::to_string(result);
  const char* name = strerrorname_np(static_cast<int>(-result));
  return "-1 " + (name ? std::string(name) : std::to_string(-result));
}

std::string callText(schema::Syscall::Reader event, const TaskTracker::Step& step) {
  const syscalls::Syscall* model = syscalls::find(step.call.number);
  std::string text;
  if (model) {
    WrittenMemory memory(event.getWrites());
    text = step.finished ? syscalls::format(*model, step.call, event.getResult(), &memory)
                         : syscalls::format(*model, step.call, &memory);
  } else {
    text = syscallName(step.call.number) + "(";
    for (int i = 0; i < 6; ++i) text += (i ? ", " : "") + hex(step.call.arguments[i]);
    text += ")";
    if (step.finished) text += " = " + resultText(event.getResult());
  }
  if (event.getPhase() == schema::Syscall::Phase::LEAVE) text = "… " + text;
  if (!step.finished) text += " …";
  if (isRefused(event)) {
    text += " refused: " + std::string(event.getPath().cStr());
  } else {
    if (!step.path.empty()) text += " path " + inQuotes(step.path);
    if (event.getHandling() == schema::Syscall::Handling::MEDIATOR) text += " by the mediator";
    if (event.getHandling() == schema::Syscall::Handling::ALTERED) text += " altered";
    if (event.getHandling() == schema::Syscall::Handling::GATE) text += " in the gate";
  }
  if (event.getChild()) text += " task " + std::to_string(event.getChild());
  if (event.getWrites().size()) text += " received " + byteCount(totalSize(event.getWrites()));
  if (event.getPayload().size()) text += " moved " + byteCount(totalSize(event.getPayload()));
  return text;
}

const char* verdictName(schema::Decision::Verdict verdict) {
  static constexpr const char* kNames[] = {"allow", "read-only", "approve", "restricted", "blocked"};
  const auto number = static_cast<unsigned>(verdict);
  return number < std::size(kNames) ? kNames[number] : "unknown";
}

const char* actionName(uint8_t kind) {
  return kind < policies::kActionKinds ? policies::toString(static_cast<policies::ActionKind>(kind))
                                       : "unknown";
}

std::string decisionText(schema::Decision::Reader decision) {
  std::string text = "decided on " + syscallName(decision.getSyscall()) + ": " +
                     verdictName(decision.getVerdict());
  for (auto action : decision.getActions()) {
    text += std::string("; ") + actionName(action.getKind());
    if (action.getPath().size() != 0) text += " " + inQuotes(action.getPath().cStr());
    for (auto rule : action.getRules()) text += " by " + inQuotes(rule.cStr());
    if (action.getReason().size() != 0) text += ": " + inQuotes(action.getReason().cStr());
  }
  return text;
}

json decisionJson(schema::Decision::Reader decision) {
  json actions = json::array();
  for (auto action : decision.getActions()) {
    json rules = json::array();
    for (auto rule : action.getRules()) rules.push_back(jsonText(rule.cStr()));
    actions.push_back({{"action", actionName(action.getKind())},
                       {"verdict", verdictName(action.getVerdict())},
                       {"path", jsonText(action.getPath().cStr())},
                       {"rules", std::move(rules)},
                       {"reason", jsonText(action.getReason().cStr())}});
    if (action.getOtherPath().size() != 0)
      actions.back()["otherPath"] = jsonText(action.getOtherPath().cStr());
  }
  json object = {{"kind", "decision"},
                 {"syscall", syscallName(decision.getSyscall())},
                 {"verdict", verdictName(decision.getVerdict())},
                 {"error", decision.getError()},
                 {"actions", std::move(actions)}};
  if (decision.hasAnsweredBy()) object["answeredBy"] = jsonText(decision.getAnsweredBy().cStr());
  return object;
}

std::string patchedPlaces(capnp::List<schema::MemoryWrite>::Reader pieces) {
  std::string places;
  for (schema::MemoryWrite::Reader piece : pieces) places += " " + hex(piece.getAddress());
  return places;
}

std::string eventText(const schema::Event::Reader& event,
                      const std::optional<TaskTracker::Step>& step) {
  switch (event.which()) {
    case schema::Event::EXEC: {
      auto exec = event.getExec();
      return "exec " + inQuotes(exec.getPath().cStr()) + ": " + commandLine(exec.getArguments());
    }
    case schema::Event::SYSCALL:
      return step ? callText(event.getSyscall(), *step) : std::string("syscall of no task");
    case schema::Event::SIGNAL: {
      auto signal = event.getSignal();
      return "signal " + signalName(signal.getNumber()) + " " + actionName(signal.getAction()) +
             (signal.getSynchronous() ? " (by the instruction itself)" : "");
    }
    case schema::Event::TRAP:
      return std::string("trap ") + toString(event.getTrap().getKind()) + " " +
             hex(event.getTrap().getA()) + " " + hex(event.getTrap().getB());
    case schema::Event::CLOCKS:
      return plural(event.getClocks().size() / 16, "clock reading");
    case schema::Event::FORCED:
      return std::string("forced hand-over: ") + reasonName(event.getForced().getReason()) + ", " +
             byteCount(totalSize(event.getForced().getPages())) + " of memory";
    case schema::Event::TASK_EXIT:
      return std::string(event.getTaskExit().getLastOfProcess() ? "process" : "task") +
             " ended: " + waitStatus(event.getTaskExit().getStatus());
    case schema::Event::NOTE:
      return "note " + inQuotes(event.getNote().getKind().cStr()) + " " +
             inQuotes(event.getNote().getText().cStr());
    case schema::Event::SHARED_OBJECT: {
      auto object = event.getSharedObject();
      return "shared object " + std::to_string(object.getObject()) + " of " +
             byteCount(object.getSize()) + " " + inQuotes(object.getPath().cStr());
    }
    case schema::Event::SESSION_END: {
      auto end = event.getSessionEnd();
      std::string reason = end.getReason().cStr();
      return "session ended: " + waitStatus(end.getStatus()) +
             (reason.empty() ? "" : ": " + inQuotes(reason));
    }
    case schema::Event::POLICY:
      return "policy in force: " + inQuotes(event.getPolicy().getName().cStr()) +
             (event.getPolicy().getBounds().size() == 0 ? "" : ", with bounds in the kernel") +
             (event.getPolicy().getOverlays().size() == 0 ? "" : ", over an overlay");
    case schema::Event::DECISION:
      return decisionText(event.getDecision());
    case schema::Event::GATE_YIELD:
      return "baton given up at hook " + std::to_string(event.getGateYield());
    case schema::Event::PATCH:
      return "call site led into the gate" + patchedPlaces(event.getPatch());
  }
  return "an event of a kind that this airr does not know";
}

json patchJson(capnp::List<schema::MemoryWrite>::Reader pieces) {
  json places = json::array();
  for (schema::MemoryWrite::Reader piece : pieces) places.push_back(hex(piece.getAddress()));
  return {{"kind", "patch"}, {"addresses", places}};
}

json callJson(schema::Syscall::Reader event, const TaskTracker::Step& step) {
  json arguments = json::array();
  const syscalls::Syscall* model = syscalls::find(step.call.number);
  for (int i = 0; i < (model ? model->argumentCount : 6); ++i) {
    arguments.push_back(hex(step.call.arguments[i]));
  }
  json object = {{"kind", "syscall"},
                 {"syscall", syscallName(step.call.number)},
                 {"number", step.call.number},
                 {"phase", phaseName(event.getPhase())},
                 {"handling", handlingName(event.getHandling())},
                 {"arguments", std::move(arguments)}};
  if (step.finished) {
    object["result"] = event.getResult();
    if (isFailure(event.getResult())) {
      if (const char* name = strerrorname_np(static_cast<int>(-event.getResult()))) {
        object["error"] = name;
      }
    }
  }
  if (const uint64_t digest = inputHashOf(event)) object["inputHash"] = hex(digest);
  if (!step.path.empty()) object[isRefused(event) ? "reason" : "path"] = jsonText(step.path);
  if (event.getOtherPath().size() != 0) object["otherPath"] = jsonText(event.getOtherPath().cStr());
  if (event.getChild()) object["child"] = event.getChild();
  if (event.getStream() == schema::Syscall::Stream::OUTPUT) object["stream"] = "output";
  if (event.getStream() == schema::Syscall::Stream::ERROR) object["stream"] = "error";
  for (auto write : event.getWrites()) {
    object["writes"].push_back({{"address", hex(write.getAddress())}, {"size", sizeOf(write)}});
  }
  if (event.getPayload().size()) object["payloadSize"] = totalSize(event.getPayload());
  for (auto write : event.getSharedWrites()) {
    object["sharedWrites"].push_back({{"object", write.getObject()},
                                      {"offset", write.getOffset()},
                                      {"size", write.getBytes().size()}});
  }
  return object;
}

json eventJson(const schema::Event::Reader& event, const std::optional<TaskTracker::Step>& step) {
  switch (event.which()) {
    case schema::Event::EXEC: {
      json arguments = json::array();
      for (auto text : event.getExec().getArguments()) {
        arguments.push_back(jsonText({text.begin(), text.size()}));
      }
      json environment = json::array();
      for (auto text : event.getExec().getEnvironment()) {
        environment.push_back(jsonText({text.begin(), text.size()}));
      }
      return {{"kind", "exec"},
              {"path", jsonText(event.getExec().getPath().cStr())},
              {"arguments", std::move(arguments)},
              {"environment", std::move(environment)},
              {"formerTask", event.getExec().getFormerTask()}};
    }
    case schema::Event::SYSCALL:
      return step ? callJson(event.getSyscall(), *step) : json{{"kind", "syscall"}};
    case schema::Event::SIGNAL:
      return {{"kind", "signal"},
              {"signal", signalName(event.getSignal().getNumber())},
              {"number", event.getSignal().getNumber()},
              {"action", actionName(event.getSignal().getAction())},
              {"synchronous", event.getSignal().getSynchronous()}};
    case schema::Event::TRAP:
      return {{"kind", "trap"},
              {"trap", toString(event.getTrap().getKind())},
              {"a", hex(event.getTrap().getA())},
              {"b", hex(event.getTrap().getB())}};
    case schema::Event::CLOCKS:
      return {{"kind", "clocks"}, {"readings", event.getClocks().size() / 16}};
    case schema::Event::FORCED:
      return {{"kind", "forced"},
              {"reason", reasonName(event.getForced().getReason())},
              {"memorySize", totalSize(event.getForced().getPages())}};
    case schema::Event::TASK_EXIT:
      return {{"kind", "exit"},
              {"wait", event.getTaskExit().getStatus()},
              {"text", waitStatus(event.getTaskExit().getStatus())},
              {"lastOfProcess", event.getTaskExit().getLastOfProcess()}};
    case schema::Event::NOTE:
      return {{"kind", "note"},
              {"note", jsonText(event.getNote().getKind().cStr())},
              {"text", jsonText(event.getNote().getText().cStr())}};
    case schema::Event::SHARED_OBJECT:
      return {{"kind", "sharedObject"},
              {"object", event.getSharedObject().getObject()},
              {"size", event.getSharedObject().getSize()},
              {"path", jsonText(event.getSharedObject().getPath().cStr())}};
    case schema::Event::SESSION_END:
      return {{"kind", "sessionEnd"},
              {"wait", event.getSessionEnd().getStatus()},
              {"text", waitStatus(event.getSessionEnd().getStatus())},
              {"reason", jsonText(event.getSessionEnd().getReason().cStr())}};
    case schema::Event::POLICY:
      return {{"kind", "policy"},
              {"name", jsonText(event.getPolicy().getName().cStr())},
              {"text", jsonText(event.getPolicy().getText().cStr())},
              {"bounds", jsonText(event.getPolicy().getBounds().cStr())},
              {"overlays", textsJson(event.getPolicy().getOverlays())}};
    case schema::Event::DECISION:
      return decisionJson(event.getDecision());
    case schema::Event::GATE_YIELD:
      return {{"kind", "gateYield"}, {"hook", event.getGateYield()}};
    case schema::Event::PATCH:
      return patchJson(event.getPatch());
  }
  return {{"kind", "unknown"}};
}

std::string pathOf(const schema::Event::Reader& event,
                   const std::optional<TaskTracker::Step>& step) {
  if (step) return isRefused(event.getSyscall()) ? std::string() : step->path;
  if (event.isExec()) return event.getExec().getPath().cStr();
  if (event.isSharedObject()) return event.getSharedObject().getPath().cStr();
  return {};
}

bool passes(const InspectOptions& options, const schema::Event::Reader& event, uint32_t process,
            const std::optional<TaskTracker::Step>& step) {
  if (options.process && *options.process != process) return false;
  if (!options.syscall.empty() && (!step || syscallName(step->call.number) != options.syscall)) {
    return false;
  }
  if (options.path.empty()) return true;
  std::string path = pathOf(event, step);
  return !path.empty() && fnmatch(options.path.c_str(), path.c_str(), 0) == 0;
}

}  // namespace

std::string eventLine(const schema::Event::Reader& event) {
  return printable(eventText(event, TaskTracker().observe(event)));
}

nlohmann::json eventObject(const schema::Event::Reader& event) {
  json object = eventJson(event, TaskTracker().observe(event));
  object["microseconds"] = event.getTime();
  object["task"] = event.getTask();
  return object;
}

void printEvents(TraceReader& trace, const InspectOptions& options, std::ostream& to) {
  TaskTracker tracker;
  trace.rewind();
  while (auto event = trace.next()) {
    auto step = tracker.observe(*event);
    uint32_t process = tracker.processOf(event->getTask());
    if (!passes(options, *event, process, step)) continue;
    if (options.json) {
      json object = eventJson(*event, step);
      object["event"] = trace.eventNumber();
      object["microseconds"] = event->getTime();
      object["task"] = event->getTask();
      object["process"] = process;
      to << dump(object) << '\n';
    } else {
      to << std::right << std::setw(8) << trace.eventNumber() << ' ' << std::setw(14)
         << seconds(event->getTime()) << ' ' << std::left << std::setw(8)
         << std::to_string(process) + "." + std::to_string(event->getTask()) << ' '
         << printable(eventText(*event, step)) << '\n';
    }
    if (!to) return;
  }
}

}  // namespace airr::tools
