#include "replayer/redaction_record.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <schema/redaction.capnp.h>

#include <algorithm>
#include <cstring>

#include "replayer/frame_scanner.h"
#include "replayer/trace_secrets.h"
#include "schema/error.h"

namespace airr {

std::vector<uint8_t> encode(const RedactionRecord& record) {
  capnp::MallocMessageBuilder message;
  auto redaction = message.initRoot<schema::Redaction>();
  redaction.setTime(record.time);
  redaction.setBy(record.by);
  redaction.setReason(record.reason);
  redaction.setPublicKey({record.publicKey.data(), record.publicKey.size()});
  writeSealedKeys(record.recipients,
                  redaction.initRecipients(static_cast<unsigned>(record.recipients.size())));
  auto blobs = redaction.initBlobs(static_cast<unsigned>(record.blobs.size()));
  unsigned i = 0;
  for (const auto& [number, blob] : record.blobs) {
    auto to = blobs[i++];
    to.setBlob(number);
    to.setWhy(blob.why);
    auto bodies = to.initBodies(static_cast<unsigned>(blob.bodies.size()));
    for (unsigned k = 0; k < blob.bodies.size(); ++k) {
      bodies.set(k, {blob.bodies[k].data(), blob.bodies[k].size()});
    }
  }
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

std::optional<RedactionRecord> decodeRedaction(uint64_t frame, Bytes body) {
  auto words = kj::heapArray<capnp::word>(body.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), body.data(), words.size() * sizeof(capnp::word));
  if (messageSize(words) != words.size() || words.size() == 0) return std::nullopt;
  try {
    capnp::FlatArrayMessageReader message(words, limitsFor(words.size()));
    const auto redaction = message.getRoot<schema::Redaction>();
    RedactionRecord record;
    record.frame = frame;
    record.time = redaction.getTime();
    record.by = redaction.getBy();
    record.reason = redaction.getReason();
    const auto key = redaction.getPublicKey();
    if (key.size() != record.publicKey.size()) return std::nullopt;
    std::ranges::copy(key, record.publicKey.begin());
    auto recipients = readSealedKeys(redaction.getRecipients());
    if (!recipients) return std::nullopt;
    record.recipients = std::move(*recipients);
    for (auto removed : redaction.getBlobs()) {
      RedactionRecord::Blob blob{std::string(removed.getWhy()), {}};
      for (auto body256 : removed.getBodies()) {
        Digest& digest = blob.bodies.emplace_back();
        if (body256.size() != digest.size()) return std::nullopt;
        std::ranges::copy(body256, digest.begin());
      }
      record.blobs.emplace(removed.getBlob(), std::move(blob));
    }
    return record;
  } catch (const kj::Exception&) {
    return std::nullopt;
  }
}

void ReencryptedBodies::load() {
  FrameScanner scanner(file_);
  while (const auto frame = scanner.next()) {
    const FrameHeader& header = frame->header;
    if (header.type != FrameType::kRedaction) continue;
    auto record = decodeRedaction(header.sequence, scanner.fetch(frame->body, header.bodySize));
    if (!record) {
      throw tampered(file_, {header.sequence, header.sequence, frame->start, frame->stop,
                             "its message is malformed"});
    }
    records_.push_back(std::move(*record));
  }
  loaded_ = true;
}

FrameCipher& ReencryptedBodies::cipherOf(uint32_t blob) {
  if (!loaded_) load();
  const std::string name = "blob " + std::to_string(blob) + " of '" + file_.path() + "'";
  for (const RedactionRecord& record : records_) {
    const auto found = record.blobs.find(blob);
    if (found == record.blobs.end() || found->second.bodies.empty()) continue;
    std::unique_ptr<FrameCipher>& cipher = ciphers_[record.frame];
    if (!cipher) {
      const auto session = file_.header().getSessionId();
      const KeyUse use{kRedactionKey, {session.begin(), session.size()}};
      const auto key = openKey(record.recipients, file_.identities(), use);
      if (!key) throw notForUs(name, record.recipients);
      cipher = std::make_unique<FrameCipher>(*key, use);
    }
    return *cipher;
  }
  throw Error(ExitCode::kTampered, name + " was encrypted, and no redaction says so",
              "use an unaltered copy of the trace");
}

}  // namespace airr
