// What /proc says of the process itself, its threads and the machine, word for word.
#include <fcntl.h>
#include <pthread.h>

#include "check.h"

static void show(const char* path) {
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  printf("== %s\n", path);
  char buffer[512];  // small on purpose: the text comes in several reads
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)got, stdout);
  CHECK(got == 0);
  close(fd);
  putchar('\n');
}

static void* sleeps(void* unused) {
  show("/proc/thread-self/stat");
  return unused;
}

int main(void) {
  show("/proc/self/maps");
  show("/proc/self/stat");
  show("/proc/self/status");
  show("/proc/self/cmdline");
  show("/proc/self/io");
  show("/proc/self/auxv");
  show("/proc/meminfo");
  show("/proc/uptime");
  show("/proc/sys/kernel/random/uuid");
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, sleeps, NULL));
  CHECK_ZERO(pthread_join(thread, NULL));
  char link[512] = {0};
  CHECK(readlink("/proc/self/exe", link, sizeof link - 1) > 0);
  printf("exe %s\n", link);
  char beginning[4] = "----";
  CHECK(readlink("/proc/self/exe", beginning, 3) == 3 && memcmp(beginning, link, 3) == 0 && beginning[3] == '-');
  CHECK(readlink("/proc/self/exe", beginning, 0) == -1 && errno == EINVAL);
  char* volatile nowhere = (char*)8;
  CHECK(readlink("/proc/self/exe", nowhere, 3) == -1 && errno == EFAULT);
  memset(link, 0, sizeof link);
  CHECK(readlink("/proc/self/cwd", link, sizeof link - 1) > 0);
  printf("cwd %s\n", link);
  return done();
}
