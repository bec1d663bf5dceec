// A regression. Signals came between readings of the clock, which were put on record there; replay's gate did not hold
// as many as were read between two calls then, left some out, and the program took another way.
#include <signal.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t ticks;
static void on_tick(int signal) {
  (void)signal;
  ++ticks;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_tick};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval period = {{0, 3000}, {0, 3000}};
  CHECK(setitimer(ITIMER_REAL, &period, NULL) == 0);
  // In memory, for what is in a register is put right by the signal itself.
  volatile unsigned long long digest = 14695981039346656037ull;
  unsigned long long steps = 0;
  while (ticks < 100) {
    const unsigned long long now = (unsigned long long)now_ns();
    for (int i = 0; i < 200; ++i) digest = (digest ^ now) * 1099511628211ull;
    if (digest % 3 == 0) ++steps;
  }
  const struct itimerval none = {0};
  CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
  printf("%llu %llx\n", steps, digest);
  return done();
}
