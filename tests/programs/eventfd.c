// eventfd as counter and semaphore, between threads and across fork.
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "check.h"

static int counter;

static void* adds(void* amount) {
  for (int i = 0; i < 10; ++i) CHECK(eventfd_write(counter, (eventfd_t)(intptr_t)amount) == 0);
  return NULL;
}

int main(void) {
  counter = eventfd(0, EFD_CLOEXEC);
  CHECK(counter >= 0);
  pthread_t threads[3];
  for (intptr_t i = 0; i < 3; ++i) {
    CHECK_ZERO(pthread_create(&threads[i], NULL, adds, (void*)(i + 1)));
  }
  eventfd_t total = 0;
  while (total < 60) {
    eventfd_t value;
    CHECK(eventfd_read(counter, &value) == 0);
    total += value;
    printf("read %llu, total %llu\n", (unsigned long long)value, (unsigned long long)total);
  }
  for (int i = 0; i < 3; ++i) CHECK_ZERO(pthread_join(threads[i], NULL));

  int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  eventfd_t value;
  CHECK(eventfd_read(semaphore, &value) == 0 && value == 1);
  CHECK(eventfd_read(semaphore, &value) == 0 && value == 1);
  CHECK(eventfd_read(semaphore, &value) == -1 && errno == EAGAIN);

  pid_t child = fork_flushed();
  if (child == 0) {
    sleep_ms(5);
    CHECK(eventfd_write(semaphore, 3) == 0);
    _exit(0);
  }
  struct pollfd ready = {.fd = semaphore, .events = POLLIN};
  CHECK(poll(&ready, 1, -1) == 1);
  CHECK(eventfd_read(semaphore, &value) == 0);
  CHECK(wait_exit(child) == 0);
  return done();
}
