// exit_group while siblings are blocked in a read, a futex, a sleep, and run.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "check.h"

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int never[2];
static atomic_int started;

static void* reads(void* unused) {
  char byte;
  ++started;
  CHECK(read(never[0], &byte, 1) == 1);
  return unused;
}

static void* locks(void* unused) {
  ++started;
  pthread_mutex_lock(&held);
  return unused;
}

static void* sleeps(void* unused) {
  ++started;
  for (;;) pause();
  return unused;
}

static void* runs(void* unused) {
  ++started;
  for (;;) getppid();
  return unused;
}

static void start_all(void) {
  CHECK(pipe(never) == 0);
  pthread_mutex_lock(&held);
  void* (*bodies[])(void*) = {reads, locks, sleeps, runs};
  pthread_t thread;
  for (int i = 0; i < 4; ++i) CHECK_ZERO(pthread_create(&thread, NULL, bodies[i], NULL));
  while (started < 4) usleep(100);
}

static void* ends(void* unused) {
  exit(33);
  return unused;
}

int main(void) {
  pid_t child = fork_flushed();
  if (child == 0) {
    start_all();
    _exit(11);
  }
  printf("ended by the leader: %d\n", wait_exit(child));

  child = fork_flushed();
  if (child == 0) {
    start_all();
    pthread_t thread;
    CHECK_ZERO(pthread_create(&thread, NULL, ends, NULL));
    pause();
  }
  printf("ended by a thread: %d\n", wait_exit(child));

  child = fork_flushed();
  if (child == 0) {
    start_all();
    raise(SIGTERM);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  printf("ended by signal %d\n", WTERMSIG(status));

  child = fork_flushed();
  if (child == 0) {
    start_all();
    for (;;) pause();
  }
  sleep_ms(20);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  printf("ended from outside by signal %d\n", WTERMSIG(status));
  return done();
}
