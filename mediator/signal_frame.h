// The frame that the kernel puts on the stack for a signal handler, as far as airr must know it
// (arch/x86/kernel/signal_64.c, struct rt_sigframe; asm/sigcontext.h).
//
// Reads tracee memory; throws nothing: an unreadable frame gives an empty region or state.
#pragma once

#include <csignal>
#include <cstdint>
#include <span>
#include <vector>

#include "mediator/tracee.h"

namespace airr {

// Signals that no mask keeps back, as a mask (sigprocmask(2)).
constexpr uint64_t kUnblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);

// From the handler's first stack pointer to the end of the extended state.
Region signalFrame(Tracee&, const Registers& atHandler);

// What rt_sigreturn makes of the registers if the frame's `bytes`, all of that region, are what the kernel wrote
// (arch/x86/kernel/signal_64.c, restore_sigcontext); and of the signal mask.
Registers registersOf(std::span<const uint8_t> bytes, const Registers& atReturn);
uint64_t signalMaskOf(std::span<const uint8_t> bytes);

// At rt_sigreturn: where the frame begins, as the handler's `ret` has popped its first word.
Address frameAt(const Registers& atReturn);

// At rt_sigreturn: the extended state that the frame holds, in the format of PTRACE_SETREGSET.
// Empty: the frame has none, and the kernel resets the state.
std::vector<uint8_t> frameExtendedState(Tracee&, const Registers& atReturn);

}  // namespace airr
