// poll, ppoll, select, pselect over pipes fed by a child.
#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include "check.h"

int main(void) {
  int pipes[3][2];
  for (int i = 0; i < 3; ++i) CHECK(pipe(pipes[i]) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    for (int i = 0; i < 30; ++i) {
      CHECK(write(pipes[i % 3][1], "abcdefg", (size_t)(i % 7 + 1)) > 0);
      if (i % 5 == 0) usleep(300);
    }
    _exit(0);
  }
  for (int i = 0; i < 3; ++i) close(pipes[i][1]);
  for (int round = 0, open = 3; open > 0; ++round) {
    int ready[3] = {0, 0, 0};
    struct timespec second = {1, 0};
    if (round % 4 < 2) {
      struct pollfd fds[3];
      for (int i = 0; i < 3; ++i) fds[i] = (struct pollfd){.fd = pipes[i][0], .events = POLLIN};
      int count = round % 4 == 0 ? poll(fds, 3, 1000) : ppoll(fds, 3, &second, NULL);
      CHECK(count > 0);
      for (int i = 0; i < 3; ++i) ready[i] = fds[i].revents;
    } else {
      fd_set set;
      FD_ZERO(&set);
      int highest = 0;
      for (int i = 0; i < 3; ++i) {
        if (pipes[i][0] < 0) continue;
        FD_SET(pipes[i][0], &set);
        if (pipes[i][0] > highest) highest = pipes[i][0];
      }
      struct timeval timeout = {1, 0};
      sigset_t mask;
      sigemptyset(&mask);
      int count = round % 4 == 2 ? select(highest + 1, &set, NULL, NULL, &timeout)
                                 : pselect(highest + 1, &set, NULL, NULL, &second, &mask);
      CHECK(count > 0);
      if (round % 4 == 2) printf("select left %ld us\n", (long)timeout.tv_usec);
      for (int i = 0; i < 3; ++i) ready[i] = pipes[i][0] >= 0 && FD_ISSET(pipes[i][0], &set);
    }
    for (int i = 0; i < 3; ++i) {
      if (!ready[i]) continue;
      char buffer[16];
      ssize_t got = read(pipes[i][0], buffer, sizeof buffer);
      CHECK(got >= 0);
      printf("round %d: pipe %d gave %zd bytes (%#x)\n", round, i, got, ready[i]);
      if (got == 0) {
        close(pipes[i][0]);
        pipes[i][0] = -1;
        --open;
      }
    }
  }
  CHECK(wait_exit(child) == 0);
  struct timeval tick = {0, 1000};
  CHECK(select(0, NULL, NULL, NULL, &tick) == 0);
  CHECK(poll(NULL, 0, 1) == 0);
  return done();
}
