// exec by the leader while siblings run; then a failing exec that must leave them running.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static atomic_int rounds;

static void* works(void* unused) {
  for (;;) {
    atomic_fetch_add(&rounds, 1);
    usleep(100);
  }
  return unused;
}

int main(int argc, char** argv) {
  if (argc > 1) {
    printf("generation %s: pid %d\n", argv[1], getpid());
    if (strcmp(argv[1], "3") == 0) return done();
  } else {
    printf("generation 0: pid %d\n", getpid());
  }
  fflush(stdout);
  pthread_t thread;
  for (int i = 0; i < 3; ++i) CHECK_ZERO(pthread_create(&thread, NULL, works, NULL));
  execl("/nonexistent", "nonexistent", (char*)NULL);
  CHECK(errno == ENOENT);
  int before = atomic_load(&rounds);
  while (atomic_load(&rounds) < before + 5) usleep(100);
  char next[16];
  snprintf(next, sizeof next, "%d", argc > 1 ? atoi(argv[1]) + 1 : 1);
  execl("/proc/self/exe", argv[0], next, (char*)NULL);
  return 1;
}
