// The gate's data of one address space: memory that its tasks and the mediator share, so that looking at the
// gate's log and telling the gate something cost no system call.
//
// Tasks can write it at any moment, through calls of others that are in the kernel too: what the mediator
// reads there it reads once, and copies before it looks at it.
//
// Ownership: the mapping here ends with the object, the tracee's with its address space. All calls from the
// thread that attached to the tracees. Failure: Error, if memory or descriptors run out; TraceeGone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mediator/injection.h"
#include "recorder/gate/gate.h"
#include "schema/unique_fd.h"

namespace airr {

// Whether a limit on the size of files, which the session's programs have as well, counts for memory that is a file
// (memfd_create(2) is of tmpfs).
bool fileSizesAreLimited();

class GateMemory {
 public:
  // Of a fresh image whose gate's text is mapped, and from AIRR_GATE_DATA on private memory: puts zeros there
  // that both see. The task is stopped outside of calls.
  static std::unique_ptr<GateMemory> map(Injection&);
  // For the child of a fork, whose mapping is still its parent's: a copy of what that knows, with empty logs.
  std::unique_ptr<GateMemory> fork() const;
  // Gives a child its own, before its first instruction. Nothing, if it has it. The child's registers are its own
  // again when it has been resumed.
  void attach(Tracee& child);

  ~GateMemory();
  GateMemory(const GateMemory&) = delete;
  GateMemory& operator=(const GateMemory&) = delete;

  airr_gate_data& data() { return *place_.data; }
  // A field, read once.
  template <class T>
  static T load(const T& field) {
    return __atomic_load_n(&field, __ATOMIC_RELAXED);
  }

 private:
  // In the file that an image's address space and those forked from it lie in, one behind the other.
  struct Place {
    uint64_t number = 0;
    airr_gate_data* data = nullptr;
  };
  struct File {
    UniqueFd fd;
    uint64_t places = 0, made = 0;
    std::vector<Place> free;  // for the next child: zeros, still mapped

    ~File();
  };

  GateMemory() = default;
  void enter(Tracee& child);
  void attachSegment(Injection&);
  bool clear();
  static std::unique_ptr<GateMemory> inFile(std::shared_ptr<File>);
  // System V's, where a limit on the size of files forbids the other. It is found by number in one IPC namespace only.
  static std::unique_ptr<GateMemory> inSegment();

  std::shared_ptr<File> file_;  // null: in a segment
  Place place_;
  int segment_ = -1;
  bool attached_ = false;
};

}  // namespace airr
