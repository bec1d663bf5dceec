// also: static
// What the gate and the mediator do with descriptors in a program's place, over and over: duplicates, record locks,
// small writes and what can go wrong with them, epoll's set, marks of mappings. All results are printed.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

enum { kRounds = 12 };

static volatile sig_atomic_t broken_pipes, too_large;
static char* volatile nowhere = (char*)8;

static void on_signal(int signal) { signal == SIGPIPE ? ++broken_pipes : ++too_large; }

static int status_of(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return status;
}

static void duplicates(void) {
  int ends[2], total = 0;
  CHECK_ZERO(pipe(ends));
  for (int i = 0; i < kRounds; ++i) {
    char text[16] = "";
    CHECK(dup2(ends[1], 40 + i % 3) == 40 + i % 3);
    CHECK(dup3(ends[0], 50, i % 2 ? O_CLOEXEC : 0) == 50);
    CHECK(write(40 + i % 3, "abcdefgh", 8) == 8 && read(50, text, sizeof text) == 8);
    CHECK(strcmp(text, "abcdefgh") == 0);
    total += fcntl(50, F_GETFD);
    CHECK(dup2(999, 41) == -1 && errno == EBADF && dup3(50, 50, 0) == -1 && errno == EINVAL);
  }
  printf("close on exec %d times\n", total);
  for (int fd = 40; fd <= 50; ++fd) close(fd);
  // The last writer has gone, whoever it was.
  close(ends[1]);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);
  close(ends[0]);
}

static void locks(int file) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  int refused = 0, taken = 0;
  for (int i = 0; i < kRounds; ++i) {
    whole.l_type = i % 2 ? F_UNLCK : F_WRLCK;
    CHECK_ZERO(fcntl(file, F_SETLK, &whole));
    const pid_t child = fork();
    if (child == 0) {
      struct flock part = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1};
      int failed = 0;
      for (int k = 0; k < 4; ++k) failed += fcntl(file, F_SETLK, &part) != 0;
      _exit(failed);
    }
    const int status = status_of(child);
    refused += WEXITSTATUS(status), taken += WEXITSTATUS(status) == 0;
  }
  CHECK(fcntl(file, F_SETLK, (struct flock*)nowhere) == -1 && errno == EFAULT);
  CHECK(fcntl(777, F_SETLK, &whole) == -1 && errno == EBADF);
  printf("locks refused %d, children that had one %d\n", refused, taken);
}

static void writes(int file) {
  int ends[2];
  char block[4096];
  memset(block, 'x', sizeof block);
  CHECK_ZERO(pipe2(ends, O_NONBLOCK));
  int blocks = 0;
  while (write(ends[1], block, sizeof block) == (ssize_t)sizeof block) ++blocks;
  CHECK(errno == EAGAIN);
  // A writer that waits until somebody reads.
  CHECK_ZERO(fcntl(ends[1], F_SETFL, 0));
  const pid_t child = fork();
  if (child == 0) {
    usleep(20000);
    CHECK_ZERO(fcntl(ends[0], F_SETFL, 0));
    for (int i = 0; i < blocks; ++i) CHECK(read(ends[0], block, sizeof block) > 0);
    _exit(0);
  }
  CHECK(write(ends[1], block, 100) == 100);
  printf("a pipe has %d blocks, child %d\n", blocks, status_of(child));
  close(ends[0]);
  for (int i = 0; i < kRounds; ++i) CHECK(write(ends[1], block, 10) == -1 && errno == EPIPE);
  close(ends[1]);
  printf("broken pipes %d\n", broken_pipes);

  CHECK(write(file, nowhere, 10) == -1 && errno == EFAULT && write(file, block, 0) == 0);
  const int reading = open("/proc/self/exe", O_RDONLY);
  CHECK(write(reading, block, 10) == -1 && errno == EBADF);
  close(reading);
  for (int i = 0; i < kRounds; ++i) CHECK(write(file, block, (size_t)i + 1) == i + 1);
  const int appending = open("written", O_WRONLY | O_APPEND);
  CHECK(appending >= 0 && write(appending, "end", 3) == 3);
  printf("at %ld of %ld\n", (long)lseek(file, 0, SEEK_CUR), (long)lseek(appending, 0, SEEK_END));
  close(appending);

  // What was written can be run: nobody has it open for writing any more.
  const int script = open("script", O_WRONLY | O_CREAT | O_TRUNC, 0700);
  CHECK(write(script, "#!/bin/sh\nexit 7\n", 17) == 17);
  close(script);
  const pid_t runs = fork();
  if (runs == 0) {
    execl("./script", "script", (char*)NULL);
    _exit(errno);
  }
  printf("script %d\n", WEXITSTATUS(status_of(runs)));

  const pid_t limited = fork();
  if (limited == 0) {
    const struct rlimit least = {64, 64};
    CHECK_ZERO(setrlimit(RLIMIT_FSIZE, &least));
    CHECK(lseek(file, 60, SEEK_SET) == 60 && write(file, block, 10) == 4);
    for (int i = 0; i < kRounds; ++i) CHECK(write(file, block, 10) == -1 && errno == EFBIG);
    _exit(too_large);
  }
  printf("past the limit %d times\n", WEXITSTATUS(status_of(limited)));
}

static void sets(void) {
  const int set = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, 0);
  int failed = 0;
  for (int i = 0; i < kRounds; ++i) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (unsigned)i}, came = {0};
    CHECK_ZERO(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted));
    failed += epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == -1 && errno == EEXIST;
    CHECK(epoll_wait(set, &came, 1, 0) == 1 && came.data.u32 == (unsigned)i);
    wanted.events = 0;
    CHECK_ZERO(epoll_ctl(set, EPOLL_CTL_MOD, event, &wanted));
    CHECK(epoll_wait(set, &came, 1, 0) == 0);
    CHECK_ZERO(epoll_ctl(set, EPOLL_CTL_DEL, event, i % 2 ? NULL : (struct epoll_event*)nowhere));
    failed += epoll_ctl(set, EPOLL_CTL_ADD, event, (struct epoll_event*)nowhere) == -1 && errno == EFAULT;
  }
  printf("epoll_ctl failed %d times\n", failed);
  close(set);
  close(event);
}

static void marks(void) {
  int died = 0, missing = 0;
  for (int i = 0; i < kRounds; ++i) {
    char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 'a';
    CHECK_ZERO(madvise(page, 4096, MADV_DONTFORK));
    if (i % 3 == 0) CHECK_ZERO(madvise(page, 4096, MADV_DOFORK));
    madvise(page, 4096, MADV_NOHUGEPAGE);  // a kernel may be without
    const pid_t child = fork();
    if (child == 0) {
      if (i % 2) _exit(madvise(page, 4096, MADV_DONTNEED) == -1 && errno == ENOMEM ? 9 : 0);
      _exit(*(volatile char*)page != 'a');
    }
    const int status = status_of(child);
    missing += WIFEXITED(status) && WEXITSTATUS(status) == 9;
    died += WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
    CHECK_ZERO(munmap(page, 4096));
  }
  printf("without the page %d children died, %d could not give it back\n", died, missing);
}

int main(void) {
  signal(SIGPIPE, on_signal);
  signal(SIGXFSZ, on_signal);
  const int file = open("written", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(file >= 0);
  duplicates();
  locks(file);
  sets();
  marks();
  writes(file);
  printf("parent %d, group %d\n", getppid() > 0, getpgrp() > 0);
  return done();
}
