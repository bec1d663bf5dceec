// splice and tee: to a file at an offset and at its position, blocking while another thread runs,
// and to standard output, where a program has to be ready to copy instead.
#include <fcntl.h>
#include <pthread.h>

#include "check.h"

static int ends[2];

static void* feeds(void* unused) {
  sleep_ms(20);
  char stamp[32];
  int size = snprintf(stamp, sizeof stamp, "%019lld;", now_ns());
  CHECK(size == 20 && write(ends[1], stamp, 20) == 20);
  return unused;
}

// To standard output, by splice or, where that is refused, by hand.
static void show(int from, size_t size) {
  fflush(stdout);
  if (splice(from, NULL, 1, NULL, size, 0) == (ssize_t)size) return;
  CHECK(errno == EINVAL);
  char text[256];
  CHECK(size <= sizeof text && read(from, text, size) == (ssize_t)size);
  CHECK(write(1, text, size) == (ssize_t)size);
}

int main(void) {
  int copies[2];
  CHECK(pipe(ends) == 0 && pipe(copies) == 0);
  int file = open("spliced.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(file >= 0);
  loff_t at = 5;
  pthread_t feeder;
  CHECK_ZERO(pthread_create(&feeder, NULL, feeds, NULL));
  CHECK(splice(ends[0], NULL, file, &at, 100, SPLICE_F_MOVE) == 20);
  CHECK_ZERO(pthread_join(feeder, NULL));
  CHECK(at == 25 && lseek(file, 0, SEEK_CUR) == 0);

  at = 5;
  CHECK(splice(file, &at, ends[1], NULL, 20, 0) == 20 && at == 25);
  CHECK(tee(ends[0], copies[1], 20, 0) == 20);
  CHECK(splice(copies[0], NULL, file, NULL, 5, 0) == 5);
  CHECK(lseek(file, 0, SEEK_CUR) == 5);
  char text[26] = {0};
  CHECK(pread(file, text, 25, 0) == 25);
  printf("file: %s\n", text);
  show(copies[0], 15);
  show(ends[0], 20);
  puts("");

  CHECK(write(ends[1], "again\n", 6) == 6);
  fflush(stdout);
  ssize_t teed = tee(ends[0], 1, 6, 0);
  CHECK(teed == 6 || (teed == -1 && errno == EINVAL));
  show(ends[0], 6);
  CHECK(splice(ends[0], NULL, file, NULL, 5, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN);
  CHECK(splice(file, NULL, file, NULL, 5, 0) == -1 && errno == EINVAL);
  return done();
}
