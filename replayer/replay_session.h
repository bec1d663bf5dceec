// Replays a trace: runs the recorded programs again with every input taken from the trace.
//
// Nothing outside is touched: no file, socket, signal or process beyond the replayer's own children,
// which see only what the trace holds. One call at a time, from a process with one thread.
// Throws Error: kDivergence (the message tells the event, what was expected and what came),
// kUnreadable, kTampered, kWrongKey, kEncrypted, kVersion, kCpu, or kFailure.
#pragma once

#include <string>
#include <vector>

namespace airr {

struct ReplayOptions {
  std::string tracePath;
  bool quiet = false;                // do not reproduce standard output and error
  std::string materializeDirectory;  // write there what the session had written; empty: do not
  bool requireSeal = false;          // refuse a trace without a seal
  std::vector<std::string> identities;  // files of private keys, for an encrypted trace
  bool unverified = false;           // replay without a key, or with another: tags are not checked
};

// Returns the recorded exit status as a shell would show it (128 + n for death by signal n).
int replay(const ReplayOptions&);

}  // namespace airr
