// What the subject programs share: a check that names what failed, and the closing line.
//
// Each program prints the nondeterministic values it obtained (pids, times, addresses, random
// numbers), so that comparing the output of record and replay byte by byte means something, and
// ends with the line "done". It passes natively too.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: %s is false (errno: %s)\n", __FILE__, __LINE__, #condition, \
              strerror(errno));                                                           \
      _exit(1);                                                                           \
    }                                                                                     \
  } while (0)

// pthread calls return the error instead of setting errno.
#define CHECK_ZERO(call)      \
  do {                        \
    int check_error = (call); \
    errno = check_error;      \
    CHECK(check_error == 0);  \
  } while (0)

static inline int done(void) {
  puts("done");
  return 0;
}

static inline void sleep_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) CHECK(errno == EINTR);
}

static inline long long now_ns(void) {
  struct timespec now;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Forks after flushing, so that no buffered line is printed twice.
static inline pid_t fork_flushed(void) {
  fflush(stdout);
  pid_t pid = fork();
  CHECK(pid >= 0);
  return pid;
}

// Waits for one child and returns its exit status; any other end is an error.
static inline int wait_exit(pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}
