// Regression: replay of a process that was killed in a call diverged if it had read the clock before that call, and
// the last call that it had ended was made in the gate: it wanted readings there that came after it.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"

int main(void) {
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork_flushed();
    if (child == 0) {
      char byte;
      struct timespec now;
      const int fd = open("/dev/zero", O_RDONLY);
      for (int call = 0; call < 40; ++call) {
        CHECK(read(fd, &byte, 1) == 1);
        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
      }
      for (int reading = 0; reading < 5; ++reading) clock_gettime(CLOCK_MONOTONIC, &now);
      for (;;) pause();
    }
    const struct timespec some_time = {0, 60 * 1000 * 1000};
    nanosleep(&some_time, NULL);
    CHECK_ZERO(kill(child, SIGKILL));
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  return done();
}
