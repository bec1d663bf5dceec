// A trace that is written frame by frame, so that a test decides where the blobs lie.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "recorder/frame_writer.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {

class RawTrace {
 public:
  RawTrace(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header,
           const TraceOptions& options = {})
      : frames_(path, key, header, options) {}

  // One frame of these events.
  void events(const std::vector<std::function<void(schema::Event::Builder)>>& fills) {
    ByteVector raw;
    for (const auto& fill : fills) {
      capnp::MallocMessageBuilder message;
      fill(message.initRoot<schema::Event>());
      const auto words = capnp::messageToFlatArray(message);
      const auto bytes = words.asBytes();
      raw.insert(raw.end(), bytes.begin(), bytes.end());
    }
    Encoding encoding;
    const Bytes stored = compressor_.compress(raw, encoding);
    Sha256 hash;
    if (const auto salt = frames_.salt(events_ + 1)) hash.update(*salt);
    hash.update(raw);
    const Leaf leaf{static_cast<uint32_t>(fills.size()), hash.finish()};
    events_ += fills.size();
    frames_.events(raw.size(), {&leaf, 1}, encoding, stored);
  }

  // A blob whose compressed bytes are cut at these offsets. `between` is called after each part.
  void blob(
      const ByteVector& content, const std::vector<size_t>& cuts = {},
      const std::function<void()>& between = [] {}) {
    ByteVector stored(ZSTD_compressBound(content.size()));
    const auto context = newCompressContext();
    stored.resize(ZSTD_compress2(context.get(), stored.data(), stored.size(), content.data(),
                                 content.size()));
    Encoding encoding = Encoding::kZstdStart;
    size_t from = 0;
    for (size_t cut : cuts) {
      frames_.part(encoding, hashed(Bytes(stored).subspan(from, cut - from)));
      encoding = Encoding::kZstdContinue;
      from = cut;
      between();
    }
    frames_.blob(sha256(content), content.size(), encoding, hashed(Bytes(stored).subspan(from)));
  }

  FrameWriter& frames() { return frames_; }

  static std::function<void(schema::Event::Builder)> note(uint32_t task, const std::string& text) {
    return [=](schema::Event::Builder event) {
      event.setTask(task);
      event.initNote().setText(text);
    };
  }
  static std::function<void(schema::Event::Builder)> reference(uint32_t blob) {
    return [=](schema::Event::Builder event) {
      event.initSyscall().initWrites(1)[0].initBlob().setBlob(blob);
    };
  }

 private:
  FrameWriter frames_;
  EventCompressor compressor_;
  uint64_t events_ = 0;
};

// A frame of a trace as it lies in its file.
struct FrameAt {
  uint64_t start, end;
  FrameHeader header;
};

inline std::vector<FrameAt> framesOf(const ByteVector& trace) {
  uint32_t length;
  std::memcpy(&length, trace.data() + 12, sizeof length);
  std::vector<FrameAt> frames;
  for (uint64_t at = kFilePrefixSize + length + kTagSize + sizeof(Signature);
       at + kFrameHeaderSize <= trace.size();) {
    const std::span<const uint8_t, kFrameHeaderSize> bytes(trace.data() + at, kFrameHeaderSize);
    const FrameHeader header = FrameHeader::decode(bytes);
    const uint64_t end = at + kFrameHeaderSize + header.storedSize();
    if (end > trace.size()) break;
    frames.push_back({at, end, header});
    at = end;
  }
  return frames;
}

}  // namespace airr
