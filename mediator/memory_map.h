// What is mapped in a process, as /proc/PID/maps and /proc/PID/pagemap tell (proc_pid_maps(5),
// Documentation/admin-guide/mm/pagemap.rst).
//
// Value types; any thread. Throws Error when the files cannot be read or parsed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schema/types.h"

namespace airr {

// Behind the last address that a program can map: TASK_SIZE_MAX with four levels of page tables, and the bound of what
// the kernel gives unasked with five (arch/x86/include/asm/page_64_types.h).
constexpr uint64_t kUserEnd = 0x7ffffffff000;

struct MappedRegion {
  Address start;
  Address end;
  int protection = 0;  // PROT_*
  bool shared = false;
  uint64_t offset = 0;
  uint64_t device = 0;  // makedev
  uint64_t inode = 0;   // 0: no file
  std::string name;
  uint64_t length() const { return end - start; }
};

std::vector<MappedRegion> readMemoryMap(Tid);

// Calls `page(address)` for each page of [start, end) that is private to the process: written since
// it was mapped (present or swapped out), not a clean page of a file, not shared memory.
class PageMap {
 public:
  explicit PageMap(Tid);
  ~PageMap();
  PageMap(const PageMap&) = delete;
  PageMap& operator=(const PageMap&) = delete;
  template <class F>
  void privatePages(Address start, Address end, F page) const {
    forEach(start, end, [](uint64_t bits) { return (bits >> 62) != 0 && ((bits >> 61) & 1) == 0; },
            page);
  }
  template <class F>
  void presentPages(Address start, Address end, F page) const {
    forEach(start, end, [](uint64_t bits) { return (bits >> 62) != 0; }, page);
  }

 private:
  template <class P, class F>
  void forEach(Address start, Address end, P wanted, F page) const {
    uint64_t entries[512];
    for (Address at = start; at < end;) {
      uint64_t n = read(at, end, entries);
      if (n == 0) return;
      for (uint64_t i = 0; i < n; ++i)
        if (wanted(entries[i])) page(at + i * kPageSize);
      at = at + n * kPageSize;
    }
  }
  uint64_t read(Address from, Address end, uint64_t (&entries)[512]) const;
  int fd_;
};

}  // namespace airr
