// A tree of processes four deep, three wide; each sends its pid up a pipe and adds its children's.
// also: static
#include "check.h"

static int grow(int depth) {
  printf("%*s%d child of %d\n", 2 * (4 - depth), "", getpid(), getppid());
  if (depth == 0) return 1;
  int ends[2], total = 1;
  CHECK(pipe(ends) == 0);
  pid_t children[3];
  for (int i = 0; i < 3; ++i) {
    children[i] = fork_flushed();
    if (children[i] == 0) {
      int below = grow(depth - 1);
      CHECK(write(ends[1], &below, sizeof below) == sizeof below);
      fflush(stdout);
      _exit(below % 128);
    }
  }
  close(ends[1]);
  int below;
  while (read(ends[0], &below, sizeof below) == sizeof below) total += below;
  close(ends[0]);
  for (int i = 0; i < 3; ++i) wait_exit(children[i]);
  return total;
}

int main(void) {
  int total = grow(4);
  printf("%d processes\n", total);
  CHECK(total == 1 + 3 + 9 + 27 + 81);
  return done();
}
