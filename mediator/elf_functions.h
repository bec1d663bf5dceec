// Which of an ELF file's code is one function, from what its builder left there: the frame
// descriptions of .eh_frame (Linux Standard Base, "Exception Frames"), and the table that Go's
// runtime finds its functions by (.gopclntab, Go 1.18 and later).
//
// Pure functions of the bytes, which are hostile: any bytes are taken, and nothing fails. The object
// is independent of the bytes. Usable from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mediator/elf_code.h"

namespace airr {

class ElfFunctions {
 public:
  explicit ElfFunctions(const ElfCode&);
  // The function that covers this offset.
  std::optional<Extent> covering(uint64_t offset) const;
  // The bytes between functions that lie within `reach` of an offset, ascending: padding, or code
  // that nothing describes.
  std::vector<Extent> gapsNear(uint64_t offset, uint64_t reach) const;

 private:
  void addFrames(const ElfCode&);
  void addGo(const ElfCode&);
  void add(const ElfCode&, uint64_t address, uint64_t length);
  // The first that starts behind the offset.
  std::vector<Extent>::const_iterator behind(uint64_t offset) const;

  std::vector<Extent> functions_;  // by start, each start once; damaged files have some that overlap
};

}  // namespace airr
