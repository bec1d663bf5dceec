// Valid input for each target, from which fuzzing starts.

#include <openssl/evp.h>

#include "recorder/event_packing.h"
#include "replayer/event_proof.h"
#include "replayer/redaction.h"
#include "tests/fuzz/targets.h"
#include "tests/recorder/raw_trace.h"

namespace airr::fuzz {
namespace {

using Seeds = std::vector<std::vector<uint8_t>>;

// A directory with a key and a trace of a few frames of every type.
class Place {
 public:
  explicit Place(const TraceOptions& options = {}) {
    std::string name = std::filesystem::temp_directory_path() / "airr-fuzz-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    ::setenv("AIRR_CACHE_DIR", (directory_ + "/cache").c_str(), 1);
    keys_ = KeyStore::create(directory_ + "/key", Protection::kNone);
    capnp::MallocMessageBuilder header;
    auto root = header.initRoot<schema::Header>();
    const ByteVector sessionId(16, 7);
    root.setSessionId(kj::arrayPtr(sessionId.data(), sessionId.size()));
    root.initArguments(1).set(0, "agent");
    RawTrace trace(this->trace(), keys_.sessionKey(sessionId), header, options);
    trace.events({RawTrace::note(1, "first"), RawTrace::reference(0)});
    if (options.clearMetadata) {
      EventCompressor compressor;
      Encoding encoding;
      capnp::MallocMessageBuilder message;
      RawTrace::note(1, "first")(message.initRoot<schema::Event>());
      const auto words = capnp::messageToFlatArray(message);
      const auto bytes = words.asBytes();
      ByteVector two(bytes.begin(), bytes.end());
      two.insert(two.end(), bytes.begin(), bytes.end());
      const Bytes stored = compressor.compress(two, encoding);
      trace.frames().metadata(two.size(), encoding, stored);
    }
    trace.frames().checkpoint();
    trace.blob(noise(60, 1), {10, 20});
    trace.frames().sameBlob(sha256(noise(60, 1)), 60);
    trace.events({RawTrace::note(2, "second")});
    trace.frames().seal();
  }
  ~Place() { std::filesystem::remove_all(directory_); }

  std::string trace() const { return directory_ + "/trace.cap"; }
  // A copy in which blob 0 is encrypted, or taken out.
  std::string redacted(std::span<const Recipient> recipients) const {
    const std::string copy = directory_ + (recipients.empty() ? "/without.cap" : "/encrypted.cap");
    redact(trace(), copy, {{{0, "seed"}}, {}}, {"seed", "seed"}, keys_, recipients);
    return copy;
  }

 private:
  std::string directory_;
  KeyStore keys_;
};

Seeds traceSeeds() {
  const std::vector<Recipient> readers = {reader().recipient()};
  const Place clear;
  return {readFile(clear.trace()),
          readFile(clear.redacted({})),
          readFile(clear.redacted(readers)),
          readFile(Place({.encryptTo = readers}).trace()),
          readFile(Place({.encryptTo = readers, .clearMetadata = true}).trace())};
}

Seeds frameSeeds() {
  Seeds seeds;
  for (const ByteVector& trace : traceSeeds()) {
    for (const FrameAt& frame : framesOf(trace)) {
      seeds.emplace_back(trace.begin() + static_cast<ptrdiff_t>(frame.start),
                         trace.begin() + static_cast<ptrdiff_t>(frame.end));
    }
  }
  return seeds;
}

Seeds packedEventsSeeds() {
  ByteVector raw;
  const auto add = [&](const auto& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<schema::Event>());
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    raw.insert(raw.end(), bytes.begin(), bytes.end());
  };
  add(RawTrace::note(1, "first"));
  add(RawTrace::reference(0));
  for (uint32_t task = 1; task < 4; ++task) {
    add([&](schema::Event::Builder event) {
      event.setTask(task);
      event.setTime(1000 + task);
      auto call = event.initSyscall();
      call.setNumber(257);
      call.setResult(task);
      call.setInputHash(0x123456789abcdef);
      call.setPath("/etc/passwd");
      auto arguments = call.initArguments(4);
      for (unsigned i = 0; i < 4; ++i) arguments.set(i, 0x7ffc00001000 + i);
      const ByteVector read = noise(40, task);
      call.initWrites(1)[0].setBytes({read.data(), read.size()});
    });
  }
  EventPacker packer;
  const Bytes packed = packer.pack(raw);
  const size_t words = raw.size() / 8;
  ByteVector seed = {static_cast<uint8_t>(words), static_cast<uint8_t>(words >> 8)};
  seed.insert(seed.end(), packed.begin(), packed.end());
  return {seed};
}

Seeds keyFileSeeds() {
  KeyFile file;
  file.protection = Protection::kPassphrase;
  file.sealed = sealByPassphrase(file.root, file.context(), "passphrase");
  const std::string pem = toPem(SigningKey(Seed{1}).publicKey());
  return {file.encode(), ByteVector(32, 1), {pem.begin(), pem.end()}};
}

Seeds proofSeeds() {
  const Place place, encrypted({.encryptTo = {reader().recipient()}});
  return {makeProof(place.trace(), 1), makeProof(place.trace(), 3),
          makeProof(encrypted.trace(), 1, {&reader(), 1})};
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {{"trace", trace, traceSeeds},
                                          {"frame", frame, frameSeeds},
                                          {"packed_events", packed_events, packedEventsSeeds},
                                          {"key_file", key_file, keyFileSeeds},
                                          {"proof", proof, proofSeeds}};
  return all;
}

}  // namespace airr::fuzz
