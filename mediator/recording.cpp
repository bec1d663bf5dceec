#include "mediator/recording.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "mediator/landlock.h"
#include "mediator/machine.h"
#include "mediator/seccomp_filter.h"
#include "policies/bindings.h"
#include "recorder/files.h"
#include "recorder/gate/gate.h"
#include "recorder/guarded_places.h"
#include "recorder/identity.h"
#include "schema/error.h"

namespace airr {
namespace {

// Signals to airr itself that are passed on to the program. Those that a terminal sends to the whole
// foreground group reach the program without us (si_code SI_KERNEL), and are not sent twice.
volatile sig_atomic_t gForward[NSIG];
volatile sig_atomic_t gTick;

void onForwardable(int signal, siginfo_t* info, void*) {
  if (info->si_code != SI_KERNEL) gForward[signal] = 1;
}
void onAlarm(int) { gTick = 1; }

constexpr int kForwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT};
constexpr long kTickNanoseconds = 5'000'000;

// Without links, as far as it exists.
std::string realPath(const std::string& path) {
  char whole[PATH_MAX];
  if (::realpath(path.c_str(), whole) != nullptr) return whole;
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  return error ? path : real.native();
}

}  // namespace

Recording::Recording(RecordOptions options)
    : options_(std::move(options)),
      approver_({approvalsPath(), options_.approveCommand, options_.awaitApproval},
                [this](pid_t process) { return tasks_.contains(process); }) {}

Recording::~Recording() = default;

int Recording::run() {
  launch();
  struct sigaction action {};
  action.sa_sigaction = onForwardable;
  action.sa_flags = SA_SIGINFO;
  for (int signal : kForwarded) sigaction(signal, &action, nullptr);
  signal(SIGTSTP, SIG_IGN);
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error of the trace, not our end
  struct sigaction children {};
  children.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &children, nullptr);
  sigset_t childSignal;
  sigemptyset(&childSignal);
  sigaddset(&childSignal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &childSignal, nullptr);
  childSignals_.reset(signalfd(-1, &childSignal, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!childSignals_) throw systemError("signalfd");
  struct sigaction alarm {};
  alarm.sa_handler = onAlarm;
  sigaction(SIGALRM, &alarm, nullptr);
  timer_t timer;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) throw systemError("timer_create");
  const itimerspec period{{0, kTickNanoseconds}, {0, kTickNanoseconds}};
  timer_settime(timer, 0, &period, nullptr);
  loop();
  timer_delete(timer);
  finish();
  return rootStatus_;
}

void Recording::launch() {
  program_ = findProgram(options_.command.at(0));
  policies::Policy& policy = options_.policy;
  const std::vector<uint8_t> sessionId = randomBytes(16);
  coverTrees(sessionId);
  counterTraps_ = trapOwnCounter();
  if (options_.pin) pinSession();
  if (!options_.shimPath.empty() && !policies::letsLoad(policy, realPath(options_.shimPath))) {
    fprintf(stderr, "airr: policy '%s' lets no program load %s: recording without the shim\n",
            policy.name().c_str(), options_.shimPath.c_str());
    options_.shimPath.clear();
  }
  LaunchOptions launchOptions;
  launchOptions.program = program_;
  launchOptions.arguments = options_.command;
  launchOptions.environment = recordedEnvironment(options_.shimPath);
  grantGate();
  if (opens_) {
    const auto files = opens_->files();
    launchOptions.gateFiles.assign(files.begin(), files.end());
  }
  launchOptions.filter = Filter(notifiedCalls(overlay_ || policies::decidesAnything(policy)), gatePowers_);
  const LandlockRules kernelRules = compileLandlock(policy, landlockAbi());
  UniqueFd ruleset;
  if (!kernelRules.empty()) ruleset = makeRuleset(kernelRules);
  kernelBounds_ = describe(kernelRules);
  launchOptions.landlock = ruleset.get();
  launcher_ = std::make_unique<Launcher>(std::move(launchOptions));

  capnp::MallocMessageBuilder message;
  auto header = message.initRoot<schema::Header>();
  header.setAirrVersion(AIRR_VERSION);
  header.setSessionId(capnp::Data::Reader(sessionId.data(), sessionId.size()));
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  header.setStartedAt(now.tv_sec * 1'000'000'000ll + now.tv_nsec);
  describeMachine(header.initMachine(), counterTraps_);
  auto arguments = header.initArguments(options_.command.size());
  for (size_t i = 0; i < options_.command.size(); ++i) arguments.set(i, options_.command[i]);
  header.setProgram(program_);
  const std::string& policyText = policy.source().text;
  const Digest policyHash =
      sha256({reinterpret_cast<const uint8_t*>(policyText.data()), policyText.size()});
  header.setPolicyHash(capnp::Data::Reader(policyHash.data(), policyHash.size()));
  header.setDirectory(currentDirectory());
  header.setUserId(getuid());
  header.setGroupId(getgid());
  header.setGateVersion(AIRR_GATE_VERSION);
  rlimit stack{};
  getrlimit(RLIMIT_STACK, &stack);
  header.setStackLimit(stack.rlim_cur);
  for (auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) predictMappings_ = false;
  }
  {  // so that the keys are erased before the session starts
    KeyStore keys = KeyStore::load(KeyStore::defaultPath(), true);
    if (keys.created())
      fprintf(stderr, "airr: made a new key in %s; keep it: verify needs it\n", keys.path().c_str());
    const SessionKey key = keys.sessionKey(sessionId);
    describeRecorder(header, key);
    trace_ = std::make_unique<TraceWriter>(
        overlay_ ? overlay_->realPath(options_.tracePath) : options_.tracePath, key, message,
        TraceOptions{.workerAffinity = affinity_,
                     .durability = options_.powerSafe ? Durability::kPower : Durability::kProcess,
                     .witness = options_.witness,
                     .encryptTo = options_.encryptTo,
                     .clearMetadata = options_.clearMetadata});
    programNotes_ = std::make_unique<FileNotes>(key.cache, "inputs2");
    callNotes_ = std::make_unique<FileNotes>(key.cache, "calls8");
    siteUses_ = std::make_unique<SiteUses>(key.cache);
  }
  // The trace and its witness may be read; keys and cached contents may not.
  std::vector<std::string> secret, kept;
  for (const GuardedPlace& place : guardedPlaces(options_.tracePath, options_.witness)) {
    const bool readable = place.what == std::string_view("the trace") || place.what == std::string_view("the witness");
    (readable ? kept : secret).push_back(realPath(place.path));
  }
  enforcement_ = std::make_unique<Enforcement>(
      std::move(policy), Floor(std::move(secret), std::move(kept)), overlay_ != nullptr);
  if (opens_) enforcement_->state().onLabel = [this](std::string_view path) { takeGrantBack(path); };

  struct stat output {}, error {};
  oneStream_ = fstat(1, &output) == 0 && fstat(2, &error) == 0 && output.st_dev == error.st_dev &&
               output.st_ino == error.st_ino;
  outputs_[0] = {output.st_dev, output.st_ino}, outputs_[1] = {error.st_dev, error.st_ino};
  began_ = now_ = steadyNow();
  const Launched launched = launcher_->start();
  root_ = launched.tid;
  launchPipe_ = launched.errorPipe;
  Task& task = makeTask(root_);
  task.process = std::make_shared<Process>();
  task.process->pid = root_;
  task.process->liveTasks = 1;
  task.actions = std::make_shared<SignalActions>();
  const auto inherited = inheritedSignalActions();
  for (size_t i = 0; i < inherited.size(); ++i) task.actions->of[i].handler = inherited[i];
  auto space = std::make_shared<AddressSpace>();
  space->domain = std::make_shared<Domain>();
  domains_.push_back(space->domain);
  joinSpace(task, space);
  task.started = true;
  task.space->domain->holder = &task;
  task.state = TaskState::kRunning;
  writePolicy(task);
}

// What the gate may do by itself: that on which the policy never decides anything but "allow".
void Recording::grantGate() {
  gatePowers_.looksUp = policies::allowsEverywhere(options_.policy, policies::ActionKind::kMetadata);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < AIRR_GATE_OWN_FDS_END || fileSizesAreLimited()) return;
  if (overlay_ || !options_.policy.allowsIn(policies::ActionKind::kOpenRead, AIRR_GATE_TREE)) return;
  for (const GuardedPlace& place : guardedPlaces(options_.tracePath, options_.witness))
    if (policies::isUnder(realPath(place.path), AIRR_GATE_TREE)) return;
  opens_ = GateOpens::make();
  gatePowers_.opens = opens_ != nullptr;
}

// Puts the chosen trees under an overlay, before anything that the session could see is looked up.
void Recording::coverTrees(std::span<const uint8_t> sessionId) {
  if (options_.overlays.empty()) return;
  std::vector<std::string> trees;
  for (const std::string& tree : options_.overlays) trees.push_back(realPath(tree));
  overlay_ = std::make_unique<overlay::SessionOverlay>(
      trees, overlay::Record{hex(sessionId), realPath(options_.tracePath), 0, {}, options_.command});
  if (!options_.witness.empty() && overlay_->covers(realPath(options_.witness)))
    throw Error(ExitCode::kFailure, "the witness '" + options_.witness + "' is in a tree that an overlay covers",
                "give a file elsewhere");
}

// What decides from here on, whole: whoever judges the trace needs nothing else.
void Recording::writePolicy(Task& task) {
  const policies::Bindings& bindings = options_.bindings;
  auto event = beginEvent(task);
  auto inForce = event.initPolicy();
  inForce.setName(options_.policyName);
  inForce.setText(enforcement_->policy().source().text);
  inForce.setWorkspace(bindings.workspace.value_or(""));
  inForce.setHome(bindings.home.value_or(""));
  inForce.setTemporary(bindings.temporary.value_or(""));
  inForce.setBounds(kernelBounds_);
  if (overlay_) {
    auto trees = inForce.initOverlays(static_cast<unsigned>(overlay_->trees().size()));
    for (unsigned i = 0; i < trees.size(); ++i) trees.set(i, overlay_->trees()[i]);
  }
  trace_->commit();
}

Task& Recording::makeTask(Tid tid) {
  auto task = std::make_unique<Task>(TaskId{nextTask_++}, tid);
  Task& reference = *task;
  tasks_[raw(tid)] = std::move(task);
  return reference;
}

Task* Recording::findTask(Tid tid) {
  auto found = tasks_.find(raw(tid));
  return found == tasks_.end() ? nullptr : found->second.get();
}

void Recording::loop() {
  while (!tasks_.empty()) {
    schedule();
    graves_.clear();
    if (!missed_.empty()) {
      const auto [tid, stop] = missed_.front();
      missed_.pop_front();
      if (Task* task = findTask(tid)) dispatch(*task, stop);
      continue;
    }
    if (tasks_.empty() || !awaitEvent()) break;
  }
}

// Handles one event, or a signal to airr itself. False: there is no task left.
//
// Stops are waited for by waitpid, notifications by poll. While no task could make a call that is
// notified, waitpid alone does, at half the cost. Else SIGCHLD tells poll of a stop: blocked, pending
// from the first stop on, and taken back only when there seems to be no stop any more.
bool Recording::awaitEvent() {
  if (gTick) onInterruption();  // it may have come while no wait was there to be interrupted
  if (!notifier_ || !anyRuns()) {
    stopsMayWait_ = true;
    return takeStop(0);
  }
  if (stopsMayWait_) {
    if (takeStop(WNOHANG)) return true;
    signalfd_siginfo ignored;
    (void)!read(childSignals_.get(), &ignored, sizeof ignored);
    stopsMayWait_ = takeStop(WNOHANG);  // one that came before the signal was taken back
    if (stopsMayWait_) return true;
  }
  pollfd sources[] = {{notifier_->descriptor(), POLLIN, 0}, {childSignals_.get(), POLLIN, 0}};
  if (poll(sources, 2, -1) < 0) {
    if (errno != EINTR) throw systemError("poll");
    onInterruption();
    return true;
  }
  if ((sources[0].revents & POLLIN) != 0) {
    takeNotification();
    stopsMayWait_ = sources[1].revents != 0;
    return true;
  }
  stopsMayWait_ = true;
  // POLLHUP: nobody is left to notify; only ends are still to come.
  return takeStop(sources[1].revents != 0 ? WNOHANG : 0) || !tasks_.empty();
}

// Tasks in user code may make a call that comes as a notification; all others can only stop.
bool Recording::anyRuns() const {
  return std::any_of(domains_.begin(), domains_.end(), [](const auto& domain) {
    return domain->holder != nullptr && domain->holder->state == TaskState::kRunning;
  });
}

// False: there was none, or with no options, there is no task left.
bool Recording::takeStop(int options) {
  int status = 0;
  const pid_t tid = waitpid(-1, &status, __WALL | options);
  if (tid == 0) return false;
  if (tid < 0) {
    if (errno == ECHILD) return false;
    if (errno != EINTR) throw systemError("waitpid");
    onInterruption();
    return true;
  }
  if (Task* task = findTask(Tid{tid})) {
    dispatch(*task, task->tracee.classify(status));
  } else {
    adopt(Tid{tid}, status);
  }
  return true;
}

void Recording::takeNotification() {
  const auto call = notifier_->receive();
  if (!call) return;
  Task* task = findTask(call->tid);
  if (task == nullptr)
    throw Error(ExitCode::kFailure,
                "a call of an unknown task " + std::to_string(raw(call->tid)));
  dispatch(*task, task->tracee.notified(*notifier_, *call));
}

void Recording::onInterruption() {
  forwardSignals();
  if (!gTick) return;
  gTick = 0;
  onTick();
  placeDomains();
}

// A stop of a task that no clone event has announced yet: the child can be faster than its parent.
void Recording::adopt(Tid tid, int status) {
  if (WIFSTOPPED(status)) {
    early_[raw(tid)] = status;
  } else {
    early_.erase(raw(tid));
  }
}

void Recording::dispatch(Task& task, const Stop& stop) {
  now_ = steadyNow();
  if (task.space) ++task.space->domain->load.stops;
  try {
    handleStop(task, stop);
  } catch (const TraceeGone& gone) {
    // SIGKILL came between the stop and a request; the end is reported next.
    if (stop.kind == Stop::Kind::kEnded) throw;
    noteGone(gone);
  }
}

// An end that was reported to who waited for something else.
void Recording::noteGone(const TraceeGone& gone) {
  if (gone.last) missed_.emplace_back(gone.tid, *gone.last);
}

void Recording::handleStop(Task& task, const Stop& stop) {
  if (bootstrapping_ && stop.kind == Stop::Kind::kSeccomp) {
    // Between the filter and exec runs our own code (launch.cpp): only execve, or write and exit.
    if (!notifier_) notifier_ = CallNotifier::ofChild(task.tracee.tid());
    if (!notifier_ && enforcement_->decides())
      throw Error(ExitCode::kFailure,
                  "this host cannot enforce policy '" + enforcement_->policy().name() +
                      "': the kernel gives no seccomp user notification here",
                  "record outside of other sandboxes, or with --policy observe; `airr doctor` shows what there is");
    task.entry = task.tracee.callInfo();
    task.call = task.entry.call;
    task.model = syscalls::find(task.call.number);
    const bool starts = task.call.number == SYS_execve || task.call.number == SYS_execveat;
    if (starts && !decide(task)) return;
    task.tracee.resume(Resume::kContinue);
    return;
  }
  switch (stop.kind) {
    case Stop::Kind::kSeccomp:
    case Stop::Kind::kNotified:
      return enterCall(task);
    case Stop::Kind::kSyscallExit:
      if (task.state == TaskState::kBlocked) return makeReady(task, Continuation::kFinishCall);
      return finishCall(task);
    case Stop::Kind::kSignal: return onSignal(task, stop);
    case Stop::Kind::kGroupStop: return onGroupStop(task, stop);
    case Stop::Kind::kInterrupt:
      if (task.state == TaskState::kStopped) return makeReady(task, Continuation::kResume);
      if (task.forceRequested) return onForcedStop(task);
      [[fallthrough]];
    case Stop::Kind::kOther:
      return task.tracee.resume(task.state == TaskState::kRunning ? Resume::kContinue
                                                                  : Resume::kToSyscallExit);
    case Stop::Kind::kSpawn: return onSpawn(task, stop);
    case Stop::Kind::kExec: return onExec(task, stop);
    case Stop::Kind::kExit: return onExitStop(task, stop);
    case Stop::Kind::kEnded: return onEnded(task, static_cast<int>(stop.message));
  }
}

schema::Event::Builder Recording::beginEvent(const Task& task) {
  auto event = trace_->begin();
  event.setTask(raw(task.id));
  event.setTime(std::chrono::duration_cast<std::chrono::microseconds>(now_ - began_).count());
  return event;
}

void Recording::setPosition(Task& task) {
  const Registers& r = task.tracee.registers();
  task.position = {r.rip, r.rsp, r.rax};
}

void Recording::resumeUser(Task& task) {
  task.state = TaskState::kRunning;
  task.runningSince = now_;
  task.space->domain->load.process = raw(task.process->pid);
  task.forceRequested = false;
  allowInGate(task, AIRR_GATE_MAY_WAKE, task.space->domain->starving == nullptr);
  task.tracee.resume(Resume::kContinue);
}

void Recording::forwardSignals() {
  for (int signal : kForwarded) {
    if (!gForward[signal]) continue;
    gForward[signal] = 0;
    kill(raw(root_), signal);
  }
}

void Recording::finish() {
  if (launchError_ != 0) return;
  auto event = trace_->begin();
  event.setTask(raw(TaskId::kSession));
  event.setTime(std::chrono::duration_cast<std::chrono::microseconds>(
                    steadyNow() - began_)
                    .count());
  auto end = event.initSessionEnd();
  end.setStatus(rootStatus_);
  end.setEvents(trace_->eventCount() + 1);
  end.setTasks(nextTask_ - 1);
  end.setForcedSpin(forcedCounts_[0]);
  end.setForcedQuantum(forcedCounts_[1]);
  end.setForcedSignal(forcedCounts_[2]);
  trace_->commit();
  trace_->seal();
  if (options_.encryptTo.empty()) siteUses_->keep();  // a host is not to know what an encrypted session ran
  if (!overlay_) return;
  if (const size_t changes = overlay_->finish(); changes == 0) {
    fprintf(stderr, "airr: the session changed nothing in the trees with an overlay\n");
  } else {
    fprintf(stderr, "airr: %zu changes wait in the session's overlay: see 'airr overlay diff %s', then merge or drop them\n",
            changes, escaped(options_.tracePath).c_str());
  }
}

int record(RecordOptions options) {
  Recording recording(std::move(options));
  return recording.run();
}

}  // namespace airr
