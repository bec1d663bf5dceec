// flags: -pthread
// also: static
// Processes that are killed while one thread makes calls in the gate and others wait: the ends of those that waited
// come first at times, and replay took what the gate was to answer for theirs (it waited for ever).
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "check.h"

enum { kProcesses = 12 };

static atomic_int started;
static int never[2];

static void* waits(void* unused) {
  char byte;
  ++started;
  return read(never[0], &byte, 1) == 1 ? unused : NULL;
}

static void* runs(void* unused) {
  ++started;
  for (;;) getppid();
  return unused;
}

int main(void) {
  for (int i = 0; i < kProcesses; ++i) {
    int told[2];
    CHECK_ZERO(pipe(told));
    const pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      CHECK_ZERO(pipe(never));
      for (int k = 0; k < 3; ++k) CHECK_ZERO(pthread_create(&thread, NULL, waits, NULL));
      CHECK_ZERO(pthread_create(&thread, NULL, runs, NULL));
      while (started < 4) usleep(100);
      CHECK(write(told[1], "", 1) == 1);
      waits(NULL);
    }
    char byte;
    CHECK(read(told[0], &byte, 1) == 1);
    usleep(5000);
    kill(child, i % 2 ? SIGKILL : SIGTERM);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    printf("killed by %d\n", WTERMSIG(status));
    close(told[0]), close(told[1]);
  }
  return done();
}
