// What a session did, gathered in one pass over its trace: the ground of `airr inspect`.
//
// Value types. summarise() reads the trace from its first event to its end; it throws what the
// reader throws. Lists of names are bounded (kMaxNames), as a trace is hostile input; what was left
// out is counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replayer/trace_reader.h"

namespace airr {

constexpr size_t kMaxNames = 100'000;

struct ProgramImage {
  std::string path;
  std::vector<std::string> arguments;
};

struct ProcessSummary {
  uint32_t number = 0;              // of its first task
  uint32_t parent = 0;              // 0: none, or not known
  uint32_t tasks = 0;               // that it ever had
  uint64_t started = 0, ended = 0;  // microseconds since the session began: first and last event
  uint64_t events = 0;
  std::vector<ProgramImage> images;  // in the order of its execs
  std::optional<int> status;         // wait status, once it has ended
};

struct SyscallCount {
  uint64_t calls = 0, failures = 0, refusals = 0;
};

struct FileUse {
  uint64_t opens = 0;
  bool writable = false;  // opened for writing
  bool changed = false;   // created, removed, renamed, or its attributes changed, by name
};

struct ForcedCount {
  uint64_t spin = 0, quantum = 0, signal = 0;
  uint64_t total() const { return spin + quantum + signal; }
};

struct TraceSummary {
  std::vector<std::string> arguments;
  std::string program, directory, hostName, kernelRelease, cpuModel, airrVersion, sessionId;
  int64_t startedAt = 0;  // CLOCK_REALTIME, nanoseconds
  uint64_t duration = 0;  // microseconds, to the last event
  uint32_t userId = 0, groupId = 0;

  uint64_t events = 0, tasks = 0, execs = 0, signals = 0, clockReadings = 0, notes = 0;
  std::map<uint32_t, ProcessSummary> processes;
  std::map<uint64_t, SyscallCount> syscalls;  // by number
  std::string policy;                         // name of the one in force
  std::string bounds;                         // that the kernel was given, one line a right
  std::vector<std::string> overlays;          // trees whose changes went to an overlay
  uint64_t decisions = 0, denials = 0;        // on record; what was simply allowed is not
  std::map<std::string, uint64_t> traps;      // by kind
  ForcedCount forced;
  std::map<std::string, FileUse> files;
  std::map<std::string, uint64_t> connections;  // "connect inet 127.0.0.1:80" and how often
  uint64_t namesLeftOut = 0;

  std::optional<int> status;  // wait status of the session
  std::string reason;         // why the mediator ended the session, or empty

  TraceEnd end = TraceEnd::kTruncated;
  bool authenticated = false;
  uint64_t frames = 0, fileSize = 0, validSize = 0;
  uint64_t blobs = 0, blobBytes = 0, blobStoredBytes = 0;

  // Of the file without its blobs; 0 for a trace without events.
  double bytesPerEvent() const;
};

TraceSummary summarise(TraceReader& trace);

const char* toString(schema::Trap::Kind kind);

}  // namespace airr
