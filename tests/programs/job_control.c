// A child that stops and continues, seen by waitpid with WUNTRACED and WCONTINUED, and by SIGCHLD.
#include <signal.h>

#include "check.h"

static volatile sig_atomic_t continued;
static void on_continue(int signal) { continued = signal; }

static const char* describe(int status) {
  static char text[40];
  if (WIFSTOPPED(status)) snprintf(text, sizeof text, "stopped by %d", WSTOPSIG(status));
  if (WIFCONTINUED(status)) snprintf(text, sizeof text, "continued");
  if (WIFEXITED(status)) snprintf(text, sizeof text, "exited %d", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) snprintf(text, sizeof text, "killed by %d", WTERMSIG(status));
  return text;
}

int main(void) {
  pid_t child = fork_flushed();
  if (child == 0) {
    CHECK(setpgid(0, 0) == 0);
    struct sigaction action = {.sa_handler = on_continue};
    CHECK(sigaction(SIGCONT, &action, NULL) == 0);
    raise(SIGTSTP);
    CHECK(continued);
    raise(SIGSTOP);
    for (;;) pause();
  }
  int status;
  CHECK(waitpid(child, &status, WUNTRACED) == child);
  printf("%d %s\n", child, describe(status));
  CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
  CHECK(kill(child, SIGCONT) == 0);
  for (int stopped = 0; !stopped;) {
    CHECK(waitpid(child, &status, WUNTRACED | WCONTINUED) == child);
    printf("%d %s\n", child, describe(status));
    stopped = WIFSTOPPED(status);
  }
  CHECK(WSTOPSIG(status) == SIGSTOP);
  siginfo_t info;
  CHECK(kill(child, SIGCONT) == 0);
  CHECK(waitid(P_PID, (id_t)child, &info, WCONTINUED) == 0);
  printf("waitid: code %d status %d\n", info.si_code, info.si_status);
  CHECK(info.si_code == CLD_CONTINUED);
  // A stopped process is killed all the same.
  CHECK(kill(child, SIGSTOP) == 0);
  CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(waitpid(child, &status, 0) == child);
  printf("%d %s\n", child, describe(status));
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return done();
}
