#include "recorder/gate/gate_image.h"

#include <cstddef>

#include "recorder/gate/gate.h"

extern "C" {
extern const uint8_t airr_gate_image_bytes[AIRR_GATE_TEXT_SIZE];
extern const uint8_t airr_stub_image_bytes[];
extern const uint8_t airr_stub_image_end[];
}

namespace airr {

static_assert(offsetof(airr_gate_data, mode) == AIRR_GATE_DATA_MODE);
static_assert(offsetof(airr_gate_data, position) == AIRR_GATE_DATA_POSITION);
static_assert(offsetof(airr_gate_data, limit) == AIRR_GATE_DATA_LIMIT);
static_assert(offsetof(airr_gate_data, hook_count) == AIRR_GATE_DATA_HOOK_COUNT);
static_assert(offsetof(airr_gate_data, yield_at) == AIRR_GATE_DATA_YIELD_AT);
static_assert(offsetof(airr_gate_data, call_stack) == AIRR_GATE_DATA_CALL_STACK);
static_assert(offsetof(airr_gate_data, call_resume) == AIRR_GATE_DATA_CALL_RESUME);
static_assert(offsetof(airr_gate_data, call_plain) == AIRR_GATE_DATA_CALL_PLAIN);
static_assert(offsetof(airr_gate_data, kernel_clock) == AIRR_GATE_DATA_KERNEL_CLOCK);
static_assert(offsetof(airr_gate_data, log) == AIRR_GATE_DATA_STACK_END);
static_assert(sizeof(airr_gate_entry) % 8 == 0);
static_assert(AIRR_GATE_TRAMPOLINES - AIRR_GATE_TEXT + AIRR_GATE_TRAMPOLINE_COUNT * AIRR_GATE_TRAMPOLINE_SIZE ==
              AIRR_GATE_TEXT_SIZE);
static_assert(offsetof(airr_gate_data, clocks) == AIRR_GATE_DATA_CLOCKS);
static_assert(sizeof(airr_gate_reading) == 16, "gate.S shifts by 4");
static_assert(AIRR_GATE_REPLAY == AIRR_GATE_RECORD + 1, "gate.S aims behind the syscall by it");
static_assert(sizeof(airr_gate_data) <= AIRR_GATE_DATA_SIZE);

std::span<const uint8_t> gateImage() { return airr_gate_image_bytes; }

std::span<const uint8_t> gateText() {
  static const size_t size = [] {
    size_t end = sizeof airr_gate_image_bytes;
    while (end > 0 && airr_gate_image_bytes[end - 1] == 0) --end;
    return end;
  }();
  return gateImage().first(size);
}

std::span<const uint8_t> stubImage() { return {airr_stub_image_bytes, airr_stub_image_end}; }

}  // namespace airr
