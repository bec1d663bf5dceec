// Events as zstd gets them: without what they have in common with events before them
// (docs/trace-format.md, "Packed events"). So it has a fraction of the bytes to look at, and its
// window reaches further back.
//
// Not thread-safe. Packing takes any words; they are packed well if they are events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "recorder/digest.h"

namespace airr {

// At most so many bytes are packed from `raw`: of a message, which has two words at least, 5 bytes
// and 10 a word.
constexpr uint64_t maxPacked(uint64_t raw) { return 2 * raw; }

// What is known of the messages before.
class EventReferences {
 protected:
  static constexpr size_t kWords = 64;               // of a message that have a reference
  static constexpr size_t kTaskAt = 2, kTimeAt = 3;  // words that the message before has alike

  using Slot = std::array<uint64_t, kWords>;

  // For a message that is in this slot: what its first words are compared with.
  Slot& referenceOf(uint8_t slot);
  void keep(Slot& slot, const uint8_t* message, size_t words);
  void reset();

 private:
  std::array<std::unique_ptr<Slot>, 256> slots_;  // zeros where there is none yet
  uint64_t task_ = 0, time_ = 0;  // of the message before
};

class EventPacker : EventReferences {
 public:
  // Forgets the messages before.
  using EventReferences::reset;
  // Whole messages, one behind the other. Valid until the next call.
  Bytes pack(Bytes raw);

 private:
  uint8_t* packMessage(const uint8_t* message, size_t words, uint8_t* to);

  std::vector<uint8_t> packed_;
};

class EventUnpacker : EventReferences {
 public:
  using EventReferences::reset;
  // Whether `packed` gives exactly `raw`. After false, only reset() resumes.
  bool unpack(Bytes packed, std::span<uint8_t> raw);

 private:
  bool unpackMessage(Bytes& packed, std::span<uint8_t>& raw);
};

}  // namespace airr
