// also: static
// A vfork child has its parent's memory, and with it the gate's log, but descriptors of its own. Calls of both that
// the gate could make, with numbers that mean different files to them; a child that forks in turn; and children
// that are killed in the middle of such calls.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int file;
static int ends[2];

static void look(int times) {
  for (int i = 0; i < times; ++i) {
    struct stat status;
    struct sigaction action;
    CHECK(lstat("/proc/self/exe", &status) == 0 && S_ISLNK(status.st_mode));
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(fstat(file, &status) == 0);
    CHECK(lseek(0, 0, SEEK_CUR) >= 0 || errno == ESPIPE);
  }
}

static void read_file(int times) {
  char bytes[4];
  for (int i = 0; i < times; ++i) CHECK(pread(file, bytes, 4, 0) == 4 && memcmp(bytes, "\177ELF", 4) == 0);
}

// The number of the parent's file becomes the pipe's, in the child alone.
static void __attribute__((noinline)) in_child(int forks) {
  look(20);
  CHECK(close(file) == 0);
  CHECK(dup2(ends[0], file) == file);
  char byte = 0;
  for (int i = 0; i < 10; ++i) {
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(read(file, &byte, 1) == 1 && byte == 'x');
  }
  if (forks) {
    const pid_t grandchild = fork();
    CHECK(grandchild >= 0);
    if (grandchild == 0) {
      for (int i = 0; i < 20; ++i) {
        CHECK(write(ends[1], "y", 1) == 1);
        CHECK(read(file, &byte, 1) == 1 && byte == 'y');
        const int copy = fcntl(file, F_DUPFD, 0);
        CHECK(copy >= 0 && close(copy) == 0);
      }
      _exit(0);
    }
    int result;
    CHECK(waitpid(grandchild, &result, 0) == grandchild && result == 0);
  }
  look(20);
  _exit(7);
}

static void child_ends_itself(int forks) {
  const pid_t child = vfork();
  if (child == 0) in_child(forks);
  CHECK(wait_exit(child) == 7);
  printf("child %d\n", child);
  read_file(50);
  look(20);
}

static void __attribute__((noinline)) tell_and_run(int to) {
  const pid_t self = getpid();
  if (write(to, &self, sizeof self) != sizeof self) _exit(1);
  for (;;) look(1);
}

// By a process that was told its number.
static void child_is_killed(long after_ms) {
  int told[2];
  CHECK(pipe(told) == 0);
  const pid_t killer = fork_flushed();
  if (killer == 0) {
    pid_t victim = 0;
    CHECK(read(told[0], &victim, sizeof victim) == sizeof victim);
    sleep_ms(after_ms);
    CHECK(kill(victim, SIGKILL) == 0);
    _exit(0);
  }
  const pid_t child = vfork();
  if (child == 0) tell_and_run(told[1]);
  int result = 0;
  CHECK(waitpid(child, &result, 0) == child && WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
  CHECK(wait_exit(killer) == 0);
  CHECK(close(told[0]) == 0 && close(told[1]) == 0);
  read_file(50);
  look(20);
}

int main(void) {
  file = open("/proc/self/exe", O_RDONLY);
  CHECK(file >= 0 && pipe(ends) == 0);
  look(20);
  read_file(50);
  for (int i = 0; i < 5; ++i) child_ends_itself(i % 2);
  for (int i = 0; i < 5; ++i) child_is_killed(3 + 2 * i);
  return done();
}
