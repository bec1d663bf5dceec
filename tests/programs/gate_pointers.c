// Pointers that happen to lead into the gate's memory, where record and replay differ: bytes of code do, taken for
// addresses (0x801f0f00 is the beginning of a long nop). An execve with an array of such diverged in replay (found by
// stress-ng's sysbadaddr).
#include "check.h"
#include "recorder/gate/gate.h"

int main(void) {
  char* const nowhere = (char*)8;
  for (unsigned long at = AIRR_GATE_TEXT - 4096; at < AIRR_GATE_END + 4096; at += AIRR_GATE_SCRATCH_SIZE / 64 + 123) {
    char* const arguments[] = {"x", (char*)at, nowhere, NULL};
    CHECK(execve("/nonexistent/x", arguments, arguments) == -1);
    CHECK(errno == ENOENT || errno == EFAULT);
  }
  return done();
}
