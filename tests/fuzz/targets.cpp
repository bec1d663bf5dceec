#include "tests/fuzz/targets.h"

#include <kj/exception.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "recorder/event_packing.h"
#include "recorder/files.h"
#include "recorder/frame.h"
#include "recorder/key_file.h"
#include "recorder/signing.h"
#include "replayer/content_check.h"
#include "replayer/event_proof.h"
#include "replayer/redaction_record.h"
#include "replayer/trace_reader.h"
#include "replayer/trace_verifier.h"
#include "schema/error.h"

namespace airr::fuzz {
namespace {

// The bytes as a file.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (!fd_ || !writeWhole(fd_.get(), {bytes})) std::abort();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  UniqueFd fd_;
};

// Any Error is fine; anything else that is thrown is a finding, but for what trace_reader.h says of
// events that were not authenticated.
template <class Action>
void tolerating(Action action) {
  try {
    action();
  } catch (const Error&) {
  } catch (const kj::Exception&) {
  }
}

// Blobs that claim gigabytes of zeros are bounded by their header, but slow.
constexpr uint64_t kLargestBlob = 1 << 20;

}  // namespace

const Identity& reader() {
  static const Identity identity(Seed{1});
  return identity;
}

void trace(Bytes bytes) {
  const MemoryFile file(bytes);
  tolerating([&] {
    TraceReader insider(file.path(), nullptr, {&reader(), 1});
    while (auto event = insider.next()) event->getTask();
    for (uint32_t blob = 0; blob < std::min<uint32_t>(insider.blobCount(), 100); ++blob) {
      if (insider.blobInfo(blob).size <= kLargestBlob) tolerating([&] { insider.checkBlob(blob); });
    }
  });
  tolerating([&] {
    TraceReader insider(file.path(), nullptr, {&reader(), 1});
    bool small = true;
    while (insider.next()) continue;
    for (uint32_t blob = 0; blob < insider.blobCount(); ++blob) {
      small = small && insider.blobInfo(blob).size <= kLargestBlob;
    }
    if (small && insider.blobCount() < 100) checkContent(insider);
  });
  // Who has no key for what is encrypted.
  tolerating([&] {
    TraceReader outsider(file.path(), nullptr);
    while (auto event = outsider.next()) event->getTask();
  });
  tolerating([&] { makeProof(file.path(), 1, {&reader(), 1}); });
  // As if the key in the header were the one that is wanted: else nothing is read behind it.
  tolerating([&] {
    const TraceReader unchecked(file.path(), nullptr);
    const auto data = unchecked.header().getPublicKey();
    PublicKey key{};
    if (data.size() == key.size()) std::ranges::copy(data, key.begin());
    verifyTrace(file.path(), {.publicKey = key, .threads = 1});
  });
}

// A frame: header, directory, body.
void frame(Bytes bytes) {
  if (bytes.size() < kFrameHeaderSize) return;
  const auto raw = bytes.first<kFrameHeaderSize>();
  if (FrameHeader::fault(raw) != nullptr) return;
  const FrameHeader header = FrameHeader::decode(raw);
  if (header.storedSize() > bytes.size() - kFrameHeaderSize) return;
  const Bytes directory = bytes.subspan(kFrameHeaderSize, header.directorySize);
  const Bytes body =
      bytes.subspan(kFrameHeaderSize + header.directorySize, header.storedBody());
  FrameHash().frame(raw, Digest{}, directory, body);
  if (header.type == FrameType::kRedaction) decodeRedaction(header.sequence, body);
  if (header.endsEpoch()) {
    const auto encoded = Checkpoint::decode(header.type, body).encode();
    if (!std::ranges::equal(encoded, body)) std::abort();
  }
  if (header.type == FrameType::kEvents) {
    std::vector<uint8_t> content(header.rawSize);
    EventDecompressor().decompress(header.encoding, body, content);
    for (size_t i = 0; i < directory.size(); i += Leaf::kSize) {
      Leaf::decode(directory.subspan(i).first<Leaf::kSize>());
    }
  }
}

// What a frame's events are once zstd has done its part: two bytes with the number of their words, then the rest. They
// are parted in two, as frames are.
void packed_events(Bytes bytes) {
  if (bytes.size() < 2) return;
  const size_t words = bytes[0] | bytes[1] << 8;
  const Bytes packed = bytes.subspan(2);
  EventUnpacker unpacker;
  std::vector<uint8_t> raw(words * 8);
  unpacker.unpack(packed.first(packed.size() / 2), std::span(raw).first(words / 2 * 8));
  unpacker.unpack(packed.subspan(packed.size() / 2), std::span(raw).subspan(words / 2 * 8));
  unpacker.reset();
  if (!unpacker.unpack(packed, raw)) return;
  std::vector<uint8_t> again(raw.size());
  EventPacker packer;
  const Bytes repacked = packer.pack(raw);
  unpacker.reset();
  if (repacked.size() > maxPacked(raw.size()) || !unpacker.unpack(repacked, again) || again != raw) std::abort();
}

void key_file(Bytes bytes) {
  if (const auto key = KeyFile::decode(bytes)) {
    const auto encoded = key->encode();
    if (!std::ranges::equal(encoded, bytes)) std::abort();
    // Deriving is slow by design; what comes before it is not.
    if (!key->sealed.empty() && key->sealed[0] <= 11) {
      tolerating([&] { unsealByPassphrase(key->sealed, key->context(), "passphrase"); });
    }
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto key = publicKeyFromPem(text)) {
    if (publicKeyFromPem(toPem(*key)) != key) std::abort();
  }
}

void proof(Bytes bytes) {
  for (const PublicKey& key : {SigningKey(Seed{1}).publicKey(), PublicKey{}}) {
    tolerating([&] { EventProof(bytes, key, "fuzz").event().totalSize(); });
  }
}

}  // namespace airr::fuzz
