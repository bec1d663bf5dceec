#include "replayer/trace_reader.h"

#include <utility>

#include "replayer/trace_reader_blobs.h"
#include "replayer/trace_reader_file.h"
#include "replayer/trace_reader_frames.h"
#include "schema/error.h"

namespace airr {

// Two readers go over the frames, each checking the chain for itself: one hands out the events, the
// other goes ahead of it when a blob is wanted whose frame comes later. What they share is the index
// of the blobs.
class TraceReader::Impl {
 public:
  Impl(const std::string& path, const KeyStore* keys, std::span<const Identity> identities)
      : file_(path, keys, identities), blobs_(file_) {
    rewind();
  }

  schema::Header::Reader header() const { return file_.header(); }
  bool authenticated() const { return file_.key().has_value(); }
  const TraceFile& file() const { return file_; }

  std::optional<schema::Event::Reader> next() {
    if (failure_) throw *failure_;
    try {
      while (rest_.size() == 0) {
        if (!frames_->next(blobs_)) return std::nullopt;
        rest_ = frames_->events();
        eventsLeft_ = frames_->eventCount();
        if (rest_.size() > 0) eventNumber_ = frames_->firstEvent() - 1;
      }
      return readEvent();
    } catch (const Error& error) {
      failure_ = error;
      throw;
    }
  }

  bool nextFrame(EventFrame& frame, std::span<uint64_t> place) {
    if (failure_) throw *failure_;
    try {
      frames_->setPlace(place);
      do {
        if (!frames_->next(blobs_)) return false;
      } while (frames_->events().size() == 0);
      const auto events = frames_->events();
      frames_->swapRoom(frame.room);
      frame.words = {reinterpret_cast<const uint64_t*>(events.begin()), events.size()};
      frame.firstEvent = frames_->firstEvent();
      frame.count = frames_->eventCount();
      eventNumber_ = frame.firstEvent - 1 + frame.count;
      return true;
    } catch (const Error& error) {
      failure_ = error;
      throw;
    }
  }

  uint64_t eventNumber() const { return eventNumber_; }

  void rewind() {
    message_.reset();
    failure_.reset();
    frames_.emplace(file_);
    rest_ = nullptr;
    eventNumber_ = 0;
  }

  TraceEnd end() const {
    if (const auto end = frames_->end()) return *end;
    throw Error(ExitCode::kFailure, "'" + file_.path() + "' was not read to its end");
  }
  uint64_t frameCount() const { return frames_->frameCount(); }
  TraceHead head() const { return {file_.tag(), frames_->tag(), frameCount(), end()}; }
  uint64_t fileSize() const { return file_.size(); }
  uint64_t validSize() const { return frames_->offset(); }

  uint32_t blobCount() const { return blobs_.count(); }
  // The index, once it has the blob.
  TraceBlobs& blobsWith(uint32_t blob) {
    if (blob < blobs_.count()) return blobs_;
    if (frames_->end()) throw missing(blob, *frames_->end());
    if (!ahead_) ahead_.emplace(file_);
    ahead_->skipAfter(*frames_);
    while (blob >= blobs_.count()) {
      if (!ahead_->next(blobs_)) throw missing(blob, *ahead_->end());
    }
    return blobs_;
  }

 private:
  Error missing(uint32_t blob, TraceEnd end) const {
    const std::string name = "blob " + std::to_string(blob);
    if (end == TraceEnd::kSealed) {
      return Error(ExitCode::kUnreadable, "'" + file_.path() + "' refers to " + name +
                                              ", but has only " + std::to_string(blobs_.count()));
    }
    return Error(ExitCode::kUnsealed, "'" + file_.path() + "': the trace ends before " + name,
                 "the recording was cut short before this content was written; the trace is good "
                 "up to where it is needed");
  }

  std::optional<schema::Event::Reader> readEvent() {
    const size_t words = messageSize(rest_);
    const bool last = words == rest_.size();
    if (words == 0 || eventsLeft_ == 0 || last != (eventsLeft_ == 1)) {
      throw frames_->tampered("its events are not as many as its header says, or not whole");
    }
    try {
      message_.emplace(rest_.slice(0, words), limitsFor(words));
      const schema::Event::Reader event = message_->getRoot<schema::Event>();
      if (!authenticated()) event.totalSize();  // follows every pointer
      rest_ = rest_.slice(words, rest_.size());
      --eventsLeft_;
      ++eventNumber_;
      return event;
    } catch (const kj::Exception& exception) {
      throw frames_->tampered(std::string("an event is malformed: ") +
                              exception.getDescription().cStr());
    }
  }

  TraceFile file_;
  TraceBlobs blobs_;
  std::optional<FrameReader> frames_;
  std::optional<FrameReader> ahead_;
  std::optional<Error> failure_;

  // Of the events frame that frames_ read last.
  kj::ArrayPtr<const capnp::word> rest_;
  uint32_t eventsLeft_ = 0;
  std::optional<capnp::FlatArrayMessageReader> message_;
  uint64_t eventNumber_ = 0;
};

TraceReader::TraceReader(const std::string& path, const KeyStore* keys,
                         std::span<const Identity> identities)
    : impl_(std::make_unique<Impl>(path, keys, identities)) {}
TraceReader::~TraceReader() = default;
schema::Header::Reader TraceReader::header() const { return impl_->header(); }
bool TraceReader::authenticated() const { return impl_->authenticated(); }
std::vector<SealedKey> TraceReader::recipients() const {
  const TraceSecrets* secrets = impl_->file().secrets();
  return secrets != nullptr ? secrets->recipients() : std::vector<SealedKey>();
}
bool TraceReader::hidesMetadata() const {
  const TraceSecrets* secrets = impl_->file().secrets();
  return secrets != nullptr && secrets->hideMetadata();
}
bool TraceReader::isOpen() const {
  const TraceSecrets* secrets = impl_->file().secrets();
  return secrets == nullptr || secrets->isOpen();
}
void TraceReader::requireContents() const {
  if (TraceSecrets* secrets = impl_->file().secrets()) secrets->cipher();
}
std::optional<schema::Event::Reader> TraceReader::next() { return impl_->next(); }
bool TraceReader::nextFrame(EventFrame& frame, std::span<uint64_t> place) {
  return impl_->nextFrame(frame, place);
}
uint64_t TraceReader::eventNumber() const { return impl_->eventNumber(); }
void TraceReader::rewind() { impl_->rewind(); }
TraceEnd TraceReader::end() const { return impl_->end(); }
uint64_t TraceReader::frameCount() const { return impl_->frameCount(); }
TraceHead TraceReader::head() const { return impl_->head(); }
uint64_t TraceReader::fileSize() const { return impl_->fileSize(); }
uint64_t TraceReader::validSize() const { return impl_->validSize(); }
uint32_t TraceReader::blobCount() const { return impl_->blobCount(); }
TraceReader::BlobInfo TraceReader::blobInfo(uint32_t blob) const {
  return impl_->blobsWith(blob).info(blob);
}
void TraceReader::checkBlob(uint32_t blob) const { impl_->blobsWith(blob).check(blob); }
void TraceReader::checkStored(uint32_t blob) const { impl_->blobsWith(blob).checkStored(blob); }
Digest TraceReader::sha256Of(uint32_t blob) const { return impl_->blobsWith(blob).sha256(blob); }
void TraceReader::writeBlob(uint32_t blob, int fd) const {
  impl_->blobsWith(blob).write(blob, fd);
}
std::vector<uint8_t> TraceReader::readBlob(uint32_t blob, uint64_t offset, uint64_t length) const {
  return impl_->blobsWith(blob).read(blob, offset, length);
}

}  // namespace airr
