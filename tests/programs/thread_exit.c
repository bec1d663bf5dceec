// Threads that end: join by clear_child_tid, detached, cancelled, with cleanup; many in a row.
#include <pthread.h>
#include <sys/syscall.h>

#include "check.h"

static int cleaned;

static void cleanup(void* argument) { cleaned += (int)(long)argument; }

static void* returns(void* argument) { return (char*)argument + syscall(SYS_gettid); }

static void* cancelled(void* argument) {
  pthread_cleanup_push(cleanup, argument);
  for (;;) pause();
  pthread_cleanup_pop(0);
  return NULL;
}

static void* detached(void* pipe_end) {
  CHECK(write((int)(long)pipe_end, "d", 1) == 1);
  return NULL;
}

int main(void) {
  pthread_t threads[8];
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 8; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, returns, NULL));
    for (int i = 0; i < 8; ++i) {
      void* tid;
      CHECK_ZERO(pthread_join(threads[i], &tid));
      printf("%ld%c", (long)tid, i == 7 ? '\n' : ' ');
    }
  }
  for (long i = 0; i < 4; ++i)
    CHECK_ZERO(pthread_create(&threads[i], NULL, cancelled, (void*)(i + 1)));
  for (int i = 0; i < 4; ++i) {
    void* result;
    CHECK_ZERO(pthread_cancel(threads[i]));
    CHECK_ZERO(pthread_join(threads[i], &result));
    CHECK(result == PTHREAD_CANCELED);
  }
  CHECK(cleaned == 10);
  int ends[2];
  CHECK(pipe(ends) == 0);
  CHECK_ZERO(pthread_create(&threads[0], NULL, detached, (void*)(long)ends[1]));
  CHECK_ZERO(pthread_detach(threads[0]));
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1);
  return done();
}
