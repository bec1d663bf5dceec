// Proves one event of a trace to whoever has the public key, without the trace (docs/evidence.md):
// a file of some KB with the event, the hashes that lead from it to a checkpoint, and the
// certificates that lead from the checkpoint's key to the recorder's. Events whose digest covers
// them alone (Digested::kAlone) are shown alone; others with their neighbours, up to some KB.
//
// Ownership: an EventProof owns its bytes; readers that it gives are valid as long as it is. Any
// thread. Failure: makeProof() throws Error as TraceReader does, kUnsealed if no checkpoint covers
// the event, kFailure if there is no such event. The EventProof throws kUnreadable for what is no
// proof or of another version, kWrongKey, kTampered.
#pragma once

#include <capnp/serialize.h>
#include <schema/airr.capnp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/encryption.h"
#include "recorder/signing.h"

namespace airr {

// The proof of an event, the first of which is 1. The trace is checked as far as the proof needs
// it, with the key that its header names.
// If events are encrypted, one of the identities must be able to read them.
std::vector<uint8_t> makeProof(const std::string& tracePath, uint64_t event,
                               std::span<const Identity> identities = {});

class EventProof {
 public:
  static constexpr uint64_t kMaxSize = 128 << 20;

  // Checks the proof; `name` is what errors call it.
  EventProof(Bytes proof, const PublicKey& key, const std::string& name);

  schema::Header::Reader header() const { return header_; }
  schema::Event::Reader event() const { return event_; }
  uint64_t eventNumber() const { return eventNumber_; }
  uint64_t frame() const { return frame_; }
  // Whether nothing but the event was shown.
  bool isAlone() const { return alone_; }

 private:
  kj::Array<capnp::word> headerWords_, leafWords_;
  std::optional<capnp::FlatArrayMessageReader> headerMessage_, eventMessage_;
  schema::Header::Reader header_;
  schema::Event::Reader event_;
  uint64_t eventNumber_ = 0, frame_ = 0;
  bool alone_ = false;
};

}  // namespace airr
