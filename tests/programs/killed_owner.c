// A regression. A process that waited for the baton was killed by another of its domain, had reached its exit stop when
// the baton came to it, and was let go from there as if it were still where it was left: the kernel marked the robust
// mutex that it held unseen, and replay, where nothing did, took another way.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

int main(void) {
  pthread_mutex_t* mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(mutex != MAP_FAILED);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK_ZERO(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
  CHECK_ZERO(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
  CHECK_ZERO(pthread_mutex_init(mutex, &attributes));
  int ready[2];
  CHECK(pipe(ready) == 0);
  for (int i = 0; i < 64; ++i) {
    pid_t child = fork_flushed();
    if (child == 0) {
      CHECK_ZERO(pthread_mutex_lock(mutex));
      CHECK(write(ready[1], "x", 1) == 1);
      for (;;) pause();
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(pthread_mutex_lock(mutex) == EOWNERDEAD);
    CHECK_ZERO(pthread_mutex_consistent(mutex));
    CHECK_ZERO(pthread_mutex_unlock(mutex));
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  }
  return done();
}
