// inotify: events of a directory that a child changes.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "check.h"

int main(void) {
  CHECK(mkdir("watched", 0755) == 0);
  int fd = inotify_init1(IN_CLOEXEC);
  CHECK(fd >= 0);
  int watch = inotify_add_watch(fd, "watched", IN_CREATE | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE);
  CHECK(watch >= 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    int file = open("watched/a", O_WRONLY | O_CREAT, 0644);
    CHECK(file >= 0 && write(file, "x", 1) == 1);
    close(file);
    CHECK(rename("watched/a", "watched/b") == 0);
    CHECK(unlink("watched/b") == 0);
    _exit(0);
  }
  for (int deleted = 0; !deleted;) {
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t got = read(fd, buffer, sizeof buffer);
    CHECK(got > 0);
    for (char* at = buffer; at < buffer + got;) {
      struct inotify_event* event = (struct inotify_event*)at;
      printf("watch %d mask %#x cookie %u name %s\n", event->wd, event->mask, event->cookie,
             event->len != 0 ? event->name : "");
      if (event->mask & IN_DELETE) deleted = 1;
      at += sizeof *event + event->len;
    }
  }
  CHECK(wait_exit(child) == 0);
  CHECK(inotify_rm_watch(fd, watch) == 0);
  CHECK(rmdir("watched") == 0);
  return done();
}
