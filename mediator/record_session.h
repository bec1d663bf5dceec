// Runs a program under mandatory mediation and writes its trace.
//
// record() owns everything it makes: the tracees, the trace file, signal handlers. It must be called
// from a process with one thread, once. Throws Error: nothing runs then, or (kFailure, mid-session)
// every tracee is dead, since they cannot outlive their mediator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policies/bindings.h"
#include "policies/policy.h"
#include "recorder/encryption.h"

namespace airr {

struct RecordOptions {
  std::string tracePath = "trace.cap";
  std::vector<std::string> command;  // argv; [0] is looked up in PATH
  std::string shimPath;              // libairr.so, or empty: no shim
  bool powerSafe = false;            // the trace survives a loss of power (recorder/syncer.h)
  std::string witness;               // file or URL (recorder/witness.h), or empty
  std::vector<Recipient> encryptTo;  // who may read the trace; empty: anyone
  bool clearMetadata = false;        // but what calls were made, and what was decided
  bool pin = true;                   // tracees are placed: on the mediator's core, or away from it
  std::optional<unsigned> core;      // that one; else the one that it starts on
  std::string policyName;            // as it was given: a stock policy's, or a file
  policies::Policy policy;           // loaded with `bindings`
  policies::Bindings bindings;
  std::string approveCommand;        // that answers for the human (approver.h), or empty
  bool awaitApproval = false;        // wait for `airr approve` also without a terminal
  std::vector<std::string> overlays; // trees that stay as they are (overlay/session_overlay.h)
};

// Returns the wait status of the program (waitpid(2)).
int record(RecordOptions);

}  // namespace airr
