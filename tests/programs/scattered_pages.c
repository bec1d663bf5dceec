// A regression. A signal came to a program that made no calls and had written every second page of much memory: the
// event that puts such pages on record was too large for a trace, and the session ended.
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t rang;
static void on_alarm(int signal) {
  (void)signal;
  rang = 1;
}

int main(void) {
  enum { kPage = 4096, kPages = 40000 };
  char* memory = mmap(NULL, (size_t)kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  CHECK(madvise(memory, (size_t)kPages * kPage, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
  struct sigaction action = {.sa_handler = on_alarm};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval soon = {{0, 0}, {0, 500000}};
  CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
  for (int i = 0; i < kPages; i += 2) memory[(size_t)i * kPage + (i & 0xfff)] = (char)(i % 251 + 1);
  unsigned long long rounds = 0;
  while (!rang) ++rounds;
  for (int i = 0; i < kPages; ++i)
    CHECK(memory[(size_t)i * kPage + (i & 0xfff)] == (i % 2 == 0 ? (char)(i % 251 + 1) : 0));
  printf("%llu\n", rounds);
  return done();
}
