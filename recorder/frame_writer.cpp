#include "recorder/frame_writer.h"

#include <capnp/serialize.h>
#include <schema/airr.capnp.h>
#include <sys/stat.h>

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
  eventsWait_ = true;
  {
    std::lock_guard lock(mutex_);
    eventsWait_ = false;
    if (!failure_) {
      FrameHeader header = nextFrame(FrameType::kEvents);
      header.rawSize = raw.size();
      header.eventCount = count;
      header.encoding = encoding;
      append(header, raw, {stored});
    }
  }
  turn_.notify_one();
  check();
}

void FrameWriter::part(Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kPart;
  header.encoding = encoding;
  appendBetweenEvents(header, {}, {stored});
}

void FrameWriter::blob(const Digest& sha256, uint64_t size, Encoding encoding, Bytes stored) {
  FrameHeader header;
  header.type = FrameType::kBlob;
  header.encoding = encoding;
  header.rawSize = size;
  appendBetweenEvents(header, sha256, {sha256, stored});
}

void FrameWriter::seal() {
  {
    std::lock_guard lock(mutex_);
    if (!failure_) {
      const auto totals = SealTotals{events_, sequence_ + 1, blobs_}.encode();
      FrameHeader header;
      header.type = FrameType::kSeal;
      header.rawSize = totals.size();
      append(header, totals, {totals});
    }
  }
  check();
  fail(Error(ExitCode::kFailure, "the trace '" + path_ + "' is sealed: nothing can follow"));
}
