#include "replayer/trace_reader_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "recorder/epoch.h"
#include "recorder/files.h"
#include "recorder/frame.h"

namespace airr {
namespace {

UniqueFd openTrace(const std::string& path) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) {
    throw Error(ExitCode::kUnreadable,
                "cannot open the trace '" + path + "': " + std::strerror(errno));
  }
  return file;
}

uint64_t sizeOf(const std::string& path, int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw systemError("cannot inspect '" + path + "'");
  if (!S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kUnreadable, "'" + path + "' is not a trace: not a regular file");
  }
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace

TraceFile::TraceFile(const std::string& path, const KeyStore* keys,
                     std::span<const Identity> identities)
    : path_(path),
      file_(openTrace(path)),
      size_(sizeOf(path, file_.get())),
      identities_(identities.begin(), identities.end()) {
  readHeader(keys);
}

std::optional<Bytes> TraceFile::plain(const FrameHeader& header, Bytes body) const {
  const bool encrypted = header.type == FrameType::kEvents || header.isRemovable();
  if (!secrets_ || !encrypted || body.empty()) return body;
  return secrets_->cipher().open(header.sequence, body);
}

Digest TraceFile::nameOf(const Digest& sha256) const {
  return secrets_ ? secrets_->digests().blob(sha256) : sha256;
}

void TraceFile::read(uint64_t offset, std::span<uint8_t> to) const {
  const ssize_t n = readWhole(file_.get(), to, offset);
  if (n < 0) throw systemError("cannot read '" + path_ + "'");
  if (static_cast<size_t>(n) < to.size()) throw unreadable("became shorter while it was read");
}

Error TraceFile::unreadable(const std::string& why, std::string remedy) const {
  return Error(ExitCode::kUnreadable, "'" + path_ + "' " + why, std::move(remedy));
}

void TraceFile::readHeader(const KeyStore* keys) {
  const Error truncated =
      unreadable("ends inside its header, after " + std::to_string(size_) + " bytes",
                 "the recording ended before its first event; there is nothing to read");
  std::array<uint8_t, kFilePrefixSize> prefix{};
  const std::span<uint8_t> start =
      std::span(prefix).first(std::min<uint64_t>(size_, kFilePrefixSize));
  read(0, start);
  const size_t magic = std::min(kFileMagic.size(), start.size());
  if (std::memcmp(start.data(), kFileMagic.data(), magic) != 0) {
    throw unreadable("is not a trace: it does not begin as one",
                     "name a file that 'airr record' wrote");
  }
  if (start.size() < kFilePrefixSize) throw truncated;
  uint32_t version, length;
  std::memcpy(&version, prefix.data() + 8, sizeof version);
  std::memcpy(&length, prefix.data() + 12, sizeof length);
  if (version != kFormatVersion && version != kEncryptedVersion) {
    throw Error(ExitCode::kVersion,
                "'" + path_ + "' has trace format version " + std::to_string(version) +
                    "; this airr knows the versions " + std::to_string(kFormatVersion) + " and " +
                    std::to_string(kEncryptedVersion),
                "use the airr that recorded it, or a later one");
  }
  if (length == 0 || length % sizeof(capnp::word) != 0 || length > kMaxHeaderMessage) {
    throw unreadable("has a damaged header: its length is impossible");
  }
  firstFrame_ = kFilePrefixSize + length + kTagSize + sizeof(Signature);
  if (size_ < firstFrame_) throw truncated;

  headerWords_ = kj::heapArray<capnp::word>(length / sizeof(capnp::word));
  read(kFilePrefixSize, {reinterpret_cast<uint8_t*>(headerWords_.begin()), length});
  read(kFilePrefixSize + length, tag_);
  read(kFilePrefixSize + length + kTagSize, signature_);
  const auto message = headerWords_.asBytes();
  digest_ = FrameHash().file(prefix, {message.begin(), message.size()});
  decodeHeader();
  if (encrypted_ != (version == kEncryptedVersion)) {
    throw unreadable("has a damaged header: its version is none of a trace with " +
                     std::string(encrypted_ ? "recipients" : "no recipients"));
  }
  if (keys != nullptr) authenticateHeader(*keys);
  if (encrypted_) secrets_ = std::make_unique<TraceSecrets>(path_, header_, identities_);
}

void TraceFile::decodeHeader() {
  const std::string damaged = "has a damaged header: ";
  if (messageSize(headerWords_) != headerWords_.size()) {
    throw unreadable(damaged + "its message is not whole");
  }
  try {
    headerMessage_.emplace(headerWords_, limitsFor(headerWords_.size()));
    header_ = headerMessage_->getRoot<schema::Header>();
    header_.totalSize();  // follows every pointer
    if (header_.getSessionId().size() != kSessionIdSize) {
      throw unreadable(damaged + "its session id has a wrong length");
    }
    for (auto [from, to] : {std::pair(header_.getPublicKey(), &publicKey_),
                            std::pair(header_.getEpochKey(), &epochKey_)}) {
      if (from.size() != to->size()) throw unreadable(damaged + "a public key has a wrong length");
      std::ranges::copy(from, to->begin());
    }
    header_.getKeyId();
    header_.getSealedHeader();
    encrypted_ = header_.getRecipients().size() > 0;
  } catch (const kj::Exception& exception) {
    throw unreadable(damaged + exception.getDescription().cStr());
  }
}

void TraceFile::authenticateHeader(const KeyStore& keys) {
  const auto sessionId = header_.getSessionId();
  const SessionKey key = keys.sessionKey({sessionId.begin(), sessionId.size()});
  const auto keyId = header_.getKeyId();
  if (!std::ranges::equal(keyId, key.rootId)) {
    throw Error(ExitCode::kWrongKey,
                "'" + path_ + "' was recorded with the key " + hex({keyId.begin(), keyId.size()}) +
                    ", and the key '" + keys.path() + "' is " + hex(key.rootId),
                "set AIRR_KEY_FILE to the key of the user who recorded it");
  }
  if (!equal(EpochKey(key.hmac).tag(digest_), tag_)) {
    throw Error(ExitCode::kTampered,
                "the header " + byteRange(0, firstFrame_) + " of '" + path_ +
                    "' was altered: its tag does not match",
                "nothing in this file can be relied on; use an unaltered copy");
  }
  key_ = key;
}

size_t messageSize(kj::ArrayPtr<const capnp::word> words) {
  if (words.size() == 0) return 0;
  auto table = [&](uint64_t i) {
    uint32_t entry;
    std::memcpy(&entry, words.asBytes().begin() + i * sizeof entry, sizeof entry);
    return entry;
  };
  const uint64_t segments = uint64_t{table(0)} + 1;
  if (segments > kMaxSegments) return 0;
  uint64_t size = segments / 2 + 1;
  if (size > words.size()) return 0;
  for (uint64_t i = 1; i <= segments; ++i) size += table(i);
  return size <= words.size() ? size : 0;
}

// A reader may visit a field more than once, but a message of few bytes must not grow into a long
// walk (Cap'n Proto encoding, "Amplification Attack").
capnp::ReaderOptions limitsFor(size_t words) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 64 * words + 4096;
  options.nestingLimit = 64;
  return options;
}

std::string byteRange(uint64_t from, uint64_t to) {
  return "(bytes " + std::to_string(from) + "-" + std::to_string(to) + ")";
}

}  // namespace airr
