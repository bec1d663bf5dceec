// The replay engine: one object, one thread, one trace. Its member functions are spread over
// replaying*.cpp by subject. Internal to the replayer; use replay_session.h.
//
// Events are taken in the order of the file. A task runs only while its own next event is looked
// for, so what was serialised in the recording is serialised here in the same order.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mediator/injection.h"
#include "mediator/syscalls/model.h"
#include "mediator/tracee.h"
#include "recorder/gate/gate.h"
#include "replayer/blob_files.h"
#include "replayer/materialize.h"
#include "replayer/open_trace.h"
#include "replayer/replay_session.h"
#include "replayer/trace_reader.h"
#include "schema/unique_fd.h"

namespace airr {

class Replaying {
 public:
  explicit Replaying(const ReplayOptions&);
  ~Replaying();
  int run();

 private:
  // An entry of the log that is to be supplied to a gate.
  struct Queued {
    size_t at = 0;
    uint64_t event = 0;
  };
  struct Space {
    uint64_t programBreak = 0;
    // For when a task next runs: readings of the clock, and the log of calls (recorder/gate/gate.h).
    std::vector<airr_gate_reading> clocks;
    std::vector<uint8_t> log;
    bool gateHasOld = false;  // its data says still what it had when a task last ran
    std::vector<Queued> queued;
    uint32_t runner = 0;  // whose they are, by number
    std::map<uint64_t, std::vector<uint8_t>> pages;  // content as of the last forced point
  };
  struct Process {
    Tid pid{};  // real
    uint32_t liveTasks = 0;
    std::map<std::string, int> openFiles;  // in the tracee, by path
  };
  struct Task {
    explicit Task(TaskId number, Tid tid) : id(number), tracee(tid) {}
    TaskId id;
    Tracee tracee;
    std::shared_ptr<Process> process;
    std::shared_ptr<Space> space;
    // The call it is in, from its `whole` or `enter` event.
    syscalls::Call call;
    const syscalls::Syscall* model = nullptr;
    schema::Syscall::Stream stream = schema::Syscall::Stream::NONE;
    bool atCall = false;  // stopped at the seccomp stop of `call`
  };

  // replaying.cpp: the loop and the events
  void start();
  void apply(schema::Event::Reader);
  Task& taskOf(uint32_t number);
  Stop runToStop(Task&);
  void runToCall(Task&, schema::Syscall::Reader);
  void onSyscall(Task&, schema::Event::Reader);
  void finishCall(Task&, schema::Syscall::Reader);
  void setResult(Task&, int64_t result);
  void onSignal(Task&, schema::Signal::Reader);
  void onTrap(Task&, schema::Trap::Reader);
  void onClocks(Task&, capnp::Data::Reader);
  void onPatch(Task&, capnp::List<schema::MemoryWrite>::Reader);
  void onYield(Task&, uint64_t count);
  void onNote(Task&, schema::Note::Reader);
  void writeStream(Task&, schema::Syscall::Reader, int64_t result);
  std::vector<uint8_t> dataOf(Task&, schema::Syscall::Reader, int64_t result);
  void setRegisters(Task&, capnp::Data::Reader);
  // `event`: 0, the one at hand.
  [[noreturn]] void diverge(Task&, const std::string& expected, const std::string& came, uint64_t event = 0);
  std::string describe(const syscalls::Call&, Task&);

  // replaying_gate.cpp: calls that were made in the gate
  bool queueCall(Task&, schema::Syscall::Reader);
  bool queueCounter(Task&, schema::Trap::Reader);
  bool queue(Task&, airr_gate_entry&, std::span<const uint8_t> in, std::span<const uint8_t> out);
  void supplyLog(Task&);
  void takeBackLog(Task&, const Stop&);
  std::string describeEntry(Task&, std::span<const uint8_t> log, size_t at);
  void settle(Task&);

  // replaying_memory.cpp: mappings, shared objects, forced points
  bool runMemoryCall(Task&, schema::Syscall::Reader);
  void mapFile(Task&, Injection&, uint64_t address, uint64_t length, int protection, uint64_t flags,
               const std::string& path, int openFlags, uint64_t offset);
  void mapBlob(Task&, Injection&, uint64_t address, uint64_t length, int protection, uint64_t flags,
               schema::BlobRange::Reader);
  void mapPrivate(Injection&, uint64_t address, uint64_t length, uint64_t protection, uint64_t flags = 0);
  int openIn(Task&, Injection&, const std::string& path, int flags);
  void setBreak(Task&, Injection&, uint64_t result);
  void applyWrites(Task&, capnp::List<schema::MemoryWrite>::Reader);
  std::vector<uint8_t> contentOf(schema::MemoryWrite::Reader);
  void onSharedObject(schema::SharedObject::Reader);
  void applySharedWrites(capnp::List<schema::SharedWrite>::Reader);
  void onForced(Task&, schema::Forced::Reader);
  int64_t require(int64_t result, const char* what);

  // replaying_tasks.cpp: clone, exec, exit
  void spawn(Task&, schema::Syscall::Reader);
  void onExec(Task&, schema::Exec::Reader);
  void waitForStub(Task&);
  void loadImage(Task&, schema::Exec::Reader);
  void endTask(Task&);
  void killAll();
  void materialize();

  ReplayOptions options_;
  OpenTrace open_;
  TraceReader& trace_;
  std::unique_ptr<Materializer> materializer_;  // null: nobody asked for files
  BlobFiles blobs_;
  UniqueFd stub_;
  std::map<uint32_t, std::unique_ptr<Task>> tasks_;
  struct Object {
    UniqueFd file;
    std::string path;
  };
  std::map<uint32_t, Object> objects_;
  std::vector<Region> regions_;
  uint64_t stackLimit_ = 0;
  bool began_ = false;  // a program was started
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace airr
