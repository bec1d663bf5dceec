// What nothing inside a session may read, write, name or remove, whatever its policy says: where
// the keys are, the trace that is being written, its witness, and the cache that its key
// authenticates. The mediator's floor denies it (the mediator's own process and sockets it knows
// itself).
//
// Stateless; any thread. Failure: Error (kFailure) if there is no place for keys
// (KeyStore::defaultPath).
#pragma once

#include <string>
#include <vector>

namespace airr {

struct GuardedPlace {
  enum class Kind {
    kFile,    // this path
    kPrefix,  // every path that begins with it: a key, with those that rotation put aside
    kTree,    // this directory and all beneath it
  };
  Kind kind;
  std::string path;  // absolute; its links are not resolved
  const char* what;  // for messages
};

// Where sessions of this user that ask for approvals have a socket, each named after its mediator's
// process; empty if there is no place for it.
std::string approvalsPath();
// Where the overlays of this user's sessions are; empty if there is no place for them.
std::string overlaysPath();

// `witness`: as TraceOptions has it.
std::vector<GuardedPlace> guardedPlaces(const std::string& tracePath, const std::string& witness);

}  // namespace airr
