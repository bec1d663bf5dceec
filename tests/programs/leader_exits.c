// The leader ends first; the process lives on in its threads, and its status is the last one's.
#include <pthread.h>
#include <sys/syscall.h>

#include "check.h"

static void* lives(void* unused) {
  sleep_ms(20);
  printf("thread %ld of %d is still here\n", syscall(SYS_gettid), getpid());
  return unused;
}

static void* last(void* leader) {
  CHECK_ZERO(pthread_join(*(pthread_t*)leader, NULL));
  puts("joined the leader");
  pid_t child = fork_flushed();
  if (child == 0) _exit(4);
  printf("a child of the rest: %d exit %d\n", child, wait_exit(child));
  done();
  exit(17);
}

int main(void) {
  static pthread_t leader;
  leader = pthread_self();
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, lives, NULL));
  CHECK_ZERO(pthread_create(&thread, NULL, last, &leader));
  pthread_exit(NULL);
}
