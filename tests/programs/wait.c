// Zombies, wait4 with usage, waitid with WNOWAIT and WNOHANG, a sub-reaper, PDEATHSIG, SIGCHLD
// ignored.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "check.h"

static void zombies(void) {
  pid_t child = fork_flushed();
  if (child == 0) _exit(6);
  siginfo_t info;
  CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
  CHECK(info.si_pid == child && info.si_status == 6 && info.si_code == CLD_EXITED);
  CHECK(kill(child, 0) == 0);  // a zombie can still be signalled
  struct rusage usage;
  int status;
  CHECK(wait4(child, &status, 0, &usage) == child && WEXITSTATUS(status) == 6);
  printf("zombie %d, %ld us of system time\n", child, (long)usage.ru_stime.tv_usec);
  CHECK(kill(child, 0) == -1 && errno == ESRCH);
  CHECK(wait(NULL) == -1 && errno == ECHILD);
}

static void no_hang(void) {
  pid_t child = fork_flushed();
  if (child == 0) {
    for (;;) pause();
  }
  CHECK(waitpid(child, NULL, WNOHANG) == 0);
  siginfo_t info = {.si_pid = 99};
  CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
  CHECK(kill(child, SIGINT) == 0);
  CHECK(waitid(P_ALL, 0, &info, WEXITED) == 0);
  CHECK(info.si_pid == child && info.si_code == CLD_KILLED && info.si_status == SIGINT);
  printf("%d killed by %d\n", info.si_pid, info.si_status);
}

static void orphans(void) {
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    pid_t parent = getpid();
    pid_t grandchild = fork_flushed();
    if (grandchild != 0) _exit(0);
    while (getppid() == parent) usleep(200);
    pid_t new_parent = getppid();
    CHECK(write(ends[1], &new_parent, sizeof new_parent) == sizeof new_parent);
    _exit(8);
  }
  CHECK(wait_exit(child) == 0);
  pid_t new_parent;
  CHECK(read(ends[0], &new_parent, sizeof new_parent) == sizeof new_parent);
  CHECK(new_parent == getpid());
  int status;
  pid_t orphan = wait(&status);
  CHECK(orphan > 0 && WEXITSTATUS(status) == 8);
  printf("orphan %d came to %d\n", orphan, new_parent);
}

static void parent_death(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t grandchild = fork_flushed();
    if (grandchild == 0) {
      CHECK(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0);
      CHECK(write(ready[1], "x", 1) == 1);
      for (;;) pause();
    }
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(write(ends[1], &grandchild, sizeof grandchild) == sizeof grandchild);
    _exit(0);
  }
  pid_t grandchild;
  CHECK(read(ends[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  CHECK(wait_exit(child) == 0);
  int status;
  CHECK(waitpid(grandchild, &status, 0) == grandchild);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  printf("%d died with its parent\n", grandchild);
}

static void ignored(void) {
  signal(SIGCHLD, SIG_IGN);
  pid_t child = fork_flushed();
  if (child == 0) _exit(0);
  CHECK(wait(NULL) == -1 && errno == ECHILD);
  puts("no zombies when SIGCHLD is ignored");
}

int main(void) {
  zombies();
  no_hang();
  orphans();
  parent_death();
  ignored();
  return done();
}
