// also: static
// Reads of pipes by the hundred, which wait: for a child, for signals with and without SA_RESTART, for a thread and
// for a process that share memory, and for one that comes to share it meanwhile. And what does not wait: O_NONBLOCK,
// the end, a descriptor that has become another's.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static int from, to;

static void make_pipe(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  from = ends[0], to = ends[1];
}

static void close_pipe(void) { CHECK(close(from) == 0 && close(to) == 0); }

static int read_number(void) {
  int number = -1;
  const ssize_t n = read(from, &number, sizeof number);
  return n == sizeof number ? number : n == 0 ? 0 : -errno;
}

static void write_number(int number) { CHECK(write(to, &number, sizeof number) == sizeof number); }

// So many that the site of read() is led into the gate.
static void warm_up(void) {
  for (int i = 1; i <= 20; ++i) {
    write_number(i);
    CHECK(read_number() == i);
  }
}

static volatile sig_atomic_t ticks;
static void on_tick(int signal) {
  (void)signal;
  ++ticks;
}

static void tick(int flags, long microseconds) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = flags};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void from_a_child(void) {
  for (int i = 1; i <= 30; ++i) {
    const pid_t child = fork_flushed();
    if (child == 0) {
      sleep_ms(i % 3);
      write_number(i);
      _exit(0);
    }
    CHECK(read_number() == i);
    CHECK(wait_exit(child) == 0);
  }
}

static void with_signals(void) {
  ticks = 0;
  tick(0, 3000);
  for (int i = 0; i < 20; ++i) CHECK(read_number() == -EINTR);
  CHECK(ticks >= 20);
  const struct itimerval none = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
  ticks = 0;
  const pid_t child = fork_flushed();
  if (child == 0) {
    for (int i = 1; i <= 5; ++i) {
      sleep_ms(10);
      write_number(i);
    }
    _exit(0);
  }
  tick(SA_RESTART, 3000);
  for (int i = 1; i <= 5; ++i) CHECK(read_number() == i);
  CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
  CHECK(ticks > 0);
  printf("%d ticks\n", (int)ticks);
  while (waitpid(child, NULL, 0) != child) CHECK(errno == EINTR);
}

static void* write_later(void* argument) {
  for (int i = 1; i <= 20; ++i) {
    sleep_ms(1);
    write_number(i);
  }
  return argument;
}

static void from_a_thread(void) {
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, write_later, NULL));
  for (int i = 1; i <= 20; ++i) CHECK(read_number() == i);
  CHECK_ZERO(pthread_join(thread, NULL));
}

static void with_shared_memory(void) {
  char name[] = "/tmp/airr-gated-pipes-XXXXXX";
  const int file = mkstemp(name);
  CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, 4096) == 0);
  const int read_from = from, write_to = to;
  make_pipe();  // by which the child says that it has the memory
  const pid_t child = fork_flushed();
  if (child == 0) {
    volatile int* const word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(word != MAP_FAILED);
    write_number(1);
    from = read_from;
    for (int i = 1; i <= 10; ++i) {
      CHECK(read_number() == i);
      CHECK(word[i] == 100 + i);
      word[100 + i] = i;
    }
    _exit(0);
  }
  CHECK(read_number() == 1);
  close_pipe();
  from = read_from, to = write_to;
  sleep_ms(20);  // now it waits
  volatile int* const word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(word != MAP_FAILED);
  for (int i = 1; i <= 10; ++i) {
    word[i] = 100 + i;
    write_number(i);
  }
  CHECK(wait_exit(child) == 0);
  for (int i = 1; i <= 10; ++i) CHECK(word[100 + i] == i);
  CHECK(munmap((void*)word, 4096) == 0 && close(file) == 0);
}

static void what_does_not_wait(void) {
  CHECK(fcntl(from, F_SETFL, O_NONBLOCK) == 0);
  for (int i = 0; i < 20; ++i) CHECK(read_number() == -EAGAIN);
  CHECK(fcntl(from, F_SETFL, 0) == 0);
  char big[40000];
  memset(big, 'x', sizeof big);
  CHECK(write(to, big, sizeof big) == sizeof big);
  for (size_t left = sizeof big; left > 0;) {
    char part[30000];
    const ssize_t n = read(from, part, sizeof part);
    CHECK(n > 0 && part[0] == 'x' && part[n - 1] == 'x');
    left -= (size_t)n;
  }
  const int zero = open("/dev/zero", O_RDONLY);
  CHECK(dup2(zero, from) == from && read_number() == 0 && close(zero) == 0);
  close_pipe();
  make_pipe();
  CHECK(close(to) == 0);
  for (int i = 0; i < 20; ++i) CHECK(read(from, big, 1) == 0);
  CHECK(close(from) == 0 && read(from, big, 1) == -1 && errno == EBADF);
}

int main(void) {
  make_pipe();
  warm_up();
  from_a_child();
  with_signals();
  with_shared_memory();
  from_a_child();
  from_a_thread();
  what_does_not_wait();
  printf("%d at %lld\n", (int)getpid(), now_ns());
  return done();
}
