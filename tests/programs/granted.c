// also: static
// Opens of a directory's files again and again, absolute and relative, while what their names lead to changes: files
// that are replaced, removed, or give way to a link or a FIFO; directories that are renamed, exchanged and removed, the
// working directory among them; children that work elsewhere. Each name gives what it leads to at that moment.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "digest.h"

enum { kFiles = 12, kRounds = 6 };

static char base[2048];

static void put(const char* name, const char* text) {
  const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

// `text` NULL: nothing is there.
static void expect_in(int directory, const char* name, const char* text) {
  char got[64] = "";
  const int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  mix((uint64_t)fd);
  if (text == NULL) {
    CHECK(fd == -1 && errno == ENOENT);
    return;
  }
  CHECK(fd >= 0);
  CHECK(read(fd, got, sizeof got - 1) == (ssize_t)strlen(text));
  if (strcmp(got, text) != 0) fprintf(stderr, "%s has '%s' instead of '%s'\n", name, got, text);
  CHECK(strcmp(got, text) == 0);
  CHECK(close(fd) == 0);
}

static void expect(const char* name, const char* text) { expect_in(AT_FDCWD, name, text); }

static void fill(const char* directory) {
  char name[128];
  CHECK(mkdir(directory, 0755) == 0);
  for (int i = 0; i < kFiles; ++i) {
    snprintf(name, sizeof name, "%s/f%d", directory, i);
    put(name, name);
  }
}

// All files of a directory, whose text begins with the name that it had when it was filled.
static void read_all(const char* directory, const char* filled) {
  char name[128], text[128], absolute[4096];
  const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(fd >= 0);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kFiles; ++i) {
      snprintf(name, sizeof name, "%s/f%d", directory, i);
      snprintf(text, sizeof text, "%s/f%d", filled, i);
      snprintf(absolute, sizeof absolute, "%s/%s", base, name);
      expect(name, text);
      expect(absolute, text);
      expect_in(fd, strchr(name, '/') + 1, text);
    }
  }
  CHECK(close(fd) == 0);
}

static void files_change(void) {
  fill("a");
  read_all("a", "a");
  for (int i = 0; i < 3; ++i) {
    put("new", "replaced");
    CHECK(rename("new", "a/f1") == 0);
    expect("a/f1", "replaced");
    CHECK(unlink("a/f2") == 0);
    expect("a/f2", NULL);
    CHECK(symlink("f3", "a/f2") == 0);
    expect("a/f2", "a/f3");
    CHECK(unlink("a/f2") == 0);
    CHECK(link("a/f4", "a/f2") == 0);
    expect("a/f2", "a/f4");
    put("a/f5", "written");
    expect("a/f5", "written");
    // An open of a FIFO waits for its other end.
    CHECK(unlink("a/f6") == 0);
    if (i == 0) {
      CHECK(mkfifo("a/f6", 0644) == 0);
    } else if (i == 1) {
      CHECK(mkfifo("fifo", 0644) == 0 && rename("fifo", "a/f6") == 0);
    } else {
      CHECK(mkfifo("fifo", 0644) == 0 && link("fifo", "a/f6") == 0 && unlink("fifo") == 0);
    }
    const pid_t child = fork_flushed();
    if (child == 0) {
      put("a/f6", "through");
      _exit(0);
    }
    expect("a/f6", "through");
    CHECK(wait_exit(child) == 0);
    CHECK(unlink("a/f6") == 0);
    put("a/f6", "a/f6"), put("a/f1", "a/f1"), put("a/f5", "a/f5");
    CHECK(unlink("a/f2") == 0);
    put("a/f2", "a/f2");
    read_all("a", "a");
  }
}

static void directories_change(void) {
  fill("b"), fill("c");
  read_all("b", "b"), read_all("c", "c");
  for (int i = 0; i < 3; ++i) {
    CHECK(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "c", 2 /* RENAME_EXCHANGE */) == 0);
    read_all("b", i % 2 == 0 ? "c" : "b");
    read_all("c", i % 2 == 0 ? "b" : "c");
  }
  // Who works in a directory stays there, whatever it is called.
  CHECK(chdir("b") == 0);
  expect("f0", "c/f0"), expect("f1", "c/f1"), expect("f2", "c/f2"), expect("f3", "c/f3"), expect("f4", "c/f4");
  const int there = open(".", O_RDONLY | O_DIRECTORY);
  CHECK(there >= 0);
  expect_in(there, "f0", "c/f0");
  CHECK(rename("../b", "../d") == 0 && rename("../c", "../b") == 0);
  expect("f0", "c/f0"), expect("f5", "c/f5"), expect_in(there, "f0", "c/f0");
  CHECK(chdir("..") == 0);
  expect("b/f0", "b/f0"), expect("d/f0", "c/f0"), expect_in(there, "f1", "c/f1");
  CHECK(close(there) == 0);
  read_all("b", "b"), read_all("d", "c");
  // A directory that is gone, and another of its name.
  CHECK(mkdir("e", 0755) == 0 && chdir("e") == 0);
  put("x", "old");
  for (int i = 0; i < 5; ++i) expect("x", "old");
  CHECK(unlink("x") == 0 && rmdir("../e") == 0 && mkdir("../e", 0755) == 0);
  put("../e/x", "new");
  expect("x", NULL);
  CHECK(chdir(base) == 0);
  expect("e/x", "new");
}

static void* elsewhere(void* arg) {
  (void)arg;
  CHECK(unshare(CLONE_FS) == 0 && chdir("b") == 0);
  for (int i = 0; i < 5; ++i) expect("f0", "b/f0"), expect("f1", "b/f1");
  return NULL;
}

static pid_t child_in_same_memory(void) {
  const pid_t child = vfork();
  if (child == 0) {
    if (chdir("b") != 0) _exit(2);
    const int fd = open("f0", O_RDONLY), other = open("f3", O_RDONLY);
    _exit(fd < 0 || other < 0);
  }
  return child;
}

static void others_work_elsewhere(void) {
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork_flushed();
    if (child == 0) {
      CHECK(chdir("d") == 0);
      for (int j = 0; j < 5; ++j) expect("f0", "c/f0"), expect("f1", "c/f1");
      _exit(0);
    }
    expect("a/f0", "a/f0");
    CHECK(wait_exit(child) == 0);
    CHECK(wait_exit(child_in_same_memory()) == 0);
    expect("a/f0", "a/f0"), expect("d/f0", "c/f0"), expect("f0", NULL);
  }
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, elsewhere, NULL));
  for (int i = 0; i < 5; ++i) expect("a/f0", "a/f0"), expect("d/f0", "c/f0");
  CHECK_ZERO(pthread_join(thread, NULL));
  expect("a/f0", "a/f0"), expect("f0", NULL);
}

static void again(void) { read_all("a", "a"), read_all("b", "b"), read_all("d", "c"); }

int main(void) {
  CHECK(getcwd(base, sizeof base - 64) != NULL);
  files_change();
  directories_change();
  others_work_elsewhere();
  in_child(again);
  printf("%llx\n", (unsigned long long)digest);
  return done();
}
