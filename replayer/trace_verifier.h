// Proves that a trace is what its recorder wrote: with the root key, by the tag of every frame;
// with the public key alone, by the signed checkpoints, each of which covers the frames since the
// one before (docs/evidence.md). Nothing is decompressed or interpreted beyond frame headers, so
// that it takes little more than SHA-256 over the file. The frames are divided among threads.
//
// Ownership: nothing is kept. Any thread. `keys` must outlive the call.
// Failure: Error kUnreadable, kVersion, kWrongKey; kTampered if the header was altered; kFailure if
// the file cannot be read. What is wrong with a frame is part of the result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recorder/keys.h"
#include "recorder/signing.h"
#include "replayer/frame_scanner.h"
#include "replayer/redaction_record.h"
#include "replayer/trace_reader.h"
#include "schema/error.h"

namespace airr {

// `redactor`: whose redactions count, besides the recorder's own.
struct VerifyWith {
  const KeyStore* keys = nullptr;      // the root key: both tags and signatures are checked
  std::optional<PublicKey> publicKey;  // else signatures only
  std::optional<PublicKey> redactor;
  std::string witness;   // file or URL to compare with (recorder/witness.h); or empty
  unsigned threads = 0;  // 0: as many as there are CPUs for this process
};

struct Verification {
  // How far something holds: from the start of the file to the end of a frame.
  struct Extent {
    uint64_t bytes = 0, frames = 0, events = 0;
    uint32_t blobs = 0;
  };
  // A good checkpoint, or the seal, and the frames that it covers.
  struct Covered {
    uint64_t epoch = 0, firstFrame = 0, lastFrame = 0;  // lastFrame: its own
    uint64_t start = 0, stop = 0;                       // bytes
    Digest digest{};                                    // what a witness publishes
  };
  // kSuccess: intact and sealed; kUnsealed: intact up to its end; kTampered; kWitness: the witness
  // has seen another trace, or more of it.
  ExitCode verdict = ExitCode::kTampered;
  TraceEnd end = TraceEnd::kTruncated;
  uint64_t fileSize = 0;
  Extent whole;          // frames that are there
  Extent proved;         // by the key at hand
  Extent signedPart;     // by checkpoints
  // Bodies of blobs and parts that were taken out, or encrypted, among what is proved.
  uint64_t removed = 0, reencrypted = 0;
  std::vector<RedactionRecord> redactions;
  std::vector<Covered> checkpoints;
  uint64_t witnessed = 0;    // heads of the witness that are this trace's
  std::string witnessFault;  // what is wrong with them; or empty
  // What was altered. With the public key alone it may be known only up to the frames of a
  // checkpoint.
  std::optional<FrameFault> fault;
  PublicKey publicKey{};  // whose trace it is
};

Verification verifyTrace(const std::string& path, const VerifyWith& with);

}  // namespace airr
