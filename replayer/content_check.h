// Whether what verifies can also be read: every field of every event, and every blob. Much slower
// than verifyTrace(), which proves that nothing was altered; this finds what a faulty recorder
// wrote.
//
// Ownership: borrows the reader, which it rewinds. Not thread-safe.
// Failure: Error as TraceReader's, and kTampered for an event that is malformed or names what is
// not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "replayer/trace_reader.h"

namespace airr {

struct ContentCheck {
  uint64_t events = 0, blobBytes = 0;
  uint64_t redactedBlobs = 0;
  uint64_t encryptedBlobs = 0;  // by a redaction, and to none of the keys at hand: not checked
  uint64_t missingBlobs = 0;  // named by events, but behind the end of a trace without seal
  std::optional<int> status;  // wait status of the first process
  std::string reason;         // why the mediator ended the session; or empty
};

ContentCheck checkContent(TraceReader& trace);

}  // namespace airr
