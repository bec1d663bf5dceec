// The stack grows by deep recursion, in the main thread and in a thread; syscalls write to fresh
// pages.
#include <fcntl.h>
#include <pthread.h>

#include "check.h"

static int zero = -1;

__attribute__((noinline)) static unsigned long dive(int depth) {
  volatile char frame[3000];
  frame[0] = (char)depth;
  if (depth % 100 == 0) CHECK(read(zero, (char*)frame, 64) == 64);
  if (depth == 0) return (unsigned long)frame;
  unsigned long below = dive(depth - 1);
  return below + (unsigned long)frame[0] * 0;
}

static void* dives(void* unused) {
  (void)unused;
  return (void*)dive(1000);
}

int main(void) {
  zero = open("/dev/zero", O_RDONLY);
  CHECK(zero >= 0);
  printf("main stack: deepest at %lx\n", dive(2000));
  pthread_t thread;
  void* deepest;
  CHECK_ZERO(pthread_create(&thread, NULL, dives, NULL));
  CHECK_ZERO(pthread_join(thread, &deepest));
  printf("thread stack: deepest at %p\n", deepest);
  return done();
}
