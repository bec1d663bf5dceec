// Where the code of an ELF file is, and which of it is one function: for those who look for
// instructions in program files.
//
// Pure functions of the bytes, which are hostile: any bytes are taken, and nothing fails. The objects
// keep views of the bytes and of each other, which must outlive them. Usable from any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace airr {

// A half-open range of file offsets.
struct Extent {
  uint64_t start = 0;
  uint64_t end = 0;
  bool contains(uint64_t offset) const { return offset >= start && offset < end; }
};

template <class T>
std::optional<T> loadAt(std::span<const uint8_t> bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// The parts of an ELF file that say where its code is.
class ElfCode {
 public:
  // No file at all, but all code.
  static ElfCode ofCode(std::span<const uint8_t>);
  // Without code if the bytes are no x86-64 ELF file.
  explicit ElfCode(std::span<const uint8_t>);

  std::span<const uint8_t> bytes() const { return bytes_; }
  // Executable, ascending, disjoint.
  const std::vector<Extent>& code() const { return code_; }
  std::optional<uint64_t> entry() const { return entry_; }
  std::optional<uint64_t> unwindIndex() const { return unwindIndex_; }
  std::optional<uint64_t> offsetOf(uint64_t address) const;
  std::optional<uint64_t> addressOf(uint64_t offset) const;

 private:
  struct Segment {
    Extent file;
    uint64_t address = 0;
    bool executable = false;
  };
  void addSegment(uint64_t offset, uint64_t size, uint64_t address, bool executable);
  void mergeCode();

  std::span<const uint8_t> bytes_;
  std::vector<Segment> segments_;
  std::vector<Extent> code_;
  std::optional<uint64_t> entry_;
  std::optional<uint64_t> unwindIndex_;
};

// The functions that .eh_frame_hdr and .eh_frame describe (Linux Standard Base, "Exception
// Frames"). The index gives the starts, ascending; the frame of a start gives the length.
class ElfFunctions {
 public:
  explicit ElfFunctions(const ElfCode&);
  // The function that covers this offset.
  std::optional<Extent> covering(uint64_t offset) const;
  // The bytes between functions that lie within `reach` of an offset, ascending: padding, or code
  // that nothing describes.
  std::vector<Extent> gapsNear(uint64_t offset, uint64_t reach) const;

 private:
  static constexpr uint64_t kEntrySize = 8;
  int32_t start(uint64_t index) const;
  // The first entry that starts behind the address.
  uint64_t entryBehind(uint64_t address) const;
  std::optional<uint64_t> lengthOf(uint64_t index) const;
  std::optional<uint8_t> pointerEncoding(uint64_t entry) const;
  bool skipLeb(uint64_t& at) const;

  const ElfCode& elf_;
  uint64_t table_ = 0;
  uint64_t count_ = 0;
};

}  // namespace airr
