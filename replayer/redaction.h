// Takes blobs out of a trace, or encrypts them, and says so in it: a copy of the trace without their
// content, or with it for its recipients alone, which stays verifiable, with a signed redaction
// frame at its end (docs/evidence.md). What events hold themselves, rather than in a blob, cannot be
// taken out.
//
// Ownership: nothing is kept. Not thread-safe.
// Failure: Error as TraceReader's; kFailure if there is nothing to take out, a pattern is none, or
// the copy cannot be written.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "recorder/frame.h"
#include "recorder/keys.h"
#include "replayer/trace_reader.h"

namespace airr {

struct BlobChoice {
  std::vector<uint32_t> numbers;
  std::vector<std::string> paths;  // globs (fnmatch(3)) of the files whose content it is
  std::vector<std::string>
      patterns;          // regular expressions (RE2) that the content matches somewhere
  bool secrets = false;  // content in which secretIn() finds one
  bool encrypted = true;  // also those that a redaction encrypted; their content only if it can be read
};

struct Chosen {
  std::map<uint32_t, std::string> blobs;  // number, why
  // Events that hold what a pattern or the detector of secrets was looking for.
  std::vector<uint64_t> eventsThatMatch;
};

// Those that are not redacted already.
Chosen chooseBlobs(TraceReader& trace, const BlobChoice& choice);

// What kind of secret the text has, or nullptr: private keys in PEM, and the tokens of well-known
// services.
const char* secretIn(std::string_view text);

struct RedactionNote {
  std::string by, reason;
};
// Writes the copy to `output`, which must not exist. `keys` sign. With recipients, the contents are
// encrypted to them; blobs that a redaction encrypted already must not be chosen then.
void redact(const std::string& trace, const std::string& output, const Chosen& chosen,
            const RedactionNote& note, const KeyStore& keys,
            std::span<const Recipient> recipients = {});

}  // namespace airr
