// flags: -pthread
// also: static
// A thread that watches the clock until another has done something kept its turn until the log of readings was full,
// 1,800 of them each time, and the other waited. It is to give way long before.
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "check.h"

enum { kRounds = 200, kMost = 500 };

static atomic_int wanted, made;

static void* makes(void* unused) {
  for (int i = 1; i <= kRounds; ++i) {
    while (wanted < i) usleep(50);
    made = i;
  }
  return unused;
}

int main(void) {
  pthread_t maker;
  long readings = 0;
  CHECK_ZERO(pthread_create(&maker, NULL, makes, NULL));
  for (int i = 1; i <= kRounds; ++i) {
    wanted = i;
    usleep(100);  // the maker has been woken, or is about to be
    while (made < i) {
      struct timespec now;
      CHECK_ZERO(clock_gettime(CLOCK_MONOTONIC, &now));
      ++readings;
    }
  }
  pthread_join(maker, NULL);
  printf("%s readings\n", readings < (long)kRounds * kMost ? "few" : "many");
  return done();
}
