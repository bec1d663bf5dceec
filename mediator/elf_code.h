// Where the code of an ELF file is: for those who look for instructions in program files.
//
// Pure functions of the bytes, which are hostile: any bytes are taken, and nothing fails. The object
// keeps a view of the bytes, which must outlive it. Usable from any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
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
  // Of code.
  std::optional<uint64_t> addressOf(uint64_t offset) const;
  std::optional<uint64_t> addressInFile(uint64_t offset) const;  // of anything
  // Where a section's bytes are, by the section headers, if there are any.
  std::optional<Extent> section(std::string_view name) const;

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

}  // namespace airr
