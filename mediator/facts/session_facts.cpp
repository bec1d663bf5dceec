#include "mediator/facts/session_facts.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "mediator/facts/host_names.h"
#include "mediator/facts/invocation.h"
#include "policies/action_record.h"
#include "policies/bindings.h"
#include "schema/error.h"

namespace airr::facts {

using policies::Action;
using policies::ActionKind;
using policies::Fact;
using policies::IpAddress;

namespace {

constexpr size_t kMaxDescriptors = 1 << 16;
constexpr size_t kMaxTasks = 1'000'000;
constexpr size_t kMaxDecisions = 2'048;  // of one call: UIO_MAXIOV messages, and some

bool isFailure(int64_t result) { return result < 0 && result >= -4095; }

bool opens(uint64_t number) {
  switch (number) {
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
    case SYS_open_by_handle_at:
      return true;
    default:
      return false;
  }
}
bool executes(uint64_t number) { return number == SYS_execve || number == SYS_execveat; }

// A path that is canonical by name needs no copy.
bool isCanonical(std::string_view path) {
  if (path.size() > 1 && path.ends_with('/')) return false;
  for (size_t at = path.find('/'); at != std::string_view::npos; at = path.find('/', at + 1)) {
    const std::string_view rest = path.substr(at + 1);
    if (rest.starts_with('/') || rest == "." || rest == ".." || rest.starts_with("./") ||
        rest.starts_with("../"))
      return false;
  }
  return true;
}

struct Descriptor {
  bool open = false;
  std::string path;
  std::optional<policies::Family> family;
  std::optional<policies::SocketType> type;
  IpAddress peer;
  uint16_t peerPort = 0;
  bool wasRead = false;

  void clear() {  // but for the room that the path has
    open = wasRead = false;
    path.clear();
    family.reset(), type.reset();
    peer = {}, peerPort = 0;
  }
};

}  // namespace

using Descriptors = std::vector<Descriptor>;

struct Process {
  uint32_t number = 0;
  std::string_view exe;
  std::vector<std::string_view> lineage;
  std::shared_ptr<Descriptors> descriptors = std::make_shared<Descriptors>();
};

class SessionFacts::Impl {
 public:
  void observe(const Step& step, const Observer& observer) {
    observer_ = &observer;
    if (step.kind == Step::Kind::kPolicy) {
      if (observer.policy) observer.policy(step);
      return;
    }
    if (step.task == 0) return;
    Task& task = taskOf(step.task);
    switch (step.kind) {
      case Step::Kind::kCall:
        onCall(step, task);
        break;
      case Step::Kind::kExec:
        onExec(step, task);
        break;
      case Step::Kind::kEnd:
        onEnd(step, task);
        break;
      case Step::Kind::kDecision:
        onDecision(step, task);
        break;
      case Step::Kind::kPolicy:
        break;
    }
  }

  void finish(const Observer& observer) {
    observer_ = &observer;
    for (auto& [number, task] : tasks_)
      if (task.held) emitHeld(number, task, -EINTR);
  }

 private:
  // A call that has begun, with what must be known after the step is gone.
  struct Begun {
    syscalls::Call call;
    uint64_t event = 0;
    std::string path, other;
  };
  struct Task {
    std::shared_ptr<Process> process;
    std::optional<Begun> inside;
    bool held = false;               // the deed of `inside` waits for its result
    std::vector<std::vector<uint64_t>> decisions;  // of the next call: messages of one segment
  };

  std::string_view intern(std::string_view text) {
    const auto found = names_.find(text);
    if (found != names_.end()) return *found;
    return *names_.emplace(text).first;
  }

  Task& taskOf(uint32_t number) {
    if (lastTask_ != nullptr && lastNumber_ == number) return *lastTask_;
    auto found = tasks_.find(number);
    if (found == tasks_.end()) {
      if (tasks_.size() >= kMaxTasks)
        throw Error(ExitCode::kTampered, "the trace has more than a million tasks at once");
      found = tasks_.try_emplace(number).first;
      // A child can be heard of before its parent's call has named it.
      const auto parent = spawning_.empty() ? tasks_.end() : tasks_.find(*spawning_.begin());
      if (parent != tasks_.end() && parent->second.inside) {
        const Begun call = *parent->second.inside;
        spawning_.erase(spawning_.begin());
        adopt(number, found->second, parent->second, call.call);
      } else {
        found->second.process = std::make_shared<Process>();
        found->second.process->number = number;
      }
    }
    lastNumber_ = number;
    return *(lastTask_ = &found->second);
  }

  static uint64_t cloneFlags(const syscalls::Call& call) {
    return call.number == SYS_clone   ? call.arguments[0]
           : call.number == SYS_vfork ? CLONE_VFORK
                                      : 0;
  }

  void adopt(uint32_t number, Task& child, const Task& parent, const syscalls::Call& call) {
    const uint64_t flags = cloneFlags(call);
    if ((flags & CLONE_THREAD) != 0) {
      child.process = parent.process;
      return;
    }
    auto process = std::make_shared<Process>(*parent.process);
    process->number = number;
    if (process->lineage.size() + 1 < kMostLineage && !process->exe.empty())
      process->lineage.insert(process->lineage.begin(), process->exe);
    if ((flags & CLONE_FILES) == 0)
      process->descriptors = std::make_shared<Descriptors>(*process->descriptors);
    child.process = std::move(process);
    if (observer_->spawned) observer_->spawned(parent.process->number, number);
  }

  Descriptor* descriptor(Task& task, uint64_t fd) {
    Descriptors& all = *task.process->descriptors;
    return fd < all.size() && all[fd].open ? &all[fd] : nullptr;
  }
  Descriptor* openDescriptor(Task& task, int64_t fd) {
    if (fd < 0 || static_cast<size_t>(fd) >= kMaxDescriptors) return nullptr;
    Descriptors& all = *task.process->descriptors;
    if (static_cast<size_t>(fd) >= all.size()) all.resize(static_cast<size_t>(fd) + 8);
    Descriptor& one = all[static_cast<size_t>(fd)];
    one.clear();
    one.open = true;
    return &one;
  }
  void closeDescriptors(Task& task, uint64_t first, uint64_t last) {
    Descriptors& all = *task.process->descriptors;
    for (uint64_t fd = first; fd <= last && fd < all.size(); ++fd) all[fd].clear();
  }

  void onCall(const Step& step, Task& task) {
    if (step.phase == Step::Phase::kLeave) {
      if (!task.inside || task.inside->call.number != step.call.number) return;
      if (task.held) {
        // What an open for reading leads to is told with its result.
        if (!step.path.empty() && !writesByOpening(task.inside->call)) task.inside->path = step.path;
        if (step.leadsNowhere) {
          task.held = false;
        } else {
          emitHeld(step.task, task, step.result);
        }
      }
      const Begun begun = std::move(*task.inside);
      task.inside.reset();
      const bool awaited = spawning_.erase(step.task) != 0;
      Step whole = step;
      whole.call = begun.call;
      whole.path = begun.path;
      if (!awaited) whole.child = tasks_.contains(step.child) ? 0 : step.child;
      return settle(whole, task);
    }
    if (task.held) emitHeld(step.task, task, -EINTR);
    spawning_.erase(step.task);
    const bool entered = step.phase == Step::Phase::kEnter;
    if (step.refused) {
      task.inside.reset();
      emitDecided(step.task, task, step.event, step.call, step.result, nullptr);
      return;
    }
    if (entered) {
      task.inside = Begun{step.call, step.event, std::string(step.path), std::string(step.other)};
      if (step.call.number == SYS_clone || step.call.number == SYS_fork ||
          step.call.number == SYS_vfork)
        spawning_.insert(step.task);
      if (opens(step.call.number) || executes(step.call.number)) {
        task.held = true;
        return;
      }
      // Until it is known otherwise, it happens.
      return emit(step.task, task, step.event, step.call, step.path, step.other, 0, nullptr);
    }
    task.inside.reset();
    if (!step.leadsNowhere)
      emit(step.task, task, step.event, step.call, step.path, step.other, step.result, nullptr);
    settle(step, task);
  }

  // Of the next call. The first bytes on a connection are decided on in calls that otherwise use what was
  // granted, and whose events are no steps.
  void onDecision(const Step& step, Task& task) {
    if (task.decisions.size() >= kMaxDecisions) return;
    task.decisions.emplace_back(step.message.begin(), step.message.end());
    const auto& words = task.decisions.back();
    const auto segment = kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size());
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1));
    syscalls::Call call;
    call.number = message.getRoot<schema::Decision>().getSyscall();
    if (canHaveActions(call.number)) return;
    kept_.clear();
    emitDecided(step.task, task, step.event, call, 0, nullptr);
  }

  void emitHeld(uint32_t number, Task& task, int64_t result) {
    task.held = false;
    const Begun& begun = *task.inside;
    emit(number, task, begun.event, begun.call, begun.path, begun.other, result, nullptr);
  }

  void onExec(const Step& step, Task& task) {
    const uint32_t former = step.child != 0 ? step.child : step.task;
    Task* caller = &task;
    if (former != step.task) {
      if (const auto found = tasks_.find(former); found != tasks_.end()) caller = &found->second;
    }
    if (caller->held && caller->inside && executes(caller->inside->call.number)) {
      caller->held = false;
      const Begun& begun = *caller->inside;
      emit(former, *caller, begun.event, begun.call, begun.path, begun.other, 0, &step);
    } else if (task.process->exe.empty()) {
      emitFirst(step, task);
    }
    caller->inside.reset();
    Process& process = *task.process;
    process.exe = intern(step.path);
    // Descriptors that close on exec stay here: the record does not tell them apart, and a number
    // that is used again is known anew.
    if (process.descriptors.use_count() > 1)
      process.descriptors = std::make_shared<Descriptors>(*process.descriptors);
  }

  // The program with which the session began: nobody's call.
  void emitFirst(const Step& step, Task& task) {
    syscalls::Call call;
    call.number = SYS_execve;
    emit(step.task, task, step.event, call, step.path, {}, 0, &step);
  }

  void onEnd(const Step& step, Task& task) {
    if (task.held) emitHeld(step.task, task, -EINTR);
    const uint32_t process = task.process->number;
    const bool last = step.lastOfProcess;
    spawning_.erase(step.task);
    tasks_.erase(step.task);
    lastTask_ = nullptr;
    if (last && observer_->ended) observer_->ended(process);
  }

  // What a call that has returned leaves behind.
  void settle(const Step& step, Task& task) {
    const uint64_t* a = step.call.arguments;
    const int64_t result = step.result;
    switch (step.call.number) {
      case SYS_connect:
        notePeer(step, task);
        return;
      default:
        break;
    }
    if (receivesNames(step.call.number)) return noteNames(step, task);
    if (isFailure(result)) return;
    switch (step.call.number) {
      case SYS_open:
      case SYS_openat:
      case SYS_openat2:
      case SYS_creat:
      case SYS_open_by_handle_at:
        if (Descriptor* fd = openDescriptor(task, result)) fd->path = step.path;
        return;
      case SYS_close:
        closeDescriptors(task, a[0] & 0xffffffff, a[0] & 0xffffffff);
        return;
      case SYS_close_range:
        if ((a[2] & CLOSE_RANGE_CLOEXEC_) == 0)
          closeDescriptors(task, a[0] & 0xffffffff, a[1] & 0xffffffff);
        return;
      case SYS_dup:
      case SYS_dup2:
      case SYS_dup3:
      case SYS_fcntl: {
        const Descriptor* from = descriptor(task, a[0]);
        const Descriptor copy = from != nullptr ? *from : Descriptor{};
        if (Descriptor* to = openDescriptor(task, result)) {
          *to = copy;
          to->open = true;
        }
        return;
      }
      case SYS_socket:
      case SYS_accept:
      case SYS_accept4: {
        const Descriptor* from = step.call.number == SYS_socket ? nullptr : descriptor(task, a[0]);
        const auto family = from != nullptr ? from->family : std::nullopt;
        const auto type = from != nullptr ? from->type : std::nullopt;
        if (Descriptor* fd = openDescriptor(task, result)) {
          fd->family = family, fd->type = type;
          if (step.call.number == SYS_socket) setKind(step.call, *fd);
        }
        return;
      }
      case SYS_socketpair:
      case SYS_pipe:
      case SYS_pipe2:
        for (size_t i = 0; i + 4 <= std::min<size_t>(step.data.size(), 8); i += 4) {
          int32_t number;
          std::memcpy(&number, step.data.data() + i, sizeof number);
          Descriptor* fd = openDescriptor(task, number);
          if (fd != nullptr && step.call.number == SYS_socketpair) setKind(step.call, *fd);
        }
        return;
      case SYS_pidfd_open:
      case SYS_memfd_create:
      case SYS_eventfd2:
      case SYS_epoll_create1:
        openDescriptor(task, result);
        return;
      case SYS_clone:
      case SYS_fork:
      case SYS_vfork:
        if (step.child != 0 && !tasks_.contains(step.child)) {
          const std::shared_ptr<Process> keep = task.process;
          Task parent;
          parent.process = keep;
          Task& child = tasks_.try_emplace(step.child).first->second;
          lastTask_ = nullptr;
          adopt(step.child, child, parent, step.call);
        }
        return;
      default:
        return;
    }
  }

  static void setKind(const syscalls::Call& call, Descriptor& fd) {
    CallActions actions;
    CallFacts facts;
    facts.call = call;
    actionsOf(facts, actions);
    if (actions.count == 0) return;
    fd.family = actions.action[0].family;
    fd.type = actions.action[0].socketType;
  }

  void notePeer(const Step& step, Task& task) {
    Descriptor* fd = descriptor(task, step.call.arguments[0]);
    if (fd == nullptr || !step.path.starts_with("inet")) return;
    CallFacts facts;
    facts.call = step.call;
    facts.path = step.path;
    CallActions actions;
    actionsOf(facts, actions);
    if (actions.count == 0 || !actions.action[0].has(Fact::kHost)) return;
    fd->peer = actions.action[0].host;
    fd->peerPort = actions.action[0].port;
  }

  void noteNames(const Step& step, Task& task) {
    Descriptor* fd = descriptor(task, step.call.arguments[0]);
    if (fd == nullptr) return;
    const bool atStart = !std::exchange(fd->wasRead, true);
    if (!fd->path.empty()) {
      const HostNames::File file = HostNames::fileOf(fd->path);
      for (const std::string_view piece : step.words) hosts_.noteFile(file, piece, atStart);
      return;
    }
    if (step.data.empty() ? !hosts_.isServer(fd->peer, fd->peerPort) : !hosts_.isServer(step.data)) return;
    for (const std::string_view piece : step.words) hosts_.noteAnswer(piece);
  }

  std::string_view canonical(std::string_view path) {
    if (!path.starts_with('/') || isCanonical(path)) return path;
    return kept_.emplace_back(*policies::canonicalPath(path));
  }

  // Which descriptor a call works on, if its path does not say what it is about.
  static std::optional<uint64_t> descriptorOf(const syscalls::Call& call) {
    if (call.number == SYS_mmap) return call.arguments[4] & 0xffffffff;
    const syscalls::Syscall* model = syscalls::find(call.number);
    if (model == nullptr || model->argumentCount == 0) return std::nullopt;
    const auto type = model->arguments[0].type;
    if (type != syscalls::Type::kFd && type != syscalls::Type::kDirFd) return std::nullopt;
    return call.arguments[0] & 0xffffffff;
  }

  void emit(uint32_t number, Task& task, uint64_t event, const syscalls::Call& call,
            std::string_view path, std::string_view other, int64_t result, const Step* image) {
    if (!kept_.empty()) kept_.clear();
    if (emitDecided(number, task, event, call, result, image)) return;
    Deed& deed = deedOf(number, task, event, call, result);
    CallFacts facts;
    facts.call = call;
    facts.path = canonical(path);
    facts.other = canonical(other);
    if (const auto fd = descriptorOf(call)) {
      const Descriptor* known = descriptor(task, *fd);
      if (known != nullptr) facts.descriptor = {known->path, known->family, known->type};
      facts.descriptor.isUnknown = known == nullptr;
    }
    if (call.number == SYS_mmap && !path.empty()) facts.descriptor.path = path;
    facts.targetIsInside = true;  // one outside has its decision on record
    actionsOf(facts, actions_);
    if (actions_.count == 0) return;
    for (unsigned i = 0; i < actions_.count; ++i) {
      addFileFacts(actions_.action[i], call, result);
      deed.actions.push_back(&actions_.action[i]);
    }
    if (executes(call.number)) addProgram(actions_.action[0], image);
    deliver(task, deed);
  }

  Deed& deedOf(uint32_t number, const Task& task, uint64_t event, const syscalls::Call& call,
               int64_t result) {
    Deed& deed = deed_;
    auto actions = std::move(deed.actions);
    actions.clear();
    deed = Deed{};
    deed.actions = std::move(actions);
    deed.event = event;
    deed.task = number;
    deed.process = task.process->number;
    deed.syscall = call.number;
    deed.result = result;
    return deed;
  }

  // The call as it was decided on when it was recorded: an exec of a script and a message to several
  // were decided on more than once. False: there is no such record.
  bool emitDecided(uint32_t number, Task& task, uint64_t event, const syscalls::Call& call,
                   int64_t result, const Step* image) {
    if (task.decisions.empty()) return false;
    const auto decisions = std::exchange(task.decisions, {});
    bool some = false;
    for (const auto& words : decisions) {
      const auto segment = kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size());
      capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1));
      const auto decision = message.getRoot<schema::Decision>();
      if (decision.getSyscall() != call.number) continue;
      some = true;
      Deed& deed = deedOf(number, task, event, call, result);
      deed.derived = false;
      auto verdictOf = [](schema::Decision::Verdict verdict) {
        return static_cast<policies::Verdict>(std::min(static_cast<unsigned>(verdict), 4u));
      };
      deed.recorded = verdictOf(decision.getVerdict());
      deed.permitted = decision.getError() == 0;
      policies::Verdict strictest = policies::Verdict::kAllow;
      recorded_.clear();
      for (auto action : decision.getActions()) {
        Action& one = recorded_.emplace_back(action).action();
        if (const auto* model = syscalls::find(call.number); model != nullptr && one.has(Fact::kSyscall))
          one.syscall = model->name;
        if (executes(call.number)) addDigest(one, image);
        deed.actions.push_back(&one);
        if (verdictOf(action.getVerdict()) > strictest) {
          strictest = verdictOf(action.getVerdict());
          deed.strictestRecorded = deed.actions.size() - 1;
        }
      }
      deed.byFloor = *deed.recorded == policies::Verdict::kBlocked && strictest < *deed.recorded;
      if (!deed.actions.empty()) deliver(task, deed);
    }
    return some;
  }

  static void addFileFacts(Action& action, const syscalls::Call& call, int64_t result) {
    if ((policies::only(action.kind) & policies::kFileActions) == 0) return;
    for (Fact fact : {Fact::kFileExists, Fact::kFileKind, Fact::kFileOwner, Fact::kFileMode})
      action.setUnknown(fact);
    const bool creates = action.kind == ActionKind::kCreate;
    if (result == -ENOENT && !creates) {
      action.fileExists = false;
      action.set(Fact::kFileExists);
    } else if (!isFailure(result) && !creates && opens(call.number)) {
      action.fileExists = true;
      action.set(Fact::kFileExists);
    }
  }

  // The arguments on the new stack are those of the interpreter, if a script was started: its own
  // come behind its name (fs/binfmt_script.c).
  void addProgram(Action& action, const Step* image) {
    if (image == nullptr) {
      action.setUnknown(Fact::kArguments), action.setUnknown(Fact::kCommandLine);
      return addDigest(action, image);
    }
    const auto words = image->words;
    const std::string_view name = policies::baseName(action.path);
    size_t script = 0;
    if (!words.empty() && policies::baseName(words[0]) != name && image->path != action.path)
      for (size_t i = 1; i < std::min<size_t>(words.size(), 3); ++i)
        if (policies::baseName(words[i]) == name) {
          script = i;
          break;
        }
    action.setArguments(words.subspan(script));
    if (script == 0 && image->path.starts_with('/')) action.setPath(image->path);
    addDigest(action, image);
  }

  // Of the program that was started; a script's content is not on record.
  void addDigest(Action& action, const Step* image) {
    if (!observer_->wantDigests || action.has(Fact::kDigest) || action.isUnknown(Fact::kDigest)) return;
    action.setUnknown(Fact::kDigest);
    const bool isImage = image != nullptr && image->path == action.path;
    if (!isImage || image->programBlob == UINT32_MAX || !observer_->digestOf) return;
    const std::string digest = observer_->digestOf(image->programBlob);
    if (digest.empty()) return;
    action.digest = kept_.emplace_back(digest);
    action.set(Fact::kDigest);
  }

  void deliver(Task& task, Deed& deed) {
    const Process& process = *task.process;
    lineage_.clear();
    if (!process.exe.empty()) lineage_.push_back(process.exe);
    lineage_.insert(lineage_.end(), process.lineage.begin(), process.lineage.end());
    for (Action* action : deed.actions) {
      if (!process.exe.empty()) action->setExe(process.exe);
      if (!lineage_.empty()) {
        action->lineage = lineage_;
        action->set(Fact::kLineage);
      }
      if (deed.derived && action->has(Fact::kHost)) {
        action->hostNames = hosts_.namesOf(action->host);
        if (!action->hostNames.empty()) action->set(Fact::kHostNames);
      }
      const bool classed = action->has(Fact::kClass) || action->isUnknown(Fact::kClass);
      if (observer_->wantClasses && action->kind == ActionKind::kExec && !classed)
        invocation_.describe(*action);
    }
    observer_->deed(deed);
  }

  static constexpr uint64_t CLOSE_RANGE_CLOEXEC_ = 4;  // linux/close_range.h

  const Observer* observer_ = nullptr;
  std::unordered_map<uint32_t, Task> tasks_;
  Task* lastTask_ = nullptr;
  uint32_t lastNumber_ = 0;
  std::set<uint32_t> spawning_;  // tasks inside a call whose child is not known yet
  HostNames hosts_;

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_set<std::string, Hash, std::equal_to<>> names_;

  // Of the deed that is delivered. An exec has one action, whose words `invocation_` has.
  InvocationFacts invocation_;
  Deed deed_;
  CallActions actions_;
  std::deque<std::string> kept_;
  std::vector<std::string_view> lineage_;
  std::deque<policies::RecordedAction> recorded_;
};

SessionFacts::SessionFacts() : impl_(std::make_unique<Impl>()) {}
SessionFacts::~SessionFacts() = default;
void SessionFacts::observe(const Step& step, const Observer& observer) {
  impl_->observe(step, observer);
}
void SessionFacts::finish(const Observer& observer) { impl_->finish(observer); }

}  // namespace airr::facts
