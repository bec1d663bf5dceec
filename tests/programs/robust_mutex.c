// Robust mutexes whose owner dies: a thread, and a process.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

static void* takes_and_dies(void* mutex) {
  CHECK_ZERO(pthread_mutex_lock(mutex));
  return NULL;
}

int main(void) {
  pthread_mutex_t* mutexes =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(mutexes != MAP_FAILED);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK_ZERO(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
  CHECK_ZERO(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
  for (int i = 0; i < 2; ++i) CHECK_ZERO(pthread_mutex_init(&mutexes[i], &attributes));

  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, takes_and_dies, &mutexes[0]));
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK(pthread_mutex_lock(&mutexes[0]) == EOWNERDEAD);
  CHECK_ZERO(pthread_mutex_consistent(&mutexes[0]));
  CHECK_ZERO(pthread_mutex_unlock(&mutexes[0]));
  puts("a thread's mutex was recovered");

  int ready[2];
  CHECK(pipe(ready) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    CHECK_ZERO(pthread_mutex_lock(&mutexes[1]));
    CHECK(write(ready[1], "x", 1) == 1);
    for (;;) pause();
  }
  char byte;
  CHECK(read(ready[0], &byte, 1) == 1);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(pthread_mutex_lock(&mutexes[1]) == EOWNERDEAD);
  CHECK_ZERO(pthread_mutex_consistent(&mutexes[1]));
  CHECK_ZERO(pthread_mutex_unlock(&mutexes[1]));
  printf("the mutex of %d was recovered\n", child);
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  return done();
}
