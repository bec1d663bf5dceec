// epoll, level and edge triggered, one-shot, epoll_pwait and epoll_pwait2, data that is a pointer.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "check.h"

struct source {
  const char* name;
  int fds[2];
};

static void* writes(void* argument) {
  struct source* source = argument;
  for (int i = 0; i < 5; ++i) {
    CHECK(write(source->fds[1], "hello", 5) == 5);
    usleep(500);
  }
  close(source->fds[1]);
  return NULL;
}

static int drain(int fd) {
  char buffer[64];
  int total = 0;
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) total += (int)got;
  return got == 0 ? -total - 1 : total;
}

int main(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  CHECK(epoll >= 0);
  struct source sources[3] = {{.name = "pipe"}, {.name = "socket"}, {.name = "edge"}};
  CHECK(pipe2(sources[0].fds, O_NONBLOCK) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sources[1].fds) == 0);
  CHECK(pipe2(sources[2].fds, O_NONBLOCK) == 0);
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) {
    struct epoll_event event = {.events = EPOLLIN | (i == 2 ? EPOLLET : 0)};
    event.data.ptr = &sources[i];
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, sources[i].fds[0], &event) == 0);
    CHECK_ZERO(pthread_create(&threads[i], NULL, writes, &sources[i]));
  }
  for (int open = 3; open > 0;) {
    struct epoll_event events[8];
    int count = epoll_wait(epoll, events, 8, 1000);
    CHECK(count > 0);
    for (int i = 0; i < count; ++i) {
      struct source* source = events[i].data.ptr;
      int got = drain(source->fds[0]);
      printf("%s (%p): events %#x, %d bytes\n", source->name, (void*)source, events[i].events, got);
      if (got < 0) {
        CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, source->fds[0], NULL) == 0);
        close(source->fds[0]);
        --open;
      }
    }
  }
  for (int i = 0; i < 3; ++i) CHECK_ZERO(pthread_join(threads[i], NULL));

  // An edge is reported once, a level again and again.
  int ends[2];
  CHECK(pipe2(ends, O_NONBLOCK) == 0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1122334455667788}, got;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
  CHECK(write(ends[1], "x", 1) == 1);
  CHECK(epoll_wait(epoll, &got, 1, 0) == 1 && got.data.u64 == event.data.u64);
  CHECK(epoll_wait(epoll, &got, 1, 0) == 0);
  event.events = EPOLLIN | EPOLLONESHOT;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event) == 0);
  sigset_t none;
  sigemptyset(&none);
  CHECK(epoll_pwait(epoll, &got, 1, 100, &none) == 1);
  struct timespec soon = {0, 1000000};
  long result = syscall(SYS_epoll_pwait2, epoll, &got, 1, &soon, NULL, 0);
  printf("epoll_pwait2: %ld%s\n", result, result < 0 ? strerror(errno) : "");
  CHECK(result == 0 || errno == ENOSYS);
  return done();
}
