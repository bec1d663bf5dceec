#include "recorder/event_packing.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace airr {
namespace {

constexpr size_t kWord = sizeof(uint64_t);

// What a run of words begins with: one of these, or which bytes of one word differ.
constexpr uint8_t kSame = 0x00, kFull = 0xff;
constexpr size_t kMostInRun = 256;

// Words that differ in more bytes are given in full.
constexpr int kFewDiffer = 4;
// Behind the words that have references, where data are, as many zeros interrupt a run of full
// words.
constexpr size_t kManyZeros = 3;

uint64_t wordAt(const uint8_t* words, size_t i) {
  uint64_t word;
  std::memcpy(&word, words + i * kWord, sizeof word);
  return word;
}

constexpr uint64_t kEachByte = 0x0101010101010101;

// 1 in each byte that is not zero.
uint64_t nonzeroBytes(uint64_t word) {
  word |= word >> 4;
  word |= word >> 2;
  word |= word >> 1;
  return word & kEachByte;
}

int countOf(uint64_t bytes) { return static_cast<int>(bytes * kEachByte >> 56); }

// Bit n: byte n.
uint8_t maskOf(uint64_t bytes) {
  constexpr uint64_t kGather = 0x0102040810204080;
  return static_cast<uint8_t>(bytes * kGather >> 56);
}

// Of the message that begins here, as its segment table has it.
size_t messageWords(const uint8_t* at, size_t left) {
  uint32_t lastSegment;
  std::memcpy(&lastSegment, at, sizeof lastSegment);
  const uint64_t segments = uint64_t{lastSegment} + 1;
  uint64_t words = segments / 2 + 1;
  if (words > left) return left;
  for (uint64_t i = 1; i <= segments; ++i) {
    uint32_t size;
    std::memcpy(&size, at + i * sizeof size, sizeof size);
    words += size;
  }
  return std::min<uint64_t>(words, left);
}

// Events of one kind look alike, and so do calls of one kind (schema::Event and schema::Syscall, as
// they lie in a message of one segment).
uint8_t slotFor(const uint8_t* message, size_t words) {
  constexpr size_t kKindAt = 2, kCallAt = 6;
  constexpr uint64_t kSyscall = 1;
  if (words <= kCallAt) return 0;
  const uint64_t kind = wordAt(message, kKindAt) >> 32 & 0xffff;
  const uint64_t call = kind == kSyscall ? wordAt(message, kCallAt) & 0x0000ffffffffffff : 0;
  constexpr uint64_t kMix = 0x9e3779b97f4a7c15;
  return static_cast<uint8_t>((call << 16 | kind) * kMix >> 56);
}

}  // namespace

void EventReferences::reset() {
  for (const auto& slot : slots_)
    if (slot) slot->fill(0);
  task_ = time_ = 0;
}

EventReferences::Slot& EventReferences::referenceOf(uint8_t number) {
  std::unique_ptr<Slot>& slot = slots_[number];
  if (!slot) slot = std::make_unique<Slot>();
  (*slot)[kTaskAt] = task_;
  (*slot)[kTimeAt] = time_;
  return *slot;
}

void EventReferences::keep(Slot& slot, const uint8_t* message, size_t words) {
  std::memcpy(slot.data(), message, std::min(words, kWords) * kWord);
  task_ = slot[kTaskAt];
  time_ = slot[kTimeAt];
}

Bytes EventPacker::pack(Bytes raw) {
  packed_.resize(maxPacked(raw.size()));
  uint8_t* to = packed_.data();
  for (size_t left = raw.size() / kWord; left > 0;) {
    const uint8_t* message = raw.data() + raw.size() - left * kWord;
    const size_t words = messageWords(message, left);
    to = packMessage(message, words, to);
    left -= words;
  }
  return {packed_.data(), static_cast<size_t>(to - packed_.data())};
}

uint8_t* EventPacker::packMessage(const uint8_t* message, size_t words, uint8_t* to) {
  const uint8_t number = slotFor(message, words);
  *to++ = number;
  size_t count = words;
  for (; count >= 0x80; count >>= 7) *to++ = static_cast<uint8_t>(count | 0x80);
  *to++ = static_cast<uint8_t>(count);

  Slot& slot = referenceOf(number);
  const auto difference = [&](size_t i) { return wordAt(message, i) ^ (i < kWords ? slot[i] : 0); };
  const auto endsFull = [&](size_t i) {
    if (i < kWords) return countOf(nonzeroBytes(difference(i))) < kFewDiffer;
    for (size_t next = i; next < std::min(i + kManyZeros, words); ++next)
      if (difference(next) != 0) return false;
    return true;
  };

  for (size_t i = 0; i < words;) {
    const size_t start = i, most = std::min(words, start + kMostInRun);
    const uint64_t differs = difference(i++);
    if (differs == 0) {
      while (i < most && difference(i) == 0) ++i;
      *to++ = kSame;
      *to++ = static_cast<uint8_t>(i - start - 1);
      continue;
    }
    const uint64_t bytes = nonzeroBytes(differs);
    if (start < kWords && countOf(bytes) <= kFewDiffer) {
      const uint8_t mask = maskOf(bytes);
      *to++ = mask;
      for (unsigned left = mask; left != 0; left &= left - 1)
        *to++ = message[start * kWord + static_cast<size_t>(std::countr_zero(left))];
      continue;
    }
    while (i < most && !endsFull(i)) ++i;
    *to++ = kFull;
    *to++ = static_cast<uint8_t>(i - start - 1);
    to = std::copy(message + start * kWord, message + i * kWord, to);
  }
  keep(slot, message, words);
  return to;
}

bool EventUnpacker::unpack(Bytes packed, std::span<uint8_t> raw) {
  while (!packed.empty())
    if (!unpackMessage(packed, raw)) return false;
  return raw.empty();
}

// Takes one message from the beginning of both.
bool EventUnpacker::unpackMessage(Bytes& packed, std::span<uint8_t>& raw) {
  const uint8_t* from = packed.data();
  const uint8_t* const end = from + packed.size();
  Slot& slot = referenceOf(*from++);
  size_t words = 0;
  for (unsigned shift = 0;; shift += 7) {
    if (from == end || shift > 28) return false;
    words |= size_t{*from & 0x7fu} << shift;
    if ((*from++ & 0x80) == 0) break;
  }
  if (words == 0 || words > raw.size() / kWord) return false;

  uint8_t* const message = raw.data();
  for (size_t i = 0; i < words;) {
    if (from == end) return false;
    const uint8_t tag = *from++;
    if (tag != kSame && tag != kFull) {
      uint64_t word = i < kWords ? slot[i] : 0;
      if (end - from < std::popcount(tag)) return false;
      for (unsigned left = tag; left != 0; left &= left - 1) {
        const int shift = 8 * std::countr_zero(left);
        word = (word & ~(uint64_t{0xff} << shift)) | uint64_t{*from++} << shift;
      }
      std::memcpy(message + i++ * kWord, &word, kWord);
      continue;
    }
    if (from == end) return false;
    const size_t run = size_t{*from++} + 1;
    if (run > words - i) return false;
    uint8_t* const to = message + i * kWord;
    if (tag == kFull) {
      if (static_cast<size_t>(end - from) < run * kWord) return false;
      std::memcpy(to, from, run * kWord);
      from += run * kWord;
    } else {
      const size_t known = i < kWords ? std::min(run, kWords - i) : 0;
      std::memcpy(to, slot.data() + std::min(i, kWords), known * kWord);
      std::memset(to + known * kWord, 0, (run - known) * kWord);
    }
    i += run;
  }
  keep(slot, message, words);
  packed = packed.subspan(static_cast<size_t>(from - packed.data()));
  raw = raw.subspan(words * kWord);
  return true;
}

}  // namespace airr
