// Process groups and sessions: setpgid, getpgid, setsid, a signal to a whole group.
#include <signal.h>

#include "check.h"

int main(void) {
  printf("pid %d group %d session %d parent %d\n", getpid(), getpgrp(), getsid(0), getppid());
  pid_t children[3];
  for (int i = 0; i < 3; ++i) {
    children[i] = fork_flushed();
    if (children[i] == 0) {
      for (;;) pause();
    }
    CHECK(setpgid(children[i], children[0]) == 0);
    CHECK(getpgid(children[i]) == children[0]);
  }
  CHECK(kill(-children[0], SIGTERM) == 0);
  for (int i = 0; i < 3; ++i) {
    int status;
    pid_t pid = waitpid(-children[0], &status, 0);
    CHECK(pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    printf("%d killed by %d\n", pid, WTERMSIG(status));
  }
  CHECK(waitpid(-children[0], NULL, 0) == -1 && errno == ECHILD);
  pid_t child = fork_flushed();
  if (child == 0) {
    pid_t session = setsid();
    printf("session %d group %d\n", session, getpgrp());
    CHECK(session == getpid() && getpgrp() == getpid());
    CHECK(setsid() == -1 && errno == EPERM);
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  return done();
}
