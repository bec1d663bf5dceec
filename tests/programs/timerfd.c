// timerfd: periodic, absolute, disarmed, polled.
#include <poll.h>
#include <stdint.h>
#include <sys/timerfd.h>

#include "check.h"

int main(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  CHECK(fd >= 0);
  struct itimerspec period = {{0, 3000000}, {0, 3000000}}, left;
  CHECK(timerfd_settime(fd, 0, &period, NULL) == 0);
  uint64_t ticks;
  for (int i = 0; i < 3; ++i) {
    CHECK(read(fd, &ticks, sizeof ticks) == sizeof ticks);
    printf("%llu ticks at %lld\n", (unsigned long long)ticks, now_ns());
    if (i == 1) sleep_ms(10);
  }
  CHECK(timerfd_gettime(fd, &left) == 0);
  printf("%ld ns left\n", left.it_value.tv_nsec);
  struct itimerspec off = {{0, 0}, {0, 0}}, old;
  CHECK(timerfd_settime(fd, 0, &off, &old) == 0);
  printf("%ld ns were left\n", old.it_value.tv_nsec);
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  CHECK(poll(&ready, 1, 5) == 0);

  int absolute = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  CHECK(absolute >= 0);
  struct itimerspec until = {{0, 0}, {0, 0}};
  CHECK(clock_gettime(CLOCK_REALTIME, &until.it_value) == 0);
  printf("now %ld.%09ld\n", (long)until.it_value.tv_sec, until.it_value.tv_nsec);
  until.it_value.tv_sec += 1000;
  CHECK(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &until, NULL) == 0);
  CHECK(read(absolute, &ticks, sizeof ticks) == -1 && errno == EAGAIN);
  return done();
}
