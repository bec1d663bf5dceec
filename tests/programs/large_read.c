// 8 MiB through a pipe, by reads into a multithreaded program's memory while siblings run.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "check.h"

enum { kSize = 8 << 20 };

static atomic_bool stop;
static atomic_ulong busy;

static void* runs(void* unused) {
  while (!atomic_load(&stop)) {
    atomic_fetch_add(&busy, 1);
    usleep(50);
  }
  return unused;
}

int main(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    uint32_t* data = malloc(kSize);
    CHECK(data != NULL);
    uint32_t state = (uint32_t)getpid();
    for (int i = 0; i < kSize / 4; ++i) data[i] = state = state * 1664525 + 1013904223;
    for (size_t sent = 0; sent < kSize;) {
      ssize_t wrote = write(ends[1], (char*)data + sent, kSize - sent);
      CHECK(wrote > 0);
      sent += (size_t)wrote;
    }
    _exit(0);
  }
  close(ends[1]);
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, runs, NULL));
  char* data = malloc(kSize);
  CHECK(data != NULL);
  size_t length = 0;
  int reads = 0;
  ssize_t got;
  while ((got = read(ends[0], data + length, kSize - length)) > 0) {
    length += (size_t)got;
    ++reads;
  }
  CHECK(length == kSize);
  atomic_store(&stop, 1);
  for (int i = 0; i < 2; ++i) CHECK_ZERO(pthread_join(threads[i], NULL));
  uint64_t digest = 14695981039346656037ull;
  for (int i = 0; i < kSize; ++i) digest = (digest ^ (unsigned char)data[i]) * 1099511628211ull;
  printf("%d reads, digest %llx\n", reads, (unsigned long long)digest);
  CHECK(wait_exit(child) == 0);
  return done();
}
