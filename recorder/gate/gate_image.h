// The gate's code, as files to be put into tracees; gate.h says where, docs/gate.md how it works.
//
// The spans are constant data of the program: valid for ever, readable by any thread. No failure.
#pragma once

#include <cstdint>
#include <span>

namespace airr {

// Exactly AIRR_GATE_TEXT_SIZE bytes, to be mapped read-execute at AIRR_GATE_TEXT, with
// AT_SYSINFO_EHDR pointing at the first: a complete vDSO.
std::span<const uint8_t> gateImage();

// The same without the zeros behind it, which fresh memory has.
std::span<const uint8_t> gateText();

// A static executable. Its process has the gate's text, and the gate's data all zero, and spins on
// AIRR_SYSCALL with kind 0 until a tracer makes another process of it.
std::span<const uint8_t> stubImage();

}  // namespace airr
