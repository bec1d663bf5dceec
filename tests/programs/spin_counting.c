// A thread counts in memory while it waits for a flag that its sibling sets after a sleep: the
// count depends on when the baton was taken away, and is printed.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static atomic_bool stop;

static void* sets(void* unused) {
  sleep_ms(30);
  atomic_store(&stop, 1);
  return unused;
}

int main(void) {
  unsigned long* counter = calloc(1, sizeof *counter);
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, sets, NULL));
  while (!atomic_load(&stop)) ++*(volatile unsigned long*)counter;
  CHECK_ZERO(pthread_join(thread, NULL));
  printf("counted to %lu\n", *counter);
  CHECK(*counter > 0);
  free(counter);
  return done();
}
