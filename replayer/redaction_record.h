// What a redaction frame says, and the contents that one has encrypted.
//
// Ownership: ReencryptedBodies borrows the TraceFile. Not thread-safe.
// Failure: what is malformed is a return value; Error kEncrypted for contents that none of the
// trace's identities can read, kTampered for one that no redaction names, or as FrameScanner's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/encryption.h"
#include "recorder/signing.h"
#include "replayer/trace_reader_file.h"

namespace airr {

struct RedactionRecord {
  struct Blob {
    std::string why;
    std::vector<Digest> bodies;  // encrypted: the SHA-256 of each of its bodies; empty: taken out
  };
  uint64_t frame = 0;
  int64_t time = 0;
  std::string by, reason;
  PublicKey publicKey{};
  std::vector<SealedKey> recipients;
  std::map<uint32_t, Blob> blobs;
};

// The body of a redaction frame.
std::vector<uint8_t> encode(const RedactionRecord& record);
std::optional<RedactionRecord> decodeRedaction(uint64_t frame, Bytes body);

class ReencryptedBodies {
 public:
  explicit ReencryptedBodies(const TraceFile& file) : file_(file) {}
  // Opens the bodies of a blob that a redaction encrypted.
  FrameCipher& cipherOf(uint32_t blob);

 private:
  void load();

  const TraceFile& file_;
  bool loaded_ = false;
  std::vector<RedactionRecord> records_;
  std::map<uint64_t, std::unique_ptr<FrameCipher>> ciphers_;  // by the redaction's frame
};

}  // namespace airr
