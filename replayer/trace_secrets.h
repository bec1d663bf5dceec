// What of a trace is encrypted (docs/trace-format.md, "Encryption"), and how it is opened.
//
// Ownership: owns copies of the identities. Not thread-safe.
// Failure: Error kEncrypted when something is asked for that none of the identities can read;
// kUnreadable if the recipients in the header are malformed.
#pragma once

#include <capnp/serialize.h>
#include <schema/airr.capnp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recorder/encryption.h"
#include "schema/error.h"

namespace airr {

// An Error kEncrypted: what it is that cannot be read, and who can.
Error notForUs(const std::string& what, std::span<const SealedKey> recipients);

class TraceSecrets {
 public:
  // `header`: that of the file, which must outlive this.
  TraceSecrets(const std::string& path, schema::Header::Reader header,
               std::span<const Identity> identities);

  const std::vector<SealedKey>& recipients() const { return recipients_; }
  std::span<const Identity> identities() const { return identities_; }
  bool isOpen() const { return content_.has_value(); }
  // Whether nobody else can read what the header says of the session, and the events without their
  // contents.
  bool hideMetadata() const { return file_.hasSealedHeader(); }

  // The sealed header if it is there and open, else the file's.
  schema::Header::Reader header() const { return header_; }
  // These throw if it is not open.
  FrameCipher& cipher() { return content().cipher; }
  ContentDigests& digests() { return content().digests; }

 private:
  struct Content {
    FrameCipher cipher;
    ContentDigests digests;
  };
  Content& content();
  void openHeader();

  const std::string path_;
  const schema::Header::Reader file_;
  schema::Header::Reader header_;
  std::vector<SealedKey> recipients_;
  std::vector<Identity> identities_;
  std::optional<Content> content_;
  kj::Array<capnp::word> headerWords_;
  std::optional<capnp::FlatArrayMessageReader> headerMessage_;
};

}  // namespace airr
