// How a `syscall` instruction of a program is made to jump into the gate: the bytes to write, which
// are the same in record and replay (recorder/gate/gate.S has the other end).
//
// Pure functions, but for writeCode(); any thread; nothing fails.
#pragma once

#include <sys/syscall.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mediator/call_sites.h"
#include "mediator/syscalls/model.h"
#include "mediator/tracee.h"
#include "recorder/gate/gate.h"
#include "schema/types.h"

namespace airr {

constexpr bool isInGate(uint64_t instruction) {
  return instruction >= AIRR_GATE_TEXT && instruction < AIRR_GATE_TEXT + AIRR_GATE_TEXT_SIZE;
}

constexpr uint8_t kInt3 = 0xcc;
constexpr uint64_t kSiteLength = 2;  // of `syscall`, and of RDTSC

// Where a field of the gate's data is in a tracee.
constexpr Address gateData(size_t offset) { return {AIRR_GATE_DATA + offset}; }
// What bytes take up in the gate's log.
constexpr uint64_t gateLogged(uint64_t size) { return (size + 7) & ~uint64_t{7}; }

struct PatchedBytes {
  uint64_t address = 0;
  std::vector<uint8_t> bytes;
};

// For the site whose instruction is mapped at `instruction`, with trampoline number
// `trampoline`, less than AIRR_GATE_TRAMPOLINE_COUNT. `moved` are the bytes that stand before or
// behind it and give way, as many as the site says. The trampoline comes first: it must be there
// before the jump.
std::vector<PatchedBytes> patchOf(const CallSite& site, uint64_t instruction, uint32_t trampoline,
                                  std::span<const uint8_t> moved);

// Where the int3 stands that a counter's trampoline runs into when the gate does not read it. It
// stands for an instruction of one byte.
uint64_t counterTrapOf(uint32_t trampoline);

// Where the long jump of a site stands.
uint64_t jumpOf(const CallSite& site, uint64_t instruction);

// Writes all of them, whatever the protection; those that touch in one write. False: the task is gone, or nothing is
// mapped there.
bool writeCode(Tracee&, std::span<const PatchedBytes>);

// Calls that the gate makes (recorder/gate/call.c has the conditions), but for kGateLookups.
bool isGateCall(uint64_t number);
// Those that it makes only where looking at metadata is free: lookups of names.
constexpr int kGateLookups[] = {SYS_stat,     SYS_lstat,      SYS_newfstatat, SYS_statx, SYS_access,
                                SYS_faccessat, SYS_faccessat2, SYS_readlink,   SYS_readlinkat};
bool isGateLookup(uint64_t number);
// Opens, which it makes only in AIRR_GATE_TREE.
bool isGateOpen(uint64_t number);
// Either of these: a call that passes a name.
inline bool passesName(uint64_t number) { return isGateLookup(number) || isGateOpen(number); }
// Which argument of such a call points to memory that it writes; nothing: none does.
std::optional<unsigned> gateOutput(uint64_t number);
// The same for memory that it reads.
std::optional<unsigned> gateInput(const syscalls::Call&);

}  // namespace airr
