// The file of a trace that is read, and its header.
//
// Ownership: owns the descriptor and the header. Not thread-safe.
// Failure: the constructor throws Error as TraceReader's does; read() kUnreadable if the file
// became shorter, kFailure if it cannot be read.
#pragma once

#include <capnp/serialize.h>
#include <schema/airr.capnp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "recorder/digest.h"
#include "recorder/keys.h"
#include "recorder/signing.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

class TraceFile {
 public:
  TraceFile(const std::string& path, const KeyStore* keys);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  schema::Header::Reader header() const { return header_; }
  uint64_t firstFrame() const { return firstFrame_; }  // offset
  const Digest& digest() const { return digest_; }     // of the file header (FrameHash::file)
  const Digest& tag() const { return tag_; }
  const Signature& signature() const { return signature_; }
  const PublicKey& publicKey() const { return publicKey_; }      // that the header names
  const PublicKey& epochKey() const { return epochKey_; }        // of epoch 0
  const std::optional<SessionKey>& key() const { return key_; }  // none: tags are not checked

  void read(uint64_t offset, std::span<uint8_t> to) const;

 private:
  Error unreadable(const std::string& why, std::string remedy = {}) const;
  void readHeader(const KeyStore* keys);
  void decodeHeader();
  void authenticateHeader(const KeyStore& keys);

  const std::string path_;
  UniqueFd file_;
  uint64_t size_;
  kj::Array<capnp::word> headerWords_;
  std::optional<capnp::FlatArrayMessageReader> headerMessage_;
  schema::Header::Reader header_;
  uint64_t firstFrame_ = 0;
  Digest digest_{}, tag_{};
  Signature signature_{};
  PublicKey publicKey_{}, epochKey_{};
  std::optional<SessionKey> key_;
};

// The words that the stream message at the start of `words` takes, or 0 if it is not whole.
size_t messageSize(kj::ArrayPtr<const capnp::word> words);
// What a message of that many words may cost its reader.
capnp::ReaderOptions limitsFor(size_t words);

// "(bytes 10-20)"
std::string byteRange(uint64_t from, uint64_t to);

}  // namespace airr
