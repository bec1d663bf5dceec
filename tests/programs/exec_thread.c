// exec by a thread that is not the leader, while siblings run, block and spin.
#include <pthread.h>
#include <sys/syscall.h>

#include "check.h"

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void* blocks(void* unused) {
  pthread_mutex_lock(&held);  // never given
  return unused;
}

static void* calls(void* unused) {
  for (;;) getppid();
  return unused;
}

static void* sleeps(void* unused) {
  for (;;) pause();
  return unused;
}

static void* execs(void* self) {
  char text[32];
  snprintf(text, sizeof text, "%d", (int)syscall(SYS_gettid));
  execl(self, "exec_thread", "again", text, (char*)NULL);
  CHECK(!"execl returned");
  return NULL;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "again") == 0) {
    pid_t tid = (pid_t)syscall(SYS_gettid);
    printf("after exec: pid %d tid %d, called by %s\n", getpid(), tid, argv[2]);
    CHECK(tid == getpid());
    CHECK(atoi(argv[2]) != getpid());
    return done();
  }
  printf("before exec: pid %d\n", getpid());
  fflush(stdout);
  pthread_mutex_lock(&held);
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, blocks, NULL));
  CHECK_ZERO(pthread_create(&thread, NULL, calls, NULL));
  CHECK_ZERO(pthread_create(&thread, NULL, sleeps, NULL));
  CHECK_ZERO(pthread_create(&thread, NULL, execs, "/proc/self/exe"));
  pthread_join(thread, NULL);
  return 1;
}
