// Two threads that hand a turn back and forth on an atomic, without a syscall; then a thread that
// spins until a signal handler sets a flag.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "check.h"

static atomic_int turn, played;
static atomic_bool rung;

static void play(int self) {
  for (int round = 0; round < 20; ++round) {
    while (atomic_load(&turn) != self) {
    }
    atomic_fetch_add(&played, 1);
    atomic_store(&turn, 1 - self);
  }
}

static void* plays(void* unused) {
  play(1);
  return unused;
}

static void rings(int signal) {
  (void)signal;
  atomic_store(&rung, 1);
}

int main(void) {
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, plays, NULL));
  play(0);
  CHECK_ZERO(pthread_join(thread, NULL));
  printf("%d turns\n", atomic_load(&played));
  CHECK(atomic_load(&played) == 40);

  struct sigaction action = {.sa_handler = rings};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval soon = {.it_value = {0, 20000}};
  CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
  while (!atomic_load(&rung)) {
  }
  puts("rung");
  return done();
}
