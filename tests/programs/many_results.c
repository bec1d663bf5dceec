// Results of the calls that the mediator makes in a program's place run through all small numbers, 335 and 336 among
// them. These are calls of which seccomp is not asked (uretprobe and uprobe, Linux 6.14 and 6.18): as the number of the
// next call, they ended in SIGILL, and replay of a program with some 300 shared mappings said "Operation not permitted".
#include <sys/mman.h>

#include "check.h"

enum { kFirst = 333, kLast = 338, kMappings = 350 };

static int next_descriptor(void) {
  const int fd = dup(STDIN_FILENO);
  CHECK(fd >= 0);
  return fd;
}

int main(int argc, char** argv) {
  // Each program that is executed finds one more descriptor in use.
  const int inherited = argc > 1 ? atoi(argv[1]) : kFirst;
  int fd = next_descriptor();
  while (fd < inherited) fd = next_descriptor();
  if (fd < kLast) {
    char next[16];
    snprintf(next, sizeof next, "%d", fd + 1);
    execl("/proc/self/exe", argv[0], next, NULL);
    CHECK(!"exec");
  }
  printf("descriptor %d\n", fd);
  for (int i = STDERR_FILENO + 1; i <= fd; ++i) close(i);

  unsigned sum = 0;
  for (unsigned i = 0; i < kMappings; ++i) {
    volatile unsigned* const shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    *shared = i;
    sum += *shared;
  }
  printf("sum %u\n", sum);
  return done();
}
