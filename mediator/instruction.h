// Instructions and signals that record and replay must treat alike.
//
// Pure functions; any thread; nothing fails.
#pragma once

#include <signal.h>

#include <cstdint>

#include "mediator/tracee.h"

namespace airr {

// RFLAGS bits that RDRAND and RDSEED define: CF says success, OF SF ZF AF PF are cleared (Intel SDM
// vol. 2B).
constexpr uint64_t kCarry = 1;
constexpr uint64_t kArithmeticFlags = 0x8d5;

// Writes a register by its number in ModRM; 32 bits clear the upper half, 16 bits keep the rest.
void setOperand(Registers&, uint8_t number, uint8_t bytes, uint64_t value);

// The signal came from the instruction at the task's position, so replay meets it there again.
// kill(2) and its kin have si_code <= 0 (sigaction(2)).
bool raisedByInstruction(const siginfo_t&);

// Results by which a call says that it was interrupted and that the kernel will make it again unless
// a handler runs (include/linux/errno.h).
constexpr int64_t kRestartBlock = -516;  // by restart_syscall
constexpr bool restarts(int64_t result) {
  return result == -512 || result == -513 || result == -514 || result == kRestartBlock;
}

}  // namespace airr
