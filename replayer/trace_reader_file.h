// The file of a trace that is read, and its header.
//
// Ownership: owns the descriptor, the header and copies of the identities. Not thread-safe, but for
// read().
// Failure: the constructor throws Error as TraceReader's does; read() kUnreadable if the file
// became shorter, kFailure if it cannot be read; what wants an identity kEncrypted without it.
#pragma once

#include <capnp/serialize.h>
#include <schema/airr.capnp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/frame.h"
#include "recorder/keys.h"
#include "recorder/signing.h"
#include "replayer/trace_secrets.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

class TraceFile {
 public:
  // `identities`: that may open what is encrypted. Without one that can, all that is in the clear
  // can be read.
  TraceFile(const std::string& path, const KeyStore* keys,
            std::span<const Identity> identities = {});

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // The whole header if it is in the clear or could be opened.
  schema::Header::Reader header() const { return secrets_ ? secrets_->header() : header_; }
  uint64_t firstFrame() const { return firstFrame_; }  // offset
  const Digest& digest() const { return digest_; }     // of the file header (FrameHash::file)
  const Digest& tag() const { return tag_; }
  const Signature& signature() const { return signature_; }
  const PublicKey& publicKey() const { return publicKey_; }      // that the header names
  const PublicKey& epochKey() const { return epochKey_; }        // of epoch 0
  const std::optional<SessionKey>& key() const { return key_; }  // none: tags are not checked

  void read(uint64_t offset, std::span<uint8_t> to) const;

  // Null: all is in the clear, but for what redactions have encrypted.
  TraceSecrets* secrets() const { return secrets_.get(); }
  std::span<const Identity> identities() const { return identities_; }
  // What was encrypted as the body of such a frame, or that body if it is in the clear. Nothing: it
  // is not what was written. Valid until the next call.
  std::optional<Bytes> plain(const FrameHeader& header, Bytes body) const;
  // What a blob's frame calls a content with this SHA-256.
  Digest nameOf(const Digest& sha256) const;

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
  bool encrypted_ = false;
  std::vector<Identity> identities_;
  std::unique_ptr<TraceSecrets> secrets_;
};

// The words that the stream message at the start of `words` takes, or 0 if it is not whole.
size_t messageSize(kj::ArrayPtr<const capnp::word> words);
// What a message of that many words may cost its reader.
capnp::ReaderOptions limitsFor(size_t words);

// "(bytes 10-20)"
std::string byteRange(uint64_t from, uint64_t to);

}  // namespace airr
