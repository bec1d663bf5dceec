// Calls that fail in the gate: what they read is on record as well. (It was left out, and replay diverged.)
#include <signal.h>

#include "check.h"

int main(void) {
  struct sigaction action = {.sa_handler = SIG_IGN};
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < 20; ++i) {
    sigaddset(&set, 1 + i);
    action.sa_mask = set;
    CHECK(sigaction(SIGKILL, &action, NULL) == -1 && errno == EINVAL);
    CHECK(sigprocmask(77, &set, NULL) == -1 && errno == EINVAL);
  }
  printf("done\n");
  return 0;
}
