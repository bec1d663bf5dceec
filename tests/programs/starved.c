// A lock that one thread takes again as soon as it has let go of it, with calls only while it has it, while another
// waits. The other, woken each time, found it taken for ever where turns were handed over in those calls alone: in
// CPython's test_io, a writer's lock.
// also: static
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

static sem_t slot;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int sink, enough;

static void take_slot(void) {
  while (sem_wait(&slot) != 0) CHECK(errno == EINTR);
}
static void leave_slot(void) { CHECK_ZERO(sem_post(&slot)); }
static void take_mutex(void) { CHECK_ZERO(pthread_mutex_lock(&mutex)); }
static void leave_mutex(void) { CHECK_ZERO(pthread_mutex_unlock(&mutex)); }

static const struct lock {
  const char* name;
  void (*take)(void);
  void (*leave)(void);
} kLocks[] = {{"semaphore", take_slot, leave_slot}, {"mutex", take_mutex, leave_mutex}};

static void* has_it_nearly_always(void* argument) {
  const struct lock* lock = argument;
  for (int ends = 0; !ends;) {
    lock->take();
    CHECK(write(sink, "x", 1) == 1);
    ends = enough;
    lock->leave();
  }
  return NULL;
}

int main(void) {
  enum { kNeverEnds = 60, kTimes = 3 };
  alarm(kNeverEnds);
  sink = open("/dev/null", O_WRONLY);
  CHECK(sink >= 0);
  CHECK_ZERO(sem_init(&slot, 0, 1));
  for (size_t i = 0; i < sizeof kLocks / sizeof *kLocks; ++i) {
    const struct lock* lock = &kLocks[i];
    pthread_t others[2];
    for (int o = 0; o < 2; ++o) CHECK_ZERO(pthread_create(&others[o], NULL, has_it_nearly_always, (void*)lock));
    for (int time = 1; time <= kTimes; ++time) {
      usleep(5000);
      lock->take();
      printf("%s, time %d\n", lock->name, time);
      enough = time == kTimes;
      lock->leave();
    }
    for (int o = 0; o < 2; ++o) CHECK_ZERO(pthread_join(others[o], NULL));
    enough = 0;
  }
  return done();
}
