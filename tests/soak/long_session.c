// Hours of an agent's work in minutes: CHILDREN processes, a few at a time, that list, stat, read and write small files, look
// at the clock and draw randomness, as tools do. Makes CALLS calls in all. Usage: long_session CHILDREN CALLS
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 500, AT_ONCE = 3, A_ROUND = 20 };

static void fail(const char* what) {
  perror(what);
  exit(1);
}

// A_ROUND calls.
static void round_of_calls(int child, long n) {
  char name[64], bytes[512];
  struct stat status;
  struct timespec now;
  snprintf(name, sizeof name, "f%ld", (child * 7 + n) % FILES);
  if (stat(name, &status) != 0) fail(name);
  int fd = open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) fail(name);
  for (int i = 0; i < 8; ++i)
    if (read(fd, bytes, 16) < 0) fail("read");
  for (int i = 0; i < 3; ++i)
    if (pwrite(fd, &n, sizeof n, 128 + 8 * i) != sizeof n) fail("pwrite");
  if (lseek(fd, 0, SEEK_SET) != 0 || close(fd) != 0) fail("close");
  for (int i = 0; i < 2; ++i)
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) fail("clock_gettime");
  if (getrandom(bytes, 16, 0) != 16) fail("getrandom");
  if (access("not there", F_OK) == 0 || errno != ENOENT) fail("access");
}

static void wait_for_one(void) {
  int status;
  if (wait(&status) < 0 || status != 0) fail("a child");
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int children = atoi(argv[1]);
  const long rounds = atol(argv[2]) / children / A_ROUND;
  for (int i = 0; i < FILES; ++i) {
    char name[64];
    snprintf(name, sizeof name, "f%d", i);
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, argv[0], 16) != 16 || ftruncate(fd, 160) != 0 || close(fd) != 0) fail(name);
  }
  int running = 0;
  for (int i = 0; i < children; ++i) {
    if (running == AT_ONCE) wait_for_one(), --running;
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      for (long n = 0; n < rounds; ++n) round_of_calls(i, n);
      _exit(0);
    }
    ++running;
  }
  while (running-- > 0) wait_for_one();
  puts("done");
  return 0;
}
