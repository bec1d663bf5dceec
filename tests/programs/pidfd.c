// pidfd_open, pidfd_send_signal, poll and waitid on a pidfd.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "check.h"

static const idtype_t kPidFd = (idtype_t)3;  // P_PIDFD

int main(void) {
  pid_t child = fork_flushed();
  if (child == 0) {
    for (;;) pause();
  }
  int fd = (int)syscall(SYS_pidfd_open, child, 0);
  if (fd < 0) {
    printf("pidfd_open: %s\n", strerror(errno));
    CHECK(errno == ENOSYS);
    CHECK(kill(child, SIGKILL) == 0 && wait(NULL) == child);
    return done();
  }
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  CHECK(poll(&ready, 1, 0) == 0);
  CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0);
  CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
  CHECK(poll(&ready, 1, -1) == 1 && (ready.revents & POLLIN));
  siginfo_t info;
  CHECK(waitid(kPidFd, (id_t)fd, &info, WEXITED) == 0);
  CHECK(info.si_pid == child && info.si_status == SIGTERM);
  CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == -1 && errno == ESRCH);
  printf("pidfd %d of %d: killed by %d\n", fd, info.si_pid, info.si_status);
  return done();
}
