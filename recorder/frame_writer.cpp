#include "recorder/frame_writer.h"

#include <capnp/serialize.h>
#include <kj/common.h>
#include <schema/airr.capnp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "recorder/files.h"

namespace airr {
namespace {

// A regular file is replaced, not overwritten: who has the former trace open keeps it whole.
UniqueFd createTrace(const std::string& path) {
  const std::string what = "cannot create the trace '" + path + "'";
  int create = O_CREAT | O_EXCL;
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) throw systemError(what, EISDIR, "name a file in it");
    if (!S_ISREG(status.st_mode)) {
      create = 0;
    } else if (::unlink(path.c_str()) != 0) {
      throw systemError(what);
    }
  }
  UniqueFd file = openOwn(path, O_WRONLY | O_NOCTTY | create, 0600);
  if (!file && errno == EMFILE) {
    throw systemError(
        what, EMFILE,
        "raise the limit of open files above " + std::to_string(kFirstOwnFd) + " (ulimit -n 1024)");
  }
  if (!file) throw systemError(what, errno, "choose a place that can be written");
  return file;
}

// The name of a new file is on the disk when its directory is.
void syncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string place = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd directory = openOwn(place, O_RDONLY | O_DIRECTORY);
  if (!directory || ::fsync(directory.get()) != 0) {
    throw systemError("cannot bring the directory '" + place + "' to its disk", errno,
                      "record to another file system");
  }
}

capnp::Data::Reader asData(Bytes bytes) { return {bytes.data(), bytes.size()}; }

Bytes bytesOf(const kj::Array<capnp::word>& words) {
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.size()};
}

}  // namespace

// Of a content key that is forgotten once this is made.
struct FrameWriter::Encryption {
  Encryption(const ContentKey& key, const KeyUse& use)
      : cipher(key, use), blobs(key, use), salts(key, use) {}
  static bool covers(FrameType type) {
    return type == FrameType::kPart || type == FrameType::kBlob || type == FrameType::kEvents;
  }

  FrameCipher cipher;              // with mutex_ held
  ContentDigests blobs;            // of the blobs' thread
  ContentDigests salts;            // of the events' thread
  std::vector<uint8_t> directory;  // of the frame being written
};

FrameWriter::FrameWriter(const std::string& path, const SessionKey& key,
                         capnp::MallocMessageBuilder& header, const TraceOptions& options)
    : path_(path),
      system_(*options.system),
      file_(createTrace(path)),
      key_(key.hmac),
      signers_(system_),
      epochBegan_(system_.ticks()) {
  writeHeader(key, header, options);
  if (!options.witness.empty()) beginWitness(options.witness);
  if (options.durability == Durability::kPower) {
    syncDirectoryOf(path);
    syncer_ = std::make_unique<Syncer>(system_, file_.get(), [this](int error) {
      fail(systemError("cannot bring the trace '" + path_ + "' to its disk", error,
                       "record to another file system"));
    });
    syncer_->wrote();
  }
}

FrameWriter::~FrameWriter() = default;

void FrameWriter::beginWitness(const std::string& place) {
  const Head head{session_, 0, 0, checkpoint_};
  witness_ = std::make_unique<Witness>(place, head, [this](const Error& error) { fail(error); });
}

void FrameWriter::keepUp() {
  if (syncer_) syncer_->keepUp();
}

void FrameWriter::settle() {
  if (syncer_) syncer_->drain();
  if (witness_) witness_->drain();
}

void FrameWriter::writeHeader(const SessionKey& key, capnp::MallocMessageBuilder& header,
                              const TraceOptions& options) {
  auto root = header.getRoot<schema::Header>();
  if (root.getSessionId().size() != kSessionIdSize) {
    throw Error(ExitCode::kFailure, "a session id has " + std::to_string(kSessionIdSize) +
                                        " bytes, not " +
                                        std::to_string(root.getSessionId().size()));
  }
  std::ranges::copy(root.getSessionId(), session_.begin());
  const SigningKey identity(key.identity);
  root.setKeyId(asData(key.rootId));
  root.setPublicKey(asData(identity.publicKey()));
  root.setEpochKey(asData(signers_.certify({0}).front()));

  std::vector<SealedKey> sealed;
  if (!options.encryptTo.empty()) {
    const KeyUse use{kTraceKey, session_};
    const ContentKey content = ContentKey::random();
    sealed = sealToAll(options.encryptTo, content, use);
    showsMetadata_ = options.clearMetadata;
    encryption_ = std::make_unique<Encryption>(content, use);
    if (showsMetadata_) writeSealedKeys(sealed, root.initRecipients(static_cast<unsigned>(sealed.size())));
  }
  kj::Array<capnp::word> words = capnp::messageToFlatArray(header);
  if (encryption_ && !showsMetadata_) {
    capnp::MallocMessageBuilder open;
    auto shown = open.initRoot<schema::Header>();
    shown.setAirrVersion(root.getAirrVersion());
    shown.setSessionId(root.getSessionId());
    shown.setStartedAt(root.getStartedAt());
    shown.setKeyId(root.getKeyId());
    shown.setPublicKey(root.getPublicKey());
    shown.setEpochKey(root.getEpochKey());
    writeSealedKeys(sealed, shown.initRecipients(static_cast<unsigned>(sealed.size())));
    shown.setSealedHeader(asData(encryption_->cipher.seal(FrameCipher::kFileHeader, bytesOf(words))));
    words = capnp::messageToFlatArray(open);
  }
  const Bytes message = bytesOf(words);
  if (message.size() > kMaxHeaderMessage) {
    throw Error(ExitCode::kFailure, "the command line is too long for a trace's header");
  }
  std::array<uint8_t, kFilePrefixSize> prefix;
  const uint32_t length = static_cast<uint32_t>(message.size());
  std::copy(kFileMagic.begin(), kFileMagic.end(), prefix.begin());
  std::memcpy(prefix.data() + 8, encryption_ ? &kEncryptedVersion : &kFormatVersion, 4);
  std::memcpy(prefix.data() + 12, &length, 4);
  checkpoint_ = hash_.file(prefix, message);
  tag_ = key_.tag(checkpoint_);
  const Signature signature = identity.sign(signedHeader(checkpoint_, tag_));
  write({prefix, message, tag_, signature});
  epochStart_ = whole_;
}

void FrameWriter::events(uint64_t rawSize, std::span<const Leaf> leaves, Encoding encoding,
                         Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kEvents;
  header.rawSize = rawSize;
  header.encoding = encoding;
  std::vector<uint8_t> directory(leaves.size() * Leaf::kSize);
  for (size_t i = 0; i < leaves.size(); ++i) {
    header.eventCount += leaves[i].events;
    leaves[i].encode(std::span(directory).subspan(i * Leaf::kSize).first<Leaf::kSize>());
  }
  appendFirst(header, directory, stored);
}

void FrameWriter::metadata(uint64_t rawSize, Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kMetadata;
  header.rawSize = rawSize;
  header.encoding = encoding;
  appendFirst(header, {}, stored);
}

void FrameWriter::part(Encoding encoding, const HashedBytes& body) {
  FrameHeader header;
  header.type = FrameType::kPart;
  header.encoding = encoding;
  appendAfterEvents(header, body.sha256, body.bytes);
}

void FrameWriter::blob(const Digest& sha256, uint64_t size, Encoding encoding,
                       const HashedBytes& body) {
  FrameHeader header;
  header.type = FrameType::kBlob;
  header.rawSize = size;
  header.encoding = encoding;
  std::array<uint8_t, 2 * sizeof(Digest)> directory;
  std::ranges::copy(body.sha256, std::ranges::copy(nameOf(sha256), directory.begin()).out);
  appendAfterEvents(header, directory, body.bytes);
}

void FrameWriter::sameBlob(const Digest& sha256, uint64_t size) {
  FrameHeader header;
  header.type = FrameType::kBlob;
  header.rawSize = size;
  header.encoding = Encoding::kSame;
  appendAfterEvents(header, nameOf(sha256), {});
}

Digest FrameWriter::nameOf(const Digest& content) {
  return encryption_ ? encryption_->blobs.blob(content) : content;
}

std::optional<Digest> FrameWriter::salt(uint64_t firstEvent) {
  if (!encryption_) return std::nullopt;
  return encryption_->salts.salt(firstEvent);
}

void FrameWriter::appendFirst(const FrameHeader& header, Bytes directory, Bytes body) {
  KJ_DEFER(turn_.notify_one());
  eventsWait_ = true;
  std::lock_guard lock(mutex_);
  eventsWait_ = false;
  append(header, directory, body);
}

// A mutex goes to whoever comes first, and that would be the thread that has just released it.
void FrameWriter::appendAfterEvents(const FrameHeader& header, Bytes directory, Bytes body) {
  std::unique_lock lock(mutex_);
  turn_.wait(lock, [&] { return !eventsWait_; });
  append(header, directory, body);
}

void FrameWriter::checkpoint() {
  std::lock_guard lock(mutex_);
  appendSigned(FrameType::kCheckpoint, {.keys = signers_.certify(certifiedBy(epoch_))});
}

void FrameWriter::seal() {
  std::lock_guard lock(mutex_);
  appendSigned(FrameType::kSeal, {.totals = SealTotals{events_, sequence_ + 1, blobs_}});
  failLocked(Error(ExitCode::kFailure, "the trace '" + path_ + "' is sealed: nothing can follow"));
  sealed_ = true;
}

void FrameWriter::append(const FrameHeader& header, Bytes directory, Bytes body) {
  writeFrame(header, directory, body);
  if (epochIsFull()) {
    appendSigned(FrameType::kCheckpoint, {.keys = signers_.certify(certifiedBy(epoch_))});
  }
}

bool FrameWriter::epochIsFull() {
  return tree_.count() >= kEpochFrames || whole_ - epochStart_ >= kEpochBytes ||
         system_.ticks() - epochBegan_ >= kEpochTime;
}

void FrameWriter::appendSigned(FrameType type, Checkpoint checkpoint) {
  checkpoint.epoch = epoch_;
  checkpoint.frames = tree_.count();
  checkpoint.previous = checkpoint_;
  checkpoint.root = tree_.root();
  const std::vector<uint8_t> body = checkpoint.encode();
  FrameHeader header;
  header.type = type;
  header.rawSize = body.size();
  writeFrame(header, {}, body);
}

void FrameWriter::writeFrame(FrameHeader header, Bytes directory, Bytes body) {
  if (failure_) throw *failure_;
  try {
    header.sequence = sequence_ + 1;
    if (encryption_ && !body.empty() && encryption_->covers(header.type)) {
      body = encryption_->cipher.seal(header.sequence, body);
      if (header.isRemovable()) {  // its directory ends with the body's SHA-256
        encryption_->directory.assign(directory.begin(), directory.end() - sizeof(Digest));
        const Digest sealed = sha256(body);
        encryption_->directory.insert(encryption_->directory.end(), sealed.begin(), sealed.end());
        directory = encryption_->directory;
      }
    }
    header.directorySize = static_cast<uint16_t>(directory.size());
    header.firstEvent = events_ + 1;
    header.bodySize = body.size();
    std::array<uint8_t, kFrameHeaderSize> bytes;
    header.encode(bytes);
    const Digest digest = hash_.frame(bytes, tag_, directory, body);
    header.tag = key_.tag(digest);
    header.encode(bytes);
    if (header.endsEpoch()) {
      const Signature signature = signers_.sign(epoch_, signedCheckpoint(digest, header.tag));
      write({bytes, body, signature});
    } else {
      write({bytes, directory, body});
    }
    tag_ = header.tag;
    sequence_ = header.sequence;
    events_ += header.eventCount;
    if (header.type == FrameType::kBlob) ++blobs_;
    if (!header.endsEpoch()) {
      tree_.add(digest);
      return;
    }
    checkpoint_ = digest;
    ++epoch_;
    if (witness_) witness_->publish({session_, epoch_, sequence_, digest});
    key_.advance();
    tree_.clear();
    epochStart_ = whole_;
    epochBegan_ = system_.ticks();
  } catch (const Error& error) {
    failLocked(error);
    throw;
  }
}

void FrameWriter::write(std::initializer_list<Bytes> parts) {
  if (!writeWhole(system_, file_.get(), parts)) {
    const int error = errno;
    // What a failed write has left is no frame; without it the trace ends whole.
    if (whole_ > 0 && system_.truncate(file_.get(), whole_) != 0) {
      // Then readers find the partial frame at the end and report a truncated trace.
    }
    throw systemError(
        "cannot write the trace '" + path_ + "'", error,
        "the trace is whole up to this point; make room, or record to another file system");
  }
  for (Bytes part : parts) whole_ += part.size();
  if (syncer_) syncer_->wrote();
}

void FrameWriter::check() {
  // Once it is there it does not change, so copying it needs no lock.
  if (failed()) throw *failure_;
}

void FrameWriter::fail(const Error& error) {
  std::lock_guard lock(mutex_);
  failLocked(error);
}

void FrameWriter::checkSealed() {
  std::lock_guard lock(mutex_);
  if (afterSeal_) throw *afterSeal_;
}

void FrameWriter::failLocked(const Error& error) {
  if (sealed_ && !afterSeal_) afterSeal_ = error;
  if (failure_) return;
  failure_ = error;
  failed_.store(true, std::memory_order_release);
}

}  // namespace airr
