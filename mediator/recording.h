// The recording mediator's engine: one object, one thread, one session. Its member functions are
// spread over recording*.cpp by subject. Internal to the mediator; use record_session.h.
#pragma once

#include <sys/socket.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "mediator/approver.h"
#include "mediator/enforcement.h"
#include "mediator/facts/call_actions.h"
#include "mediator/facts/host_names.h"
#include "mediator/gate_opens.h"
#include "mediator/gate_patch.h"
#include "mediator/launch.h"
#include "mediator/memory_map.h"
#include "mediator/name_sockets.h"
#include "mediator/overlay/session_overlay.h"
#include "mediator/record_session.h"
#include "mediator/record_state.h"
#include "mediator/seccomp_filter.h"
#include "policies/bindings.h"
#include "recorder/file_notes.h"
#include "recorder/gate/gate.h"
#include "recorder/trace_writer.h"

namespace airr {

class Recording {
 public:
  explicit Recording(RecordOptions);
  ~Recording();
  int run();

 private:
  // recording.cpp: launch, the loop, dispatch
  void launch();
  void grantGate();
  void coverTrees(std::span<const uint8_t> sessionId);
  void writePolicy(Task&);
  void loop();
  bool awaitEvent();
  bool takeStop(int options);
  void takeNotification();
  bool anyRuns() const;
  void onInterruption();
  void dispatch(Task&, const Stop&);
  void noteGone(const TraceeGone&);
  void handleStop(Task&, const Stop&);
  void adopt(Tid, int status);
  void forwardSignals();
  void finish();
  Task& makeTask(Tid);
  Task* findTask(Tid);
  schema::Event::Builder beginEvent(const Task&);
  void setPosition(Task&);
  void resumeUser(Task&);

  // recording_placement.cpp: on which cores tasks run
  void pinSession();
  void placeDomains();
  void place(Domain&, bool elsewhere);
  void place(const Task&) const;

  // recording_gate.cpp: the gate's log, and the sites that are led into it
  void drainGate(Task&, bool toLastCall = false);
  std::span<const uint8_t> copyGateLog(Task&, uint32_t used);
  bool drainCalls(Task&, uint32_t used, uint32_t readings, uint32_t& written);
  void writeReadings(Task&, uint32_t from, uint32_t to);
  bool noteGateCall(Task&, const airr_gate_entry&, std::span<const uint8_t> in, std::span<const uint8_t> out);
  void armGate(Task&, bool armed);
  void limitReadings(Task&);
  void allowGateCalls(Task&, bool allowed);
  void allowInGate(Task&, uint32_t what, bool allowed);
  bool isAlone(const Task&) const;
  void noteGateFile(Task&, int fd, uint8_t what, bool tell);
  void noteGateDuplicate(Task&, int fd, int copy);
  void forgetAllGateFiles(Task&);
  void mapGrants(Injection&);
  void checkGateFiles(Task&);
  bool keepsGateFiles(Task&);
  void closeAround(Task&, uint32_t first, uint32_t last);
  bool listWithoutGateFiles(Task&);
  void grantOpen(Task&, const std::string& path, const struct stat&);
  bool mayGrant(const std::string& path, const struct stat&) const;
  void grantOthersIn(const std::string& directory);
  void takeGrantBack(std::string_view path);
  void tellDirectory(Task&, int fd, std::string_view path);
  void tellPlace(airr_gate_directory&, int fd, std::string_view path);
  void beforeNamesChange(Task&);
  void afterNamesChange(Task&);
  void forgetGrants();
  void forgetPlaces();
  void noteDirectoryVaries(Task&);
  bool endNameFault(Task&, int signal);
  void noteGateDirectory(Task&, int fd, std::string path);
  void noteOpenFile(Task&, int fd);
  bool gateMakes(uint64_t number) const;
  std::string gateLookedUp(Task&, std::span<const uint8_t> text);
  void forgetGateFiles(Task&, uint64_t first, uint64_t last);
  const ProgramFile& findProgramCalls(int file, uint32_t blob);
  void noteProgram(Task&, int file, uint32_t blob, uint64_t start, uint64_t length, uint64_t offset);
  // An executable mapping that a new image begins with; what is known of its file is known already.
  struct ImageFile {
    uint64_t start = 0, length = 0, offset = 0;
    uint32_t blob = 0;
    bool isLoader = false;
  };
  void patchImage(Task&, const std::vector<ImageFile>&);
  void noteGateCounter(Task&, uint64_t value);
  void patchSite(Task&);
  bool leadSite(Task&, const CallSite&, uint64_t start, uint64_t end, uint64_t instruction,
                const SiteBytes& there, std::vector<PatchedBytes>&);
  void leadUsedSites(Task&, uint64_t start, bool fresh);
  void leadForChildren(Task&);
  void writePatch(Task&, const std::vector<PatchedBytes>&);
  void noteEnded(Task&, int64_t result);
  void unpatchChanged(Task&);
  void unpatch(Task&, uint64_t start, uint64_t end);

  // recording_baton.cpp: domains and the baton
  void makeReady(Task&, Continuation);
  void release(Task&);
  void schedule();
  void grant(Task&);
  bool contended(const Task&) const;
  void offerBaton(Task& holder);
  bool turnEnds(const Task&) const;
  void endTurn(Task&);
  void leaveDomain(Task&);
  static void noteWait(Task&);
  static void giveUpTurn(Task&);
  bool endTurnByWake(Task&, int64_t result);
  void merge(std::shared_ptr<Domain> into, std::shared_ptr<Domain> from);
  void joinSpace(Task&, std::shared_ptr<AddressSpace>);
  void leaveSpace(Task&);

  // recording_calls.cpp: ordinary calls
  void enterCall(Task&);
  void refuse(Task&, int error, const char* why);
  void answer(Task&, int64_t result, schema::Syscall::Handling);
  bool answerPrctl(Task&);
  void startCall(Task&);
  void writeEnter(Task&);
  void finishCall(Task&);
  void fillCall(Task&, schema::Syscall::Builder, schema::Syscall::Phase);
  void fillOutputs(Task&, schema::Syscall::Builder, int64_t result);
  void fillWrite(Tracee&, schema::MemoryWrite::Builder, const Region&);
  void noteBefore(Task&, int64_t result);
  void noteLimit(uint64_t resource);
  void noteAdvice(Task&);
  void noteResult(Task&, schema::Syscall::Builder, int64_t result);
  void recordFormerContent(Task&, schema::Syscall::Builder, int64_t result);
  static int64_t filePosition(Tid, int fd);
  void onShim(Task&);
  void noteShim(Task&, uint64_t kind, std::string_view text);
  void hashInputs(Task&);
  uint8_t standardStream(Task&, int fd);
  bool enterStream(Task&);
  void leaveStream(Task&);
  void recordPayload(Task&, schema::Syscall::Builder, int64_t result);
  std::string resolvePath(Task&, int dirfd, const std::string& name);
  std::string describePath(Task&, int64_t result);
  std::string describeName(Task&, unsigned which);

  // recording_policy.cpp: decisions
  struct Subject;
  bool decide(Task&);
  bool decideExec(Task&, Subject&);
  const char* overlayForbids(const Task&, const policies::Action&, const std::optional<ResolvedName>&) const;
  bool goesToOverlay(const Subject&, std::span<const policies::Decision>) const;
  schema::Decision::Approved approval(const Subject&, const policies::Decision&, const std::string& reason,
                                      std::string& by);
  bool decideMessages(Task&, Subject&);
  static std::string describeMessageName(Task&, const msghdr&);
  bool judge(Task&, Subject&);
  void lookUpNames(Task&);
  void lookUpFailedOpen(Task&);
  void describeDescriptor(Task&, Subject&);
  void addProcessFacts(Task&, Subject&);
  static std::optional<pid_t> namedProcess(const Task&);
  bool isInside(const Task&) const;
  bool killForTask(Task&);
  void checkProgram(Task&);
  void checkOpened(Task&, int fd);
  static std::string ownPathOf(int fd);
  static std::vector<std::string> readArguments(Task&, uint64_t array);

  // recording_names.cpp: names of hosts
  void noteNames(Task&, schema::Syscall::Reader);
  void addHostNames(const Task&, policies::Action&) const;
  bool noteSocketUse(Task&, const policies::Action* action);
  bool decideGreeting(Task&);

  // recording_effects.cpp: calls that the mediator makes on what was decided on
  bool perform(Task&);
  bool performOpen(Task&);
  bool performOpenHere(Task&, uint64_t flags, uint64_t mode);
  std::optional<int64_t> change(Task&);
  void finishPerformed(Task&, int64_t result);
  static mode_t umaskOf(const Task&);

  // recording_answers.cpp: calls that the mediator answers in one stop
  static std::vector<CallTest> notifiedCalls(bool policyDecides);
  bool answerHere(Task&);
  bool answerScheduling(Task&);
  bool answerAffinity(Task&);
  bool answerIdentity(Task&);
  bool answerTime(Task&);
  bool answerSignals(Task&);
  bool answerWith(Task&, int64_t result);
  bool answerPredictable(Task&);
  bool answerMapping(Task&);
  bool mayPredict(const Task&) const;
  bool predict(Task&, int64_t result);

  // recording_files.cpp: the same on files and names
  bool answerOwnProgram(Task&);
  bool answerLookup(Task&);
  bool answerFile(Task&);
  bool answerRead(Task&);
  bool answerWrite(Task&);
  bool answerClose(Task&);
  bool answerStatx(Task&, int fd, uint64_t extraFlags);
  bool answerOpen(Task&, int dirfd, uint64_t path, uint64_t flags);
  bool answerBytes(Task&, uint64_t to, int64_t result);
  OpenFile* openFile(Task&, int fd);
  void forgetClosedFiles(Task&);
  int workingDirectory(Task&);
  int directoryOf(Task&, int dirfd, UniqueFd& borrowed);
  UniqueFd lookUp(Task&, int dirfd, uint64_t path, bool follow, int& error);

  // recording_tasks.cpp: clone, exec, exit
  void startSpawn(Task&);
  void onSpawn(Task&, const Stop&);
  void startExec(Task&);
  void onExec(Task&, const Stop&);
  void startExit(Task&);
  void onExitStop(Task&, const Stop&);
  void onEnded(Task&, int status);
  void exitWithBaton(Task&);
  void writeWordsOfExit(Task&);
  void writeTaskExit(Task&, int status, bool last);
  std::vector<ImageFile> captureImage(Task&, const std::string& path, std::vector<MappedRegion>&);
  void mapGate(Task&, const std::vector<MappedRegion>&);

  // recording_signals.cpp
  void onSignal(Task&, const Stop&);
  static bool unblockedInGate(Task&);
  void deliver(Task&, int signal, const siginfo_t&, bool synchronous);
  bool emulateInstruction(Task&, const siginfo_t&, int signal);
  void restoreAction(Task&, int signal);
  void noteSignalMask(Task&);
  void requeueStash(Task&);
  void recordFrame(Task&, schema::Signal::Builder, const Region& frame);
  void startSignalReturn(Task&);
  void finishSignalReturn(Task&);
  void recordSignalReturn(Task&, const Registers&, uint64_t mask);
  void onGroupStop(Task&, const Stop&);

  // recording_memory.cpp: mappings
  bool prepareMapping(Task&);
  void shareMapping(Task&, uint64_t start);
  void noteMapping(Task&, schema::Syscall::Builder, int64_t result);
  void noteMappingCall(Task&, int64_t result);
  void noteUnmapping(AddressSpace&, uint64_t start, uint64_t length);
  void noteRemapping(AddressSpace&, uint64_t from, uint64_t fromLength, uint64_t to,
                     uint64_t toLength);
  std::shared_ptr<SharedObjectState> findShared(uint64_t device, uint64_t inode);
  const std::vector<FileTrapSite>& findProgramTraps(int file, uint32_t blob);
  std::vector<uint64_t> patchTrapSites(Task&, int file, uint32_t blob, uint64_t start,
                                       uint64_t length, uint64_t offset);
  void noteProtection(Task&, schema::Syscall::Builder);
  void patchGenerated(Task&, uint64_t start, uint64_t end, std::set<uint64_t>& changed);
  void restoreGenerated(Task&, uint64_t start, uint64_t end, std::set<uint64_t>& changed);
  void noteSharedWrite(Task&, schema::Syscall::Builder, int64_t result);
  bool touchesGate(const Task&) const;

  // recording_forced.cpp
  void onTick();
  void askForYield(Task&, bool asked);
  void onForcedStop(Task&);
  bool staysNear(Task&, bool& lost);
  bool spins(Task&, bool& lost);
  void force(Task&, schema::Forced::Reason);
  bool breakOffWait(Task&);
  bool runOutOfClock(Task&);
  bool stepOutOfGate(Task&);
  bool standsInGate(Task&);
  bool standsAtPosition(Task&);
  int64_t readKernelClock(Task&, const syscalls::Call&);
  void notePatched(AddressSpace&, const CallSite&, uint64_t instruction);
  void startGateCalls(Task&);
  static bool standsAtCall(Task&);
  static bool isStep(Task&, const Stop&);
  static bool callsAgain(Task&);

  RecordOptions options_;
  std::unique_ptr<Enforcement> enforcement_;
  std::unique_ptr<overlay::SessionOverlay> overlay_;  // null: there is none
  facts::HostNames hostNames_;
  NameSockets nameSockets_;
  std::unordered_set<uint64_t> greeted_;  // connections whose first bytes were decided on, by inode
  Approver approver_;
  std::map<Digest, SteadyTime> approvals_;  // of actions as they were shown: until when they hold
  std::string program_;
  std::unique_ptr<TraceWriter> trace_;
  std::map<pid_t, std::unique_ptr<Task>> tasks_;  // alive, by tid
  std::map<pid_t, int> early_;                     // first stops of tasks not yet announced
  std::vector<std::unique_ptr<Task>> graves_;      // dead in this round, still referenced
  std::vector<std::shared_ptr<Domain>> domains_;
  std::vector<std::weak_ptr<SharedObjectState>> sharedObjects_;
  std::map<uint32_t, std::vector<FileTrapSite>> trapSitesOfBlob_;
  std::unique_ptr<FileNotes> programNotes_;  // where program files have them
  std::map<uint32_t, ProgramFile> programFiles_;  // by blob
  std::unique_ptr<SiteUses> siteUses_;            // of those files
  uint64_t usedSites_ = 0;  // sites that have come to be used often enough to be led where they are mapped
  std::unique_ptr<FileNotes> callNotes_;
  bool counterTraps_ = false;    // PR_SET_TSC works here
  GatePowers gatePowers_;
  std::unique_ptr<GateOpens> opens_;  // null: the gate opens nothing
  bool grantsNames_ = true;           // and more than what is in the tree
  uint64_t renames_ = 0;              // of directories
  std::deque<std::pair<Tid, Stop>> missed_;  // ends that were reported to who waited for something else
  uint32_t nextTask_ = 1;
  uint32_t nextObject_ = 1;
  Tid root_{};
  int rootStatus_ = 0;
  bool bootstrapping_ = true;
  int launchError_ = 0;
  std::string kernelBounds_;  // what Landlock forbids, for the record
  std::optional<CallNotifier> notifier_;
  UniqueFd childSignals_;    // readable after a stop or an end
  bool stopsMayWait_ = true;  // whether waitpid could have one
  // Whether what mprotect, munmap and the like will answer is known before. Not with limits on the
  // address space, or where memory is locked, sealed or of huge pages.
  bool predictMappings_ = true;
  bool fileSizesVary_ = false;  // RLIMIT_FSIZE may be another than the mediator's
  std::unique_ptr<Launcher> launcher_;
  int launchPipe_ = -1;
  SteadyTime began_;
  SteadyTime now_;  // when the stop at hand was seen
  std::vector<Region> regions_;      // scratch for region lists
  std::vector<uint8_t> bytes_;       // scratch for memory
  std::vector<uint8_t> gateLog_;     // scratch for the gate's log
  // Writes to a standard stream happen one at a time, so that their order is the order of events.
  struct StreamTurn {
    Task* writer = nullptr;
    std::deque<Task*> waiting;
  };
  StreamTurn streams_[2];
  bool oneStream_ = false;  // output and error are the same file
  std::pair<uint64_t, uint64_t> outputs_[2];  // device and inode of output and error
  uint64_t forcedCounts_[3] = {};
  std::vector<uint64_t> affinity_;   // the mask that tracees see when pinned
  // Of the mediator's core, and of the others; empty: tasks are not placed.
  std::vector<uint64_t> home_, elsewhere_;
  SteadyTime placedAt_{};
  std::chrono::nanoseconds ownTime_{};  // of the mediator's own thread, at the last tick
};

}  // namespace airr
