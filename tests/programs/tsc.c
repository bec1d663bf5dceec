// RDTSC and RDTSCP, also with SIGSEGV blocked and with a handler of it installed.
#include <setjmp.h>
#include <signal.h>
#include <x86intrin.h>

#include "check.h"

static void not_wanted(int signal) {
  (void)signal;
  static const char text[] = "the program's SIGSEGV handler saw a trapped RDTSC\n";
  CHECK(write(2, text, sizeof text - 1) > 0);
  _exit(1);
}

int main(void) {
  unsigned long long last = __rdtsc();
  printf("rdtsc %llu\n", last);
  for (int i = 0; i < 200; ++i) {
    unsigned int processor;
    unsigned long long now = i % 2 ? __rdtsc() : __rdtscp(&processor);
    if (i % 50 == 0) printf("+%llu processor %#x\n", now - last, processor);
    last = now;
  }
  struct sigaction action = {.sa_handler = not_wanted};
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  printf("with a handler: %llu\n", (unsigned long long)__rdtsc());
  sigset_t all;
  sigfillset(&all);
  CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
  printf("with all signals blocked: %llu\n", (unsigned long long)__rdtsc());
  struct sigaction now;
  CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == not_wanted);
  sigset_t mask;
  CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGSEGV));
  signal(SIGSEGV, SIG_IGN);
  printf("with SIGSEGV ignored: %llu\n", (unsigned long long)__rdtsc());
  return done();
}
