// One thread changes a signal's handler while another raises the signal. (A change that was on record,
// but not yet made by the kernel when the other thread ran on, ended the program with SIGTRAP.)
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "check.h"

enum { CHANGES = 20000 };

static atomic_int seen, changes;

static void onSignal(int signal) {
  (void)signal;
  ++seen;
}

static void* raiseUntilDone(void* unused) {
  int raised = 0;
  (void)unused;
  while (changes < CHANGES) {
    raise(SIGUSR1);
    ++raised;
  }
  printf("%d raised\n", raised);
  return NULL;
}

int main(void) {
  pthread_t thread;
  CHECK(signal(SIGUSR1, onSignal) != SIG_ERR);
  CHECK_ZERO(pthread_create(&thread, NULL, raiseUntilDone, NULL));
  for (; changes < CHANGES; ++changes) CHECK(signal(SIGUSR1, changes % 2 ? onSignal : SIG_IGN) != SIG_ERR);
  CHECK_ZERO(pthread_join(thread, NULL));
  printf("%d seen\ndone\n", seen);
  return 0;
}
