// What a program asks for with sched_setaffinity is what it, and its children, are told afterwards; and
// what cannot be is refused as the kernel refuses it. (All of it was answered with success.)
#include <sched.h>

#include "check.h"

int main(void) {
  cpu_set_t all, one, none, told;
  CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
  CPU_ZERO(&none);
  CHECK(sched_setaffinity(0, sizeof none, &none) == -1 && errno == EINVAL);
  CHECK(sched_setaffinity(-1, sizeof all, &all) == -1 && errno == ESRCH);
  CHECK(sched_setaffinity(0, sizeof all, (cpu_set_t*)8) == -1 && errno == EFAULT);
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(sched_getaffinity(0, sizeof told, &told) == 0 && CPU_EQUAL(&told, &one));
  pid_t child = fork();
  if (child == 0) {
    CHECK(sched_getaffinity(0, sizeof told, &told) == 0 && CPU_EQUAL(&told, &one));
    return 0;
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(sched_setaffinity(getpid(), sizeof all, &all) == 0);
  CHECK(sched_getaffinity(getpid(), sizeof told, &told) == 0 && CPU_EQUAL(&told, &all));
  printf("%d of them\ndone\n", CPU_COUNT(&told));
  return 0;
}
