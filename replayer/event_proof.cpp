#include "replayer/event_proof.h"

#include <capnp/message.h>
#include <kj/exception.h>
#include <schema/proof.capnp.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <utility>

#include "recorder/epoch.h"
#include "recorder/frame.h"
#include "recorder/frame_tree.h"
#include "replayer/frame_scanner.h"
#include "replayer/trace_reader_file.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr std::array<uint8_t, 8> kProofMagic = {0x89, 'A', 'I', 'R', 'P', '\r', '\n', 2};
constexpr size_t kMaxEpoch = 1 << 16;  // frames that a proof looks at

capnp::Data::Reader asData(Bytes bytes) { return {bytes.data(), bytes.size()}; }
Bytes bytesOf(capnp::Data::Reader data) { return {data.begin(), data.size()}; }

std::vector<uint8_t> readAll(const TraceFile& file, uint64_t from, uint64_t size) {
  std::vector<uint8_t> bytes(size);
  file.read(from, bytes);
  return bytes;
}

// --- Making ---

// The checkpoints up to the one that ends the event's epoch, and that epoch's frames.
struct Found {
  struct Frame {
    ScannedFrame at;
    Digest tagBefore;
  };
  std::vector<Frame> checkpoints;  // by epoch
  std::vector<Frame> epoch;
  size_t index = 0;                               // of the event's frame in its epoch
  std::optional<FrameScanner::Position> restart;  // where the event's zstd frame begins
};

Found find(const TraceFile& file, uint64_t event) {
  Found found;
  FrameScanner scanner(file);
  Digest tag = file.tag();
  bool met = false;
  FrameScanner::Position before = scanner.position();
  while (const auto frame = scanner.next()) {
    const FrameHeader& header = frame->header;
    if (header.type == FrameType::kRedaction) break;
    if (header.isSigned()) {
      found.checkpoints.push_back({*frame, tag});
      if (met) return found;
      found.epoch.clear();
    } else {
      if (!met && header.encoding == Encoding::kZstdStart && header.type == FrameType::kEvents) {
        found.restart = before;
      }
      if (header.eventCount > 0 && event >= header.firstEvent &&
          event - header.firstEvent < header.eventCount) {
        met = true;
        found.index = found.epoch.size();
      }
      if (found.epoch.size() == kMaxEpoch) {
        throw tampered(file, {header.sequence, header.sequence, frame->start, frame->stop,
                              "there is no checkpoint before it for too long"});
      }
      found.epoch.push_back({*frame, tag});
    }
    tag = header.tag;
    before = scanner.position();
  }
  const std::string name = "event " + std::to_string(event) + " of '" + file.path() + "'";
  if (met) {
    throw Error(ExitCode::kUnsealed, "no checkpoint covers " + name,
                "the recording was cut short; the root key alone can prove its end");
  }
  throw Error(ExitCode::kFailure, "there is no " + name,
              "'airr inspect --events' shows their numbers");
}

// The uncompressed events of the frame: decompresses from the beginning of the zstd frame.
std::vector<uint8_t> eventsOf(const TraceFile& file, const Found& found) {
  const ScannedFrame& wanted = found.epoch[found.index].at;
  FrameScanner scanner(file);
  if (!found.restart) {
    throw Error(ExitCode::kTampered, "frame " + std::to_string(wanted.header.sequence) + " of '" +
                                         file.path() + "' continues nothing");
  }
  scanner.restore(*found.restart);
  EventDecompressor decompressor;
  std::vector<uint8_t> raw;
  while (const auto frame = scanner.next()) {
    if (frame->header.type != FrameType::kEvents) continue;
    raw.resize(frame->header.rawSize);
    const auto body =
        file.plain(frame->header, scanner.fetch(frame->body, frame->header.bodySize));
    if (!body || !decompressor.decompress(frame->header.encoding, *body, raw)) {
      throw tampered(file, {frame->header.sequence, frame->header.sequence, frame->start,
                            frame->stop, "its content cannot be decompressed"});
    }
    if (frame->start == wanted.start) return raw;
  }
  throw Error(ExitCode::kFailure, "'" + file.path() + "' changed while it was read");
}

size_t messageBytes(Bytes rest) {
  const auto words = kj::arrayPtr(reinterpret_cast<const capnp::word*>(rest.data()),
                                  rest.size() / sizeof(capnp::word));
  return messageSize(words) * sizeof(capnp::word);
}

// The leaf that has the event, and its bytes.
struct Chosen {
  uint32_t leaf = 0, event = 0;  // its index, and that of the event in it
  uint64_t before = 0;           // events of the frame
  Bytes bytes;
};

Chosen choose(Bytes raw, Bytes directory, uint64_t index) {
  Chosen chosen;
  size_t at = 0;
  for (;; ++chosen.leaf) {
    if (directory.empty())
      throw Error(ExitCode::kTampered, "a frame has fewer events than it says");
    const Leaf leaf = Leaf::decode(directory.first<Leaf::kSize>());
    directory = directory.subspan(Leaf::kSize);
    const size_t start = at;
    for (uint32_t i = 0; i < leaf.events; ++i) {
      const size_t size = messageBytes(raw.subspan(at));
      if (size == 0) throw Error(ExitCode::kTampered, "a frame has fewer events than it says");
      at += size;
    }
    if (index < leaf.events) {
      chosen.event = static_cast<uint32_t>(index);
      chosen.bytes = raw.subspan(start, at - start);
      return chosen;
    }
    chosen.before += leaf.events;
    index -= leaf.events;
  }
}

// The epochs whose checkpoints lead from the header to an epoch, that one included.
std::vector<uint64_t> certificates(uint64_t epoch) {
  std::vector<uint64_t> epochs = {epoch};
  while (epochs.back() != 0) epochs.push_back(certifierOf(epochs.back()));
  std::ranges::reverse(epochs);
  return epochs;
}

void fill(schema::Signed::Builder to, const TraceFile& file, const Found::Frame& from) {
  const FrameHeader& header = from.at.header;
  to.setHeader(asData(from.at.bytes));
  to.setTagBefore(asData(from.tagBefore));
  to.setBody(asData(readAll(file, from.at.body, header.bodySize)));
  to.setSignature(asData(readAll(file, from.at.body + header.bodySize, sizeof(Signature))));
}

// --- Checking ---

template <size_t kSize>
std::optional<std::array<uint8_t, kSize>> exactly(capnp::Data::Reader from) {
  if (from.size() != kSize) return std::nullopt;
  std::array<uint8_t, kSize> to;
  std::ranges::copy(from, to.begin());
  return to;
}

// Words of their own, aligned; nothing if it is none.
kj::Array<capnp::word> wordsOf(Bytes bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
  return words;
}

class Checker {
 public:
  Checker(schema::Proof::Reader proof, const PublicKey& key, std::string name)
      : proof_(proof), key_(key), name_(std::move(name)) {}

  Error unreadable(const std::string& why) const {
    return Error(ExitCode::kUnreadable, "'" + name_ + "' is no proof: " + why,
                 "name a file that 'airr prove' wrote");
  }
  Error tampered(const std::string& why) const {
    return Error(ExitCode::kTampered, "the proof '" + name_ + "' does not hold: " + why,
                 "nothing in it can be relied on");
  }

  // The header message.
  Bytes fileHeader() const {
    const Bytes whole = bytesOf(proof_.getFileHeader());
    if (whole.size() < kFilePrefixSize ||
        !std::equal(kFileMagic.begin(), kFileMagic.end(), whole.begin())) {
      throw unreadable("it has no header of a trace");
    }
    return whole.subspan(kFilePrefixSize);
  }

  PublicKey checkFileHeader(schema::Header::Reader header) const {
    const auto claimed = exactly<sizeof(PublicKey)>(header.getPublicKey());
    const auto first = exactly<sizeof(PublicKey)>(header.getEpochKey());
    const auto tag = exactly<sizeof(Digest)>(proof_.getTag());
    const auto signature = exactly<sizeof(Signature)>(proof_.getSignature());
    if (!claimed || !first || !tag || !signature) throw unreadable("its header is not whole");
    if (*claimed != key_) {
      throw Error(ExitCode::kWrongKey,
                  "the proof '" + name_ + "' is of a trace that was signed with the key " +
                      fingerprint(*claimed) + ", and the public key at hand is " +
                      fingerprint(key_),
                  "use the public key of the user who recorded it");
    }
    const Bytes whole = bytesOf(proof_.getFileHeader());
    const Digest digest =
        FrameHash().file(whole.first(kFilePrefixSize), whole.subspan(kFilePrefixSize));
    if (!verifies(key_, signedHeader(digest, *tag), *signature)) {
      throw tampered("the signature of the trace's header does not match");
    }
    return *first;
  }

  // The checkpoint that covers the event.
  Checkpoint checkCheckpoints(const PublicKey& first) const {
    std::map<uint64_t, PublicKey> keys = {{0, first}};
    std::optional<Checkpoint> last;
    for (schema::Signed::Reader one : proof_.getCheckpoints()) {
      const auto bytes = exactly<kFrameHeaderSize>(one.getHeader());
      const auto tagBefore = exactly<sizeof(Digest)>(one.getTagBefore());
      const auto signature = exactly<sizeof(Signature)>(one.getSignature());
      if (!bytes || !tagBefore || !signature || FrameHeader::fault(*bytes) != nullptr) {
        throw unreadable("a checkpoint is not whole");
      }
      const FrameHeader header = FrameHeader::decode(*bytes);
      const Bytes body = bytesOf(one.getBody());
      if (!header.endsEpoch() || header.bodySize != body.size()) {
        throw unreadable("a checkpoint is not whole");
      }
      last = Checkpoint::decode(header.type, body);
      const auto key = keys.find(last->epoch);
      if (key == keys.end()) throw tampered("the key of a checkpoint was not certified");
      const Digest digest = FrameHash().frame(*bytes, *tagBefore, {}, body);
      if (!verifies(key->second, signedCheckpoint(digest, header.tag), *signature)) {
        throw tampered("the signature of a checkpoint does not match");
      }
      const std::vector<uint64_t> certified = certifiedBy(last->epoch);
      for (size_t i = 0; i < std::min(certified.size(), last->keys.size()); ++i) {
        keys.emplace(certified[i], last->keys[i]);
      }
    }
    if (!last) throw unreadable("it has no checkpoint");
    return *last;
  }

  // The header of the frame that has the event.
  FrameHeader checkFrame(const Checkpoint& checkpoint) const {
    const schema::Frame::Reader frame = proof_.getFrame();
    const auto bytes = exactly<kFrameHeaderSize>(frame.getHeader());
    const auto tagBefore = exactly<sizeof(Digest)>(frame.getTagBefore());
    const auto body = exactly<sizeof(Digest)>(frame.getBody());
    if (!bytes || !tagBefore || !body || FrameHeader::fault(*bytes) != nullptr) {
      throw unreadable("its frame is not whole");
    }
    const FrameHeader header = FrameHeader::decode(*bytes);
    const Bytes directory = bytesOf(frame.getDirectory());
    if (header.type != FrameType::kEvents || header.directorySize != directory.size()) {
      throw unreadable("its frame is none of events");
    }
    FramePath path;
    for (capnp::Data::Reader level : frame.getPath()) {
      if (level.size() % sizeof(Digest) != 0 || path.size() > 16) {
        throw unreadable("its path is not whole");
      }
      std::vector<Digest>& digests = path.emplace_back(level.size() / sizeof(Digest));
      if (!digests.empty()) std::memcpy(digests.data(), level.begin(), level.size());
    }
    const Digest digest = FrameHash().frame(*bytes, *tagBefore, directory, *body);
    const auto root = rootOf(digest, frame.getIndex(), checkpoint.frames, path);
    if (!root || *root != checkpoint.root) throw tampered("its frame is none of the checkpoint's");
    return header;
  }

  // The number of the event.
  uint64_t checkLeaf(const FrameHeader& header, bool saltedLeaves) const {
    const schema::Frame::Reader frame = proof_.getFrame();
    const Bytes directory = bytesOf(frame.getDirectory());
    if (frame.getLeaf() >= directory.size() / Leaf::kSize) throw unreadable("it names no leaf");
    auto leafAt = [&](size_t i) {
      return Leaf::decode(directory.subspan(i * Leaf::kSize).first<Leaf::kSize>());
    };
    uint64_t number = header.firstEvent + frame.getEvent();
    for (uint32_t i = 0; i < frame.getLeaf(); ++i) number += leafAt(i).events;
    const Leaf leaf = leafAt(frame.getLeaf());
    // Its length is fixed, so that it cannot pass for a part of the events, nor they for it.
    const Bytes salt = bytesOf(frame.getSalt());
    if (salt.size() != (saltedLeaves ? sizeof(Digest) : 0)) throw unreadable("its salt is none");
    Sha256 hash;
    hash.update(salt);
    hash.update(bytesOf(frame.getEvents()));
    if (hash.finish() != leaf.sha256) {
      throw tampered("the event has another SHA-256");
    }
    if (frame.getEvent() >= leaf.events) throw tampered("its leaf has fewer events");
    return number;
  }

 private:
  schema::Proof::Reader proof_;
  const PublicKey& key_;
  const std::string name_;
};

}  // namespace

std::vector<uint8_t> makeProof(const std::string& tracePath, uint64_t event,
                               std::span<const Identity> identities) {
  const TraceFile file(tracePath, nullptr, identities);
  const Found found = find(file, event);
  const Found::Frame& target = found.epoch[found.index];
  const std::vector<uint8_t> raw = eventsOf(file, found);
  const std::vector<uint8_t> directory =
      readAll(file, target.at.directory, target.at.header.directorySize);
  const Chosen chosen = choose(raw, directory, event - target.at.header.firstEvent);

  FrameHash hash;
  std::vector<Digest> digests;
  for (const Found::Frame& frame : found.epoch) {
    const FrameHeader& header = frame.at.header;
    const uint64_t body = header.isRemovable() ? 0 : header.bodySize;
    const std::vector<uint8_t> bytes =
        readAll(file, frame.at.directory, header.directorySize + body);
    digests.push_back(hash.frame(frame.at.bytes, frame.tagBefore,
                                 Bytes(bytes).first(header.directorySize),
                                 Bytes(bytes).subspan(header.directorySize)));
  }

  capnp::MallocMessageBuilder message;
  auto proof = message.initRoot<schema::Proof>();
  const uint64_t headerSize = file.firstFrame() - kTagSize - sizeof(Signature);
  proof.setFileHeader(asData(readAll(file, 0, headerSize)));
  proof.setTag(asData(file.tag()));
  proof.setSignature(asData(file.signature()));
  const auto epochs = certificates(found.checkpoints.size() - 1);
  auto checkpoints = proof.initCheckpoints(static_cast<unsigned>(epochs.size()));
  for (unsigned i = 0; i < epochs.size(); ++i) {
    fill(checkpoints[i], file, found.checkpoints[epochs[i]]);
  }
  auto frame = proof.initFrame();
  frame.setHeader(asData(target.at.bytes));
  frame.setTagBefore(asData(target.tagBefore));
  frame.setDirectory(asData(directory));
  frame.setBody(asData(sha256(readAll(file, target.at.body, target.at.header.bodySize))));
  frame.setIndex(found.index);
  const FramePath path = framePath(digests, found.index);
  auto levels = frame.initPath(static_cast<unsigned>(path.size()));
  for (unsigned i = 0; i < path.size(); ++i) {
    levels.set(i,
               {reinterpret_cast<const uint8_t*>(path[i].data()), path[i].size() * sizeof(Digest)});
  }
  frame.setLeaf(chosen.leaf);
  frame.setEvent(chosen.event);
  frame.setEvents(asData(chosen.bytes));
  if (file.secrets() != nullptr) {
    const uint64_t first = target.at.header.firstEvent + chosen.before;
    frame.setSalt(asData(file.secrets()->digests().salt(first)));
  }

  const auto words = capnp::messageToFlatArray(message);
  std::vector<uint8_t> bytes(kProofMagic.size() + words.asBytes().size());
  std::ranges::copy(words.asBytes(), std::ranges::copy(kProofMagic, bytes.begin()).out);
  // What does not hold is not handed out.
  EventProof(bytes, file.publicKey(), tracePath);
  return bytes;
}

EventProof::EventProof(Bytes proof, const PublicKey& key, const std::string& name) {
  const Checker nothing({}, key, name);
  if (proof.size() < kProofMagic.size() || proof.size() > EventProof::kMaxSize ||
      !std::equal(kProofMagic.begin(), kProofMagic.end(), proof.begin())) {
    throw nothing.unreadable("it does not begin as one");
  }
  const kj::Array<capnp::word> words = wordsOf(proof.subspan(kProofMagic.size()));
  if (proof.size() % sizeof(capnp::word) != 0 || messageSize(words) != words.size()) {
    throw nothing.unreadable("it is not whole");
  }
  try {
    capnp::FlatArrayMessageReader message(words, limitsFor(words.size()));
    const Checker checker(message.getRoot<schema::Proof>(), key, name);
    headerWords_ = wordsOf(checker.fileHeader());
    if (messageSize(headerWords_) == 0) throw checker.unreadable("its header is not whole");
    headerMessage_.emplace(headerWords_, limitsFor(headerWords_.size()));
    header_ = headerMessage_->getRoot<schema::Header>();
    header_.totalSize();  // follows every pointer
    const PublicKey first = checker.checkFileHeader(header_);
    const FrameHeader frame = checker.checkFrame(checker.checkCheckpoints(first));
    frame_ = frame.sequence;
    eventNumber_ = checker.checkLeaf(frame, header_.getRecipients().size() > 0);

    const schema::Frame::Reader shown = message.getRoot<schema::Proof>().getFrame();
    leafWords_ = wordsOf(bytesOf(shown.getEvents()));
    kj::ArrayPtr<const capnp::word> rest = leafWords_;
    for (uint32_t i = 0;; ++i) {
      const size_t size = messageSize(rest);
      if (size == 0) throw checker.tampered("its leaf has fewer events");
      if (i == shown.getEvent()) {
        alone_ = size == leafWords_.size();
        eventMessage_.emplace(rest.slice(0, size), limitsFor(size));
        break;
      }
      rest = rest.slice(size, rest.size());
    }
    event_ = eventMessage_->getRoot<schema::Event>();
    event_.totalSize();
  } catch (const kj::Exception& exception) {
    throw nothing.unreadable(exception.getDescription().cStr());
  }
}

}  // namespace airr
