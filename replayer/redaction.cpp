#include "replayer/redaction.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <re2/re2.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "recorder/files.h"
#include "recorder/system.h"
#include "replayer/frame_scanner.h"
#include "replayer/redaction_record.h"
#include "replayer/trace_reader_file.h"
#include "schema/error.h"

namespace airr {
namespace {

// A blob's content, mapped from a file without a name.
class Content {
 public:
  Content(const TraceReader& trace, uint32_t blob) : size_(trace.blobInfo(blob).size) {
    const std::string place = std::filesystem::temp_directory_path();
    file_ = openOwn(place, O_TMPFILE | O_RDWR, 0600);
    if (!file_) throw systemError("cannot make a temporary file in " + place);
    trace.writeBlob(blob, file_.get());
    if (size_ == 0) return;
    void* at = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_.get(), 0);
    if (at == MAP_FAILED) throw systemError("cannot map a temporary file");
    text_ = {static_cast<const char*>(at), size_};
  }
  ~Content() {
    if (!text_.empty()) ::munmap(const_cast<char*>(text_.data()), size_);
  }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  std::string_view text() const { return text_; }

 private:
  const uint64_t size_;
  UniqueFd file_;
  std::string_view text_;
};

// What is looked for in contents.
class Searcher {
 public:
  explicit Searcher(const BlobChoice& choice) : secrets_(choice.secrets) {
    for (const std::string& pattern : choice.patterns) {
      RE2::Options options;
      options.set_encoding(RE2::Options::EncodingLatin1);  // any bytes
      options.set_log_errors(false);
      patterns_.push_back(std::make_unique<RE2>(pattern, options));
      if (!patterns_.back()->ok()) {
        throw Error(ExitCode::kFailure,
                    "the pattern '" + pattern + "' is none: " + patterns_.back()->error(),
                    "the syntax is RE2's");
      }
    }
  }

  bool isIdle() const { return patterns_.empty() && !secrets_; }
  // Why, or empty.
  std::string match(std::string_view text) const {
    for (const auto& pattern : patterns_) {
      if (RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern)) {
        return "pattern " + pattern->pattern();
      }
    }
    if (const char* secret = secrets_ ? secretIn(text) : nullptr)
      return std::string("secret: ") + secret;
    return {};
  }

 private:
  std::vector<std::unique_ptr<RE2>> patterns_;
  const bool secrets_;
};

// The files of which blobs are the content, as events name them.
class PathCollector {
 public:
  void take(schema::Event::Reader event) {
    if (event.isSyscall()) {
      const auto call = event.getSyscall();
      const std::string path = call.getPath();
      takeMapping(path, call.getMapping());
      for (auto write : call.getWrites()) takeWrite(path, write);
      for (auto write : call.getPayload()) takeWrite(path, write);
    } else if (event.isExec()) {
      for (auto region : event.getExec().getRegions()) {
        takeMapping(region.getName(), region.getMapping());
      }
    } else if (event.isSharedObject() && event.getSharedObject().getHasContent()) {
      add(event.getSharedObject().getPath(), event.getSharedObject().getContent().getBlob());
    }
  }

  const std::map<uint32_t, std::set<std::string>>& paths() const { return paths_; }

 private:
  void add(const std::string& path, uint32_t blob) {
    if (!path.empty()) paths_[blob].insert(path);
  }
  void takeMapping(const std::string& path, schema::Mapping::Reader mapping) {
    if (mapping.isBlob()) add(path, mapping.getBlob().getBlob());
  }
  void takeWrite(const std::string& path, schema::MemoryWrite::Reader write) {
    if (write.isBlob()) add(path, write.getBlob().getBlob());
  }

  std::map<uint32_t, std::set<std::string>> paths_;
};

bool canRead(const TraceReader& trace, uint32_t blob) {
  try {
    trace.checkBlob(blob);
    return true;
  } catch (const Error& error) {
    if (error.code() != ExitCode::kEncrypted) throw;
    return false;
  }
}

// Bytes of a frame's body.
void copyBytes(const TraceFile& from, uint64_t start, uint64_t stop, int to) {
  std::vector<uint8_t> buffer(1 << 20);
  for (uint64_t at = start; at < stop;) {
    const std::span<uint8_t> piece(buffer.data(), std::min<uint64_t>(buffer.size(), stop - at));
    from.read(at, piece);
    if (!writeWhole(to, {piece})) throw systemError("cannot write the redacted trace");
    at += piece.size();
  }
}

// Which blob each part or blob frame with a body belongs to, in the order of the file.
std::vector<uint32_t> blobsOfFrames(const TraceFile& file) {
  std::vector<uint32_t> blobs;
  uint32_t blob = 0;
  FrameScanner scanner(file);
  while (const auto frame = scanner.next()) {
    if (!frame->header.isRemovable()) continue;
    blobs.push_back(blob);  // parts from before a blob began anew are its too
    if (frame->header.type == FrameType::kBlob) ++blob;
  }
  return blobs;
}

// Replaces the bodies of frames by nothing, or by their encryption, and keeps the record of it.
class Replacer {
 public:
  Replacer(const TraceFile& file, RedactionRecord& record, std::span<const Recipient> recipients)
      : file_(file), record_(record) {
    if (recipients.empty()) return;
    const auto session = file.header().getSessionId();
    const KeyUse use{kRedactionKey, {session.begin(), session.size()}};
    const ContentKey key = ContentKey::random();
    record.recipients = sealToAll(recipients, key, use);
    cipher_.emplace(key, use);
  }

  void write(const ScannedFrame& frame, uint32_t blob, int to) {
    FrameHeader header = frame.header;
    header.state = cipher_ ? BodyState::kReencrypted : BodyState::kRemoved;
    std::array<uint8_t, kFrameHeaderSize> bytes;
    header.encode(bytes);
    std::vector<uint8_t> directory(header.directorySize);
    file_.read(frame.directory, directory);
    const Bytes body = cipher_ ? encrypted(frame, blob) : Bytes{};
    if (!writeWhole(to, {bytes, directory, body})) throw systemError("cannot write the redacted trace");
  }

 private:
  Bytes encrypted(const ScannedFrame& frame, uint32_t blob) {
    const uint64_t size = frame.header.bodySize;
    if (frame.header.state != BodyState::kWritten || size > kMaxPart) {
      throw Error(ExitCode::kFailure, "blob " + std::to_string(blob) + " cannot be encrypted",
                  "it is encrypted already, or not cut into parts");
    }
    body_.resize(size);
    file_.read(frame.body, body_);
    const Bytes sealed = cipher_->seal(frame.header.sequence, body_);
    record_.blobs.at(blob).bodies.push_back(sha256(sealed));
    return sealed;
  }

  const TraceFile& file_;
  RedactionRecord& record_;
  std::optional<FrameCipher> cipher_;
  std::vector<uint8_t> body_;
};

void appendRedaction(int to, const FrameScanner::Position& end, const Digest& tagBefore,
                     const std::vector<uint8_t>& body, const SigningKey& key) {
  if (body.size() > kMaxRedaction) {
    throw Error(ExitCode::kFailure, "too much is chosen for one redaction",
                "redact a part of it, and then the copy");
  }
  FrameHeader header;
  header.type = FrameType::kRedaction;
  header.sequence = end.last.sequence + 1;
  header.firstEvent = end.last.firstEvent + end.last.eventCount;
  header.rawSize = header.bodySize = body.size();
  std::array<uint8_t, kFrameHeaderSize> bytes;
  header.encode(bytes);
  const Digest digest = FrameHash().frame(bytes, tagBefore, {}, Bytes(body));
  const Signature signature = key.sign(signedRedaction(digest));
  if (!writeWhole(to, {bytes, body, signature}) || ::fsync(to) != 0) {
    throw systemError("cannot write the redacted trace");
  }
}

}  // namespace

const char* secretIn(std::string_view text) {
  struct Kind {
    const char* name;
    const char* pattern;
  };
  static const std::vector<Kind> kKinds = {
      {"private key", "-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"},
      {"AWS access key", R"(\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)"},
      {"GitHub token", R"(\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}))"},
      {"GitLab token", R"(\bglpat-[A-Za-z0-9_-]{20,})"},
      {"Slack token", R"(\bxox[abeoprs]-[A-Za-z0-9-]{10,})"},
      {"Google API key", R"(\bAIza[A-Za-z0-9_-]{35})"},
      {"model API key", R"(\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,})"},
      {"Stripe key", R"(\b[rs]k_live_[A-Za-z0-9]{20,})"},
      {"npm token", R"(\bnpm_[A-Za-z0-9]{36}\b)"},
      {"JSON web token", R"(\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"},
      {"password in a URL", R"(\b[a-z][a-z0-9+.-]*://[^/\s:@]{1,64}:[^/\s:@]{3,64}@[a-zA-Z0-9])"},
  };
  static const std::vector<std::unique_ptr<RE2>> expressions = [] {
    std::vector<std::unique_ptr<RE2>> all;
    RE2::Options options;
    options.set_encoding(RE2::Options::EncodingLatin1);
    for (const Kind& kind : kKinds) all.push_back(std::make_unique<RE2>(kind.pattern, options));
    return all;
  }();
  for (size_t i = 0; i < expressions.size(); ++i) {
    if (RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *expressions[i])) {
      return kKinds[i].name;
    }
  }
  return nullptr;
}

Chosen chooseBlobs(TraceReader& trace, const BlobChoice& choice) {
  const Searcher searcher(choice);
  PathCollector collector;
  Chosen chosen;
  trace.rewind();
  while (auto event = trace.next()) {
    if (!choice.paths.empty()) collector.take(*event);
    if (searcher.isIdle()) continue;
    const auto words = capnp::canonicalize(*event);
    const auto bytes = words.asChars();
    if (!searcher.match({bytes.begin(), bytes.size()}).empty()) {
      chosen.eventsThatMatch.push_back(trace.eventNumber());
    }
  }
  for (uint32_t number : choice.numbers) {
    if (number >= trace.blobCount()) {
      throw Error(ExitCode::kFailure,
                  "there is no blob " + std::to_string(number) + " in the trace",
                  "it has " + std::to_string(trace.blobCount()) + ", numbered from 0");
    }
    chosen.blobs.emplace(number, "number");
  }
  for (const auto& [blob, paths] : collector.paths()) {
    for (const std::string& path : paths) {
      for (const std::string& glob : choice.paths) {
        if (::fnmatch(glob.c_str(), path.c_str(), 0) == 0)
          chosen.blobs.emplace(blob, "path " + glob);
      }
    }
  }
  if (!searcher.isIdle()) {
    for (uint32_t blob = 0; blob < trace.blobCount(); ++blob) {
      const TraceReader::BlobInfo info = trace.blobInfo(blob);
      if (info.redacted || chosen.blobs.contains(blob)) continue;
      if (info.reencrypted && (!choice.encrypted || !canRead(trace, blob))) continue;
      const Content content(trace, blob);
      if (const std::string why = searcher.match(content.text()); !why.empty()) {
        chosen.blobs.emplace(blob, why);
      }
    }
  }
  // The content of a blob is in the file once, whatever else repeats it: all go together.
  std::map<std::array<uint8_t, 32>, std::string> contents;
  for (const auto& [blob, why] : chosen.blobs) contents.emplace(trace.blobInfo(blob).digest, why);
  chosen.blobs.clear();
  for (uint32_t blob = 0; blob < trace.blobCount(); ++blob) {
    const TraceReader::BlobInfo info = trace.blobInfo(blob);
    const auto content = contents.find(info.digest);
    if (content == contents.end() || info.redacted || (info.reencrypted && !choice.encrypted)) continue;
    chosen.blobs.emplace(blob, content->second);
  }
  return chosen;
}

void redact(const std::string& trace, const std::string& output, const Chosen& chosen,
            const RedactionNote& note, const KeyStore& keys,
            std::span<const Recipient> recipients) {
  if (chosen.blobs.empty()) {
    throw Error(ExitCode::kFailure,
                "there is nothing to " + std::string(recipients.empty() ? "take out of" : "encrypt in") +
                    " '" + trace + "'",
                "no blob is chosen that is not redacted already");
  }
  const TraceFile file(trace, nullptr);
  const SigningKey signer(keys.sessionKey({}).identity);
  RedactionRecord record{
      0, System::host().wallClock(), note.by, note.reason, signer.publicKey(), {}, {}};
  for (const auto& [blob, why] : chosen.blobs) record.blobs[blob].why = why;
  Replacer replacer(file, record, recipients);
  const std::vector<uint32_t> blobs = blobsOfFrames(file);
  UniqueFd copy = openOwn(output, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
  if (!copy) throw systemError("cannot create '" + output + "'", errno, "choose another name");
  try {
    copyBytes(file, 0, file.firstFrame(), copy.get());
    FrameScanner scanner(file);
    Digest tag = file.tag();
    size_t next = 0;
    uint64_t from = file.firstFrame(), to = from;  // not copied yet
    while (const auto frame = scanner.next()) {
      tag = frame->header.tag;
      to = frame->stop;
      if (!frame->header.isRemovable()) continue;
      const uint32_t blob = blobs[next++];
      if (frame->header.storedBody() == 0 || !chosen.blobs.contains(blob)) continue;
      copyBytes(file, from, frame->start, copy.get());
      replacer.write(*frame, blob, copy.get());
      from = frame->stop;
    }
    copyBytes(file, from, to, copy.get());
    appendRedaction(copy.get(), scanner.position(), tag, encode(record), signer);
  } catch (const Error&) {
    ::unlink(output.c_str());
    throw;
  }
}

}  // namespace airr
