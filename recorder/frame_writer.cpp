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

}  // namespace

FrameWriter::FrameWriter(const std::string& path, const SessionKey& key,
                         capnp::MallocMessageBuilder& header)
    : path_(path), file_(createTrace(path)), chain_(key) {
  writeHeader(key, header);
}

void FrameWriter::writeHeader(const SessionKey& key, capnp::MallocMessageBuilder& header) {
  auto root = header.getRoot<schema::Header>();
  if (root.getSessionId().size() != kSessionIdSize) {
    throw Error(ExitCode::kFailure, "a session id has " + std::to_string(kSessionIdSize) +
                                        " bytes, not " +
                                        std::to_string(root.getSessionId().size()));
  }
  root.setKeyId(kj::arrayPtr(key.rootId.data(), key.rootId.size()));
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(header);
  const auto bytes = words.asBytes();
  const Bytes message(bytes.begin(), bytes.size());
  if (message.size() > kMaxHeaderMessage) {
    throw Error(ExitCode::kFailure, "the command line is too long for a trace's header");
  }
  std::array<uint8_t, kFilePrefixSize> prefix;
  const uint32_t length = static_cast<uint32_t>(message.size());
  std::copy(kFileMagic.begin(), kFileMagic.end(), prefix.begin());
  std::memcpy(prefix.data() + 8, &kFormatVersion, 4);
  std::memcpy(prefix.data() + 12, &length, 4);
  const Digest tag = chain_.fileTag(prefix, message);
  write({prefix, message, tag});
  chain_.advance(tag);
}

void FrameWriter::events(Bytes raw, uint32_t count, Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kEvents;
  header.rawSize = raw.size();
  header.eventCount = count;
  header.encoding = encoding;
  KJ_DEFER(turn_.notify_one());
  eventsWait_ = true;
  std::lock_guard lock(mutex_);
  eventsWait_ = false;
  append(header, raw, {}, stored);
  events_ += count;
}

void FrameWriter::part(Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kPart;
  header.encoding = encoding;
  appendAfterEvents(header, {}, {}, stored);
}

void FrameWriter::blob(const Digest& sha256, uint64_t size, Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kBlob;
  header.rawSize = size;
  header.encoding = encoding;
  appendAfterEvents(header, sha256, sha256, stored);
}

// A mutex goes to whoever comes first, and that would be the thread that has just released it.
void FrameWriter::appendAfterEvents(const FrameHeader& header, Bytes content, Bytes prefix,
                                    Bytes stored) {
  std::unique_lock lock(mutex_);
  turn_.wait(lock, [&] { return !eventsWait_; });
  append(header, content, prefix, stored);
  if (header.type == FrameType::kBlob) ++blobs_;
}

void FrameWriter::seal() {
  std::lock_guard lock(mutex_);
  const auto totals = SealTotals{events_, sequence_ + 1, blobs_}.encode();
  FrameHeader header;
  header.type = FrameType::kSeal;
  header.rawSize = totals.size();
  append(header, totals, {}, totals);
  failLocked(Error(ExitCode::kFailure, "the trace '" + path_ + "' is sealed: nothing can follow"));
}

void FrameWriter::append(FrameHeader header, Bytes content, Bytes prefix, Bytes stored) {
  if (failure_) throw *failure_;
  try {
    header.sequence = sequence_ + 1;
    header.firstEvent = events_ + 1;
    header.storedSize = prefix.size() + stored.size();
    std::array<uint8_t, kFrameHeaderSize> bytes;
    header.encode(bytes);
    header.tag = chain_.frameTag(bytes, content);
    header.encode(bytes);
    write({bytes, prefix, stored});
    chain_.advance(header.tag);
    sequence_ = header.sequence;
  } catch (const Error& error) {
    failLocked(error);
    throw;
  }
}

void FrameWriter::write(std::initializer_list<Bytes> parts) {
  if (!writeWhole(file_.get(), parts)) {
    const int error = errno;
    // What a failed write has left is no frame; without it the trace ends whole.
    if (whole_ > 0 && ::ftruncate(file_.get(), static_cast<off_t>(whole_)) != 0) {
      // Then readers find the partial frame at the end and report a truncated trace.
    }
    throw systemError(
        "cannot write the trace '" + path_ + "'", error,
        "the trace is whole up to this point; make room, or record to another file system");
  }
  for (Bytes part : parts) whole_ += part.size();
}

void FrameWriter::check() {
  // Once it is there it does not change, so copying it needs no lock.
  if (failed()) throw *failure_;
}

void FrameWriter::fail(const Error& error) {
  std::lock_guard lock(mutex_);
  failLocked(error);
}

void FrameWriter::failLocked(const Error& error) {
  if (failure_) return;
  failure_ = error;
  failed_.store(true, std::memory_order_release);
}

}  // namespace airr
