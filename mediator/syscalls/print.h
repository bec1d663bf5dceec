// Syscalls as text: one call (inspect, divergence reports), and the whole table (`airr syscalls`).
//
// Pure but for reads through MemoryReader; usable from any thread. Unreadable memory is shown as
// its address.
#pragma once

#include <cstdint>
#include <string>

#include "mediator/syscalls/model.h"

namespace airr::syscalls {

// openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
// `memory` is the task's, or null: pointers are then shown as addresses.
std::string format(const Syscall&, const Call&, int64_t result, MemoryReader* memory);
// The same without the result, for a call that has none yet.
std::string format(const Syscall&, const Call&, MemoryReader* memory);

// The table, for people and as a JSON array.
std::string listing();
std::string listingJson();

}  // namespace airr::syscalls
