// The digest of what a call reads from its caller's memory: the same function in record and replay.
//
// Pure but for the reads; any thread. Unreadable memory is part of the digest, never an error.
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mediator/syscalls/model.h"

namespace airr {

// XXH3-64 (xxhash.com, specification 0.1.1) over the input regions in the model's order.
// `regions` is scratch space of the caller.
uint64_t hashInputs(const syscalls::Syscall&, const syscalls::Call&, syscalls::MemoryReader&,
                    std::vector<Region>& regions);

// The same of a call whose only input region has these bytes.
uint64_t hashInput(std::span<const uint8_t>);

// The call that an event is of.
syscalls::Call callOf(schema::Syscall::Reader);

// Gives an event that has its digest already its path. If the digest is that of a name which the path ends
// with, it has that name's length instead.
void setPath(schema::Syscall::Builder, const std::string& path);
// The name, which has a NUL behind it, if that is so or if it is empty.
std::optional<std::string_view> passedName(schema::Syscall::Reader);
// The digest of the event's call, in either case.
uint64_t inputHashOf(schema::Syscall::Reader);

}  // namespace airr
