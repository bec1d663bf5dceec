#include "replayer/judge_index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "recorder/files.h"
#include "replayer/frame_scanner.h"
#include "replayer/trace_reader_file.h"
#include "schema/error.h"

namespace airr {
namespace {

using facts::Step;

constexpr std::array<uint8_t, 8> kMagic = {'a', 'i', 'r', 'r', 'j', 'i', 'x', '1'};
constexpr std::string_view kPurpose = "airr judge index v1";
constexpr size_t kPiece = 256 << 10;         // raw bytes, about
constexpr size_t kMostPiece = 64 << 20;      // raw bytes: one step's words may be many
constexpr uint64_t kMostFile = 4ull << 30;   // a larger one is not read
constexpr int kLevel = 1;

// All in the file is little-endian, as the machine is.
struct PieceHeader {
  uint32_t raw, stored;
  uint64_t lastEvent;
};
struct StoredStep {
  uint64_t event;
  int64_t result;
  uint32_t task, child, programBlob;
  uint32_t path, other, data;  // bytes
  uint32_t words, message;     // how many
  uint16_t number;
  uint8_t kind, phase, flags, arguments;
  uint16_t unused;
};
static_assert(sizeof(StoredStep) == 56);
enum Flag : uint8_t { kRefused = 1, kLeadsNowhere = 2, kLastOfProcess = 4 };

// The end of the file. What comes before it is hashed with it.
struct Trailer {
  Digest header, last;  // tags of the trace
  uint64_t frames, events, pieces;
  uint32_t end, unused;
  Digest tag;
};
static_assert(sizeof(Trailer) == 128);
constexpr size_t kTagged = offsetof(Trailer, tag);

template <class T>
Bytes bytesOf(const T& value, size_t size = sizeof(T)) {
  return {reinterpret_cast<const uint8_t*>(&value), size};
}
Bytes bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Digest tagOf(const SessionKey& key, const Digest& content) {
  return Hmac(key.hmac).tag({bytesOf(kPurpose), content});
}

// Takes values off the front of bytes that may be anything; what is not there is an error.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}
  bool good() const { return good_; }
  size_t left() const { return rest_.size(); }
  Bytes take(size_t size) {
    if (size > rest_.size()) good_ = false;
    const Bytes taken = good_ ? rest_.first(size) : Bytes{};
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  template <class T>
  T value() {
    T result{};
    if (const Bytes bytes = take(sizeof(T)); good_) std::memcpy(&result, bytes.data(), sizeof(T));
    return result;
  }
  std::string_view text(size_t size) {
    const Bytes bytes = take(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  Bytes rest_;
  bool good_ = true;
};

void put(std::vector<uint8_t>& to, Bytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
void pad(std::vector<uint8_t>& to) { to.resize((to.size() + 7) & ~size_t{7}); }

void putText(std::vector<uint8_t>& to, const std::optional<std::string>& text) {
  put(to, bytesOf(uint32_t{text ? static_cast<uint32_t>(text->size()) : UINT32_MAX}));
  if (text) put(to, bytesOf(std::string_view(*text)));
}
std::optional<std::string> takeText(Cursor& from) {
  const auto size = from.value<uint32_t>();
  if (size == UINT32_MAX) return std::nullopt;
  return std::string(from.text(size));
}

void put(std::vector<uint8_t>& to, const Step& step) {
  StoredStep stored{};
  stored.event = step.event, stored.result = step.result;
  stored.task = step.task, stored.child = step.child, stored.programBlob = step.programBlob;
  stored.path = static_cast<uint32_t>(step.path.size());
  stored.other = static_cast<uint32_t>(step.other.size());
  stored.data = static_cast<uint32_t>(step.data.size());
  stored.words = static_cast<uint32_t>(step.words.size());
  stored.message = static_cast<uint32_t>(step.message.size());
  stored.number = static_cast<uint16_t>(step.call.number);
  stored.kind = static_cast<uint8_t>(step.kind), stored.phase = static_cast<uint8_t>(step.phase);
  stored.flags = static_cast<uint8_t>((step.refused ? kRefused : 0) | (step.leadsNowhere ? kLeadsNowhere : 0) |
                                      (step.lastOfProcess ? kLastOfProcess : 0));
  const auto* arguments = step.call.arguments;
  size_t count = std::size(step.call.arguments);
  while (count > 0 && arguments[count - 1] == 0) --count;
  stored.arguments = static_cast<uint8_t>(count);
  put(to, bytesOf(stored));
  put(to, Bytes(reinterpret_cast<const uint8_t*>(arguments), count * sizeof(uint64_t)));
  put(to, Bytes(reinterpret_cast<const uint8_t*>(step.message.data()), step.message.size_bytes()));
  for (std::string_view word : step.words) put(to, bytesOf(static_cast<uint32_t>(word.size())));
  for (std::string_view text : {step.path, step.other, step.data}) put(to, bytesOf(text));
  for (std::string_view word : step.words) put(to, bytesOf(word));
  pad(to);
}

bool take(Cursor& from, facts::StepList& list) {
  const auto stored = from.value<StoredStep>();
  if (!from.good() || stored.arguments > 6 || stored.words > from.left() / sizeof(uint32_t) ||
      stored.message > from.left() / sizeof(uint64_t))
    return false;
  const size_t before = from.left();
  Step& step = list.append();
  step.event = stored.event, step.result = stored.result;
  step.task = stored.task, step.child = stored.child, step.programBlob = stored.programBlob;
  step.call.number = stored.number;
  step.kind = static_cast<Step::Kind>(stored.kind), step.phase = static_cast<Step::Phase>(stored.phase);
  step.refused = (stored.flags & kRefused) != 0, step.leadsNowhere = (stored.flags & kLeadsNowhere) != 0;
  step.lastOfProcess = (stored.flags & kLastOfProcess) != 0;
  for (unsigned i = 0; i < stored.arguments; ++i) step.call.arguments[i] = from.value<uint64_t>();
  // Aligned, as all before it is a multiple of 8.
  const Bytes message = from.take(stored.message * sizeof(uint64_t));
  step.message = {reinterpret_cast<const uint64_t*>(message.data()), message.size() / sizeof(uint64_t)};
  Cursor lengths(from.take(stored.words * sizeof(uint32_t)));
  step.path = from.text(stored.path);
  step.other = from.text(stored.other);
  step.data = from.text(stored.data);
  if (stored.words != 0 && from.good()) {
    const auto words = list.room(stored.words);
    for (std::string_view& word : words) word = from.text(lengths.value<uint32_t>());
    step.words = words;
  }
  if ((before - from.left()) % 8 != 0) from.take(8 - (before - from.left()) % 8);
  return from.good();
}

}  // namespace

TraceHead headOf(const std::string& trace, const KeyStore& keys) {
  const TraceFile file(trace, &keys);
  FrameScanner scanner(file);
  TraceHead head{file.tag(), file.tag()};
  while (const auto frame = scanner.next()) head.last = frame->header.tag, head.frames = frame->header.sequence;
  head.end = *scanner.end();
  return head;
}

std::string judgeIndexPath(const std::string& trace) { return trace + ".index"; }

std::optional<JudgeIndex> JudgeIndex::open(const std::string& trace, const KeyStore& keys) {
  const std::string path = judgeIndexPath(trace);
  if (::access(path.c_str(), R_OK) != 0) return std::nullopt;
  const TraceFile file(trace, &keys);
  JudgeIndex index;
  if (!index.load(path, headOf(trace, keys), *file.key())) return std::nullopt;
  return index;
}

bool JudgeIndex::load(const std::string& path, const TraceHead& head, const SessionKey& key) {
  const UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < kMagic.size() + sizeof(Trailer) || size > kMostFile) return false;
  // All of it, so that what was checked is what is used.
  bytes_ = LargeBuffer(size);
  if (readWhole(file.get(), bytes_.bytes(), 0) != static_cast<ssize_t>(size)) return false;
  const Bytes all(bytes_.bytes());
  Trailer trailer;
  std::memcpy(&trailer, all.last(sizeof trailer).data(), sizeof trailer);
  if (!std::equal(kMagic.begin(), kMagic.end(), all.begin())) return false;
  if (TraceHead{trailer.header, trailer.last, trailer.frames, static_cast<TraceEnd>(trailer.end)} != head)
    return false;
  if (!equal(tagOf(key, sha256(all.first(size - sizeof trailer + kTagged))), trailer.tag)) return false;
  const Bytes content = all.first(size - sizeof trailer);
  if (trailer.pieces < kMagic.size() || trailer.pieces > content.size()) return false;
  at_ = kMagic.size(), stop_ = trailer.pieces;
  head_ = head, events_ = trailer.events;
  Cursor rest(content.subspan(stop_));
  origin_.policyName = takeText(rest).value_or("");
  for (auto* text : {&origin_.policyText, &origin_.bindings.workspace, &origin_.bindings.home,
                     &origin_.bindings.temporary})
    *text = takeText(rest);
  return rest.good();
}

bool JudgeIndex::read(StepPiece& piece) {
  if (at_ == stop_) return false;
  Cursor rest(Bytes(bytes_.bytes()).first(stop_).subspan(at_));
  const auto header = rest.value<PieceHeader>();
  piece.stored = rest.take(header.stored);
  piece.rawSize = header.raw, piece.lastEvent = header.lastEvent;
  if (!rest.good() || header.raw > kMostPiece)
    throw Error(ExitCode::kTampered, "the index for judging is malformed", "delete it");
  at_ = stop_ - rest.left();
  return true;
}

void JudgeIndex::extract(StepPiece& piece) const {
  const size_t words = piece.rawSize / 8 + 1;
  if (words > piece.rawCapacity) {
    piece.raw.reset(new uint64_t[words]);
    piece.rawCapacity = words;
  }
  thread_local const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  const size_t size =
      ZSTD_decompressDCtx(context.get(), piece.raw.get(), words * 8, piece.stored.data(), piece.stored.size());
  bool good = ZSTD_isError(size) == 0 && size == piece.rawSize;
  Cursor rest(Bytes(reinterpret_cast<const uint8_t*>(piece.raw.get()), good ? size : 0));
  while (good && rest.left() != 0) good = take(rest, piece.list);
  if (!good) throw Error(ExitCode::kTampered, "the index for judging is malformed", "delete it");
}

JudgeIndexWriter::JudgeIndexWriter(const std::string& trace)
    : path_(judgeIndexPath(trace)),
      beside_(path_ + ".new"),
      file_(openOwn(beside_, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600)) {
  if (!file_) throw systemError("cannot write the index '" + beside_ + "'", errno, "judge without --index");
  write(kMagic);
}

JudgeIndexWriter::~JudgeIndexWriter() {
  if (file_) ::unlink(beside_.c_str());
}

void JudgeIndexWriter::add(const StepPiece& piece) {
  for (const Step& step : piece.list.steps()) put(raw_, step);
  lastEvent_ = piece.lastEvent;
  if (raw_.size() >= kPiece) endPiece();
}

void JudgeIndexWriter::endPiece() {
  if (raw_.empty()) return;
  if (raw_.size() > kMostPiece)
    throw Error(ExitCode::kFailure, "the trace has events that are too large for an index", "judge without --index");
  stored_.resize(ZSTD_compressBound(raw_.size()));
  const size_t size = ZSTD_compress(stored_.data(), stored_.size(), raw_.data(), raw_.size(), kLevel);
  if (ZSTD_isError(size) != 0) throw Error(ExitCode::kFailure, std::string("zstd: ") + ZSTD_getErrorName(size));
  write(bytesOf(PieceHeader{static_cast<uint32_t>(raw_.size()), static_cast<uint32_t>(size), lastEvent_}));
  write(Bytes(stored_).first(size));
  raw_.clear();
}

void JudgeIndexWriter::write(std::span<const uint8_t> bytes) {
  hash_.update(bytes);
  written_ += bytes.size();
  if (!writeWhole(file_.get(), {bytes}))
    throw systemError("cannot write the index '" + beside_ + "'", errno, "judge without --index");
}

void JudgeIndexWriter::finish(const SessionOrigin& origin, const TraceHead& head, const SessionKey& key) {
  endPiece();
  Trailer trailer{head.header, head.last, head.frames, lastEvent_, written_, static_cast<uint32_t>(head.end), 0, {}};
  putText(raw_, origin.policyName);
  for (const auto* text : {&origin.policyText, &origin.bindings.workspace, &origin.bindings.home,
                           &origin.bindings.temporary})
    putText(raw_, *text);
  write(raw_);
  write(bytesOf(trailer, kTagged));
  trailer.tag = tagOf(key, hash_.finish());
  write(trailer.tag);
  if (::rename(beside_.c_str(), path_.c_str()) != 0)
    throw systemError("cannot write the index '" + path_ + "'", errno, "judge without --index");
  file_.reset();
}

}  // namespace airr
