// Changes on disk of every kind, each under a name of its own, by threads and processes at once.
//   effects            three rounds, and the inodes that they gave
//   effects endless    until somebody kills it (tests/e2e/check_kill.py)
//   effects make NAME  what a worker starts now and then: makes the file
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "check.h"

enum { kProcesses = 3, kRounds = 3, kSeldom = 16 };

static int rounds = kRounds;
static const char* self;

struct Names {
  int worker, round;
};

// KIND.WORKER.ROUND, in one of a few buffers that a thread uses in turns.
static const char* name(struct Names n, const char* kind) {
  static _Thread_local char buffers[4][64];
  static _Thread_local int next;
  char* text = buffers[next++ % 4];
  snprintf(text, sizeof buffers[0], "%s.%d.%d", kind, n.worker, n.round);
  return text;
}

static void make(const char* path) {
  int fd = creat(path, 0644);
  CHECK(fd >= 0);
  close(fd);
}

static void contents(struct Names n) {
  make(name(n, "written"));
  int fd = open(name(n, "written"), O_WRONLY);
  CHECK(fd >= 0 && write(fd, "text", 4) == 4);
  close(fd);
  make(name(n, "sized"));
  CHECK(truncate(name(n, "sized"), 1000) == 0);
}

static void attributes(struct Names n) {
  make(name(n, "mode"));
  CHECK(chmod(name(n, "mode"), 0600) == 0);
  make(name(n, "descriptor"));
  int fd = open(name(n, "descriptor"), O_RDONLY);
  CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
  close(fd);
  make(name(n, "times"));
  struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  CHECK(utimensat(AT_FDCWD, name(n, "times"), times, 0) == 0);
  make(name(n, "attribute"));
  CHECK(setxattr(name(n, "attribute"), "user.airr", "value", 5, 0) == 0 || errno == EOPNOTSUPP);
}

static void entries(struct Names n) {
  CHECK(mkdir(name(n, "directory"), 0755) == 0);
  make(name(n, "moving"));
  CHECK(rename(name(n, "moving"), name(n, "renamed")) == 0);
  CHECK(link(name(n, "renamed"), name(n, "link")) == 0);
  CHECK(symlink("nowhere", name(n, "symlink")) == 0);
  CHECK(mkfifo(name(n, "fifo"), 0644) == 0);
  make(name(n, "swapped"));
  CHECK(renameat2(AT_FDCWD, name(n, "swapped"), AT_FDCWD, name(n, "directory"), RENAME_EXCHANGE) == 0);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", name(n, "socket"));
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address) == 0);
  close(listener);
}

static void unnamed(struct Names n) {
  int fd = open(".", O_TMPFILE | O_WRONLY, 0644);
  if (fd < 0) return;  // not on this file system
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  CHECK(linkat(AT_FDCWD, link, AT_FDCWD, name(n, "unnamed"), AT_SYMLINK_FOLLOW) == 0);
  close(fd);
}

static void removals(struct Names n) {
  make(name(n, "removed"));
  CHECK(mkdir(name(n, "removed-directory"), 0755) == 0);
  CHECK(unlink(name(n, "removed")) == 0);
  CHECK(rmdir(name(n, "removed-directory")) == 0);
  // One that was there before the session, if it was.
  CHECK(unlink(name(n, "prepared")) == 0 || errno == ENOENT);
}

static void start(struct Names n) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    execl(self, self, "make", name(n, "started"), (char*)NULL);
    _exit(127);
  }
  CHECK(wait_exit(child) == 0);
}

static void* works(void* worker) {
  struct Names n = {(int)(long)worker, 0};
  for (; rounds == 0 || n.round < rounds; ++n.round) {
    contents(n);
    attributes(n);
    entries(n);
    unnamed(n);
    removals(n);
    if (n.round % kSeldom == 0) start(n);
  }
  return NULL;
}

static unsigned long long inode(const char* path) {
  struct stat status;
  CHECK(lstat(path, &status) == 0);
  return status.st_ino;
}

int main(int count, char** arguments) {
  static char path[PATH_MAX];
  CHECK(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  self = path;
  if (count == 3 && strcmp(arguments[1], "make") == 0) {
    make(arguments[2]);
    return 0;
  }
  if (count == 2 && strcmp(arguments[1], "endless") == 0) rounds = 0;
  pid_t children[kProcesses];
  for (long i = 0; i < kProcesses; ++i) {
    children[i] = fork_flushed();
    if (children[i] == 0) {
      works((void*)i);
      _exit(0);
    }
  }
  pthread_t threads[2];
  for (long i = 0; i < 2; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, works, (void*)(kProcesses + i)));
  for (int i = 0; i < 2; ++i) CHECK_ZERO(pthread_join(threads[i], NULL));
  for (int i = 0; i < kProcesses; ++i) CHECK(wait_exit(children[i]) == 0);
  for (int worker = 0; worker < kProcesses + 2; ++worker) {
    struct Names last = {worker, kRounds - 1};
    printf("worker %d: %llu %llu %llu\n", worker, inode(name(last, "renamed")), inode(name(last, "socket")),
           inode(name(last, "directory")));
  }
  return done();
}
