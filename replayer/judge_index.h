// The index of a trace for judging: its steps (mediator/facts/step.h) alone, beside the trace, so that
// judging again neither decompresses nor decodes the events. docs/policy.md has its layout.
//
// Derived data: whoever has the root key makes it from a trace that was verified, and its tag says so. One
// that is missing, altered, or of another trace than the one at hand is as if it were not there.
//
// One thread, but for extract() as StepSource has it. open() does not fail for what is wrong with the index;
// the writer throws Error (kFailure) if it cannot be written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policies/bindings.h"
#include "recorder/digest.h"
#include "recorder/keys.h"
#include "replayer/large_buffer.h"
#include "replayer/step_stream.h"
#include "schema/unique_fd.h"

namespace airr {

// What a session began with.
struct SessionOrigin {
  policies::Bindings bindings;
  std::string policyName;
  std::optional<std::string> policyText;  // none: no policy is on record
};

// As the frames' headers have it; nothing is verified but the file's header.
TraceHead headOf(const std::string& trace, const KeyStore& keys);

std::string judgeIndexPath(const std::string& trace);

class JudgeIndex : public StepSource {
 public:
  static std::optional<JudgeIndex> open(const std::string& trace, const KeyStore& keys);

  const SessionOrigin& origin() const { return origin_; }
  uint64_t events() const { return events_; }
  TraceEnd end() const { return head_.end; }

  bool read(StepPiece& piece) override;
  void extract(StepPiece& piece) const override;

 private:
  JudgeIndex() = default;
  bool load(const std::string& path, const TraceHead& head, const SessionKey& key);

  LargeBuffer bytes_;
  size_t at_ = 0, stop_ = 0;  // of the pieces
  TraceHead head_;
  SessionOrigin origin_;
  uint64_t events_ = 0;
};

class JudgeIndexWriter {
 public:
  explicit JudgeIndexWriter(const std::string& trace);
  ~JudgeIndexWriter();  // takes away what was not finished
  void add(const StepPiece& piece);
  // All of the trace was read and verified up to `head`.
  void finish(const SessionOrigin& origin, const TraceHead& head, const SessionKey& key);

 private:
  void endPiece();
  void write(std::span<const uint8_t> bytes);

  const std::string path_, beside_;
  UniqueFd file_;
  uint64_t written_ = 0;
  Sha256 hash_;
  std::vector<uint8_t> raw_, stored_;
  uint64_t lastEvent_ = 0;
};

}  // namespace airr
