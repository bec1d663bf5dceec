#include "replayer/trace_secrets.h"

#include <kj/exception.h>

#include <algorithm>
#include <cstring>

#include "recorder/frame.h"
#include "recorder/signing.h"
#include "replayer/trace_reader_file.h"

namespace airr {

Error notForUs(const std::string& what, std::span<const SealedKey> recipients) {
  std::string names;
  for (const SealedKey& one : recipients) {
    names += (names.empty() ? "" : ", ") + fingerprint(one.recipient);
  }
  return Error(ExitCode::kEncrypted,
               what + " is encrypted to " + names + ", and none of the keys at hand is one of these",
               "name the private key of one of them with --identity");
}

TraceSecrets::TraceSecrets(const std::string& path, schema::Header::Reader header,
                           std::span<const Identity> identities)
    : path_(path),
      file_(header),
      header_(header),
      identities_(identities.begin(), identities.end()) {
  const Error damaged(ExitCode::kUnreadable,
                      "'" + path_ + "' has a damaged header: its recipients are none");
  try {
    auto recipients = readSealedKeys(header.getRecipients());
    if (!recipients) throw damaged;
    recipients_ = std::move(*recipients);
  } catch (const kj::Exception&) {
    throw damaged;
  }
  const auto session = header.getSessionId();
  const KeyUse use{kTraceKey, {session.begin(), session.size()}};
  const auto key = openKey(recipients_, identities_, use);
  if (!key) return;
  content_.emplace(Content{FrameCipher(*key, use), ContentDigests(*key, use)});
  if (hideMetadata()) openHeader();
}

TraceSecrets::Content& TraceSecrets::content() {
  if (!content_) throw notForUs("'" + path_ + "'", recipients_);
  return *content_;
}

void TraceSecrets::openHeader() {
  const Error damaged(ExitCode::kTampered, "the encrypted header of '" + path_ + "' was altered",
                      "nothing in this file can be relied on; use an unaltered copy");
  const auto sealed = file_.getSealedHeader();
  const auto bytes =
      content_->cipher.open(FrameCipher::kFileHeader, {sealed.begin(), sealed.size()});
  if (!bytes) throw damaged;
  headerWords_ = kj::heapArray<capnp::word>(bytes->size() / sizeof(capnp::word));
  std::memcpy(headerWords_.begin(), bytes->data(), headerWords_.size() * sizeof(capnp::word));
  if (messageSize(headerWords_) != headerWords_.size()) throw damaged;
  try {
    headerMessage_.emplace(headerWords_, limitsFor(headerWords_.size()));
    header_ = headerMessage_->getRoot<schema::Header>();
    header_.totalSize();  // follows every pointer
    if (header_.getSessionId() != file_.getSessionId()) throw damaged;
  } catch (const kj::Exception&) {
    throw damaged;
  }
}

}  // namespace airr
