// A regression. A process whose call was with the mediator, while it waited for its turn, was killed by another that
// shares memory with it: its exit stop was taken for the place of the call, answered, and never left. The session hung.
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

int main(void) {
  volatile unsigned* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  for (int i = 0; i < 8; ++i) {
    pid_t children[2];
    for (int j = 0; j < 2; ++j) {
      children[j] = fork_flushed();
      if (children[j] == 0)
        for (;;) {
          ++shared[j];
          sched_yield();
        }
    }
    usleep(30000);
    for (int j = 0; j < 2; ++j) CHECK(kill(children[j], SIGKILL) == 0);
    int status;
    for (int j = 0; j < 2; ++j) CHECK(waitpid(children[j], &status, 0) == children[j] && WIFSIGNALED(status));
  }
  return done();
}
