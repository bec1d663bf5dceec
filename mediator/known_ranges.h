// Ranges of an address space that are sure to be mapped: all that execve and the calls since have
// given, less what they took. Not complete: the kernel grows stacks by itself.
//
// Value type; one thread; nothing fails.
#pragma once

#include <cstdint>
#include <map>

namespace airr {

class KnownRanges {
 public:
  // Ends are rounded up to pages, starts down.
  void add(uint64_t start, uint64_t length);
  void remove(uint64_t start, uint64_t length);
  bool covers(uint64_t start, uint64_t length) const;
  // Whether any of it is known to be mapped.
  bool touches(uint64_t start, uint64_t length) const;

 private:
  std::map<uint64_t, uint64_t> ends_;  // by start; disjoint, and none touches the next
};

}  // namespace airr
