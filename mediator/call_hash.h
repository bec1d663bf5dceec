// The digest of what a call reads from its caller's memory: the same function in record and replay.
//
// Pure but for the reads; any thread. Unreadable memory is part of the digest, never an error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mediator/syscalls/model.h"

namespace airr {

// XXH3-64 (xxhash.com, specification 0.1.1) over the input regions in the model's order.
// `regions` is scratch space of the caller.
uint64_t hashInputs(const syscalls::Syscall&, const syscalls::Call&, syscalls::MemoryReader&,
                    std::vector<Region>& regions);

// The same of a call whose only input region has these bytes.
uint64_t hashInput(std::span<const uint8_t>);

}  // namespace airr
