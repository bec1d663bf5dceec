// 100,000 clock readings by every way there is, from one thread and from four.
// also: static
#include <pthread.h>
#include <sys/time.h>

#include "check.h"

static unsigned long long readings(int count) {
  unsigned long long digest = 14695981039346656037ull;
  struct timespec last = {0, 0};
  for (int i = 0; i < count; ++i) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
    last = now;
    digest = (digest ^ (unsigned long long)now.tv_nsec) * 1099511628211ull;
  }
  return digest;
}

static void* reads(void* unused) {
  (void)unused;
  return (void*)readings(5000);
}

int main(void) {
  printf("digest %llx\n", readings(100000));
  struct timeval day;
  CHECK(gettimeofday(&day, NULL) == 0);
  printf("gettimeofday %ld.%06ld time %ld\n", (long)day.tv_sec, (long)day.tv_usec,
         (long)time(NULL));
  const clockid_t clocks[] = {CLOCK_REALTIME,         CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                              CLOCK_BOOTTIME,         CLOCK_TAI,           CLOCK_PROCESS_CPUTIME_ID,
                              CLOCK_THREAD_CPUTIME_ID};
  for (size_t i = 0; i < sizeof clocks / sizeof *clocks; ++i) {
    struct timespec now, resolution;
    CHECK(clock_gettime(clocks[i], &now) == 0 && clock_getres(clocks[i], &resolution) == 0);
    printf("clock %d: %ld.%09ld, resolution %ld\n", clocks[i], (long)now.tv_sec, now.tv_nsec,
           resolution.tv_nsec);
  }
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, reads, NULL));
  for (int i = 0; i < 4; ++i) {
    void* digest;
    CHECK_ZERO(pthread_join(threads[i], &digest));
    printf("thread %d: %lx\n", i, (unsigned long)digest);
  }
  // Where a clock reading's error must still be an error.
  CHECK(clock_gettime(12345, &(struct timespec){0}) == -1 && errno == EINVAL);
  return done();
}
