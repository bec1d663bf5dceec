// Allocates pieces of an address space's scratch memory (recorder/gate/gate.h) to calls that gave up
// the baton. Bookkeeping only: touches no memory. One thread.
#pragma once

#include <cstdint>
#include <map>

#include "recorder/gate/gate.h"
#include "schema/types.h"

namespace airr {

class ScratchArena {
 public:
  // Zero address: no piece that large is free.
  Address allocate(uint64_t size) {
    size = pageCeil(size);
    uint64_t at = AIRR_GATE_SCRATCH;
    for (const auto& [start, length] : used_) {
      if (start - at >= size) break;
      at = start + length;
    }
    if (size == 0 || at + size > AIRR_GATE_SCRATCH + AIRR_GATE_SCRATCH_SIZE) return {};
    used_[at] = size;
    return {at};
  }
  void release(Address piece) { used_.erase(piece.value); }

 private:
  std::map<uint64_t, uint64_t> used_;  // start → length
};

}  // namespace airr
