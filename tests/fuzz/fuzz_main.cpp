// The entry of a libFuzzer program; AIRR_FUZZ_TARGET is the target's function.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  airr::fuzz::AIRR_FUZZ_TARGET({data, size});
  return 0;
}
