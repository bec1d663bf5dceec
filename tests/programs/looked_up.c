// also: static
// Lookups of names by the thousand, in all their forms: relative and absolute, in directories that are open, through
// links, of what is not there, with names that are bad, too long, or overwritten by the answer. What comes goes into
// a digest that a replay has to print again.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "digest.h"

static void took(long result) { mix((uint64_t)(result < 0 ? -errno : result)); }

static void mix_status(const struct stat* status) {
  mix((uint64_t)status->st_ino);
  mix((uint64_t)status->st_size);
  mix((uint64_t)status->st_mode);
}

static void look_up(int directory, const char* name) {
  struct stat status;
  struct statx extended;
  char target[PATH_MAX];
  memset(&status, 0, sizeof status);
  memset(&extended, 0, sizeof extended);
  took(fstatat(directory, name, &status, 0));
  mix_status(&status);
  took(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW));
  mix_status(&status);
  took(statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &extended));
  mix(extended.stx_size + extended.stx_mode);
  took(statx(directory, name, AT_EMPTY_PATH, STATX_BASIC_STATS, &extended));
  mix(extended.stx_size + extended.stx_mode);
  took(faccessat(directory, name, R_OK, 0));
  took(faccessat(directory, name, X_OK, AT_EACCESS));
  const ssize_t n = readlinkat(directory, name, target, sizeof target);
  took(n);
  for (ssize_t i = 0; i < n; ++i) mix((uint8_t)target[i]);
}

// The old calls, which libc does not make any more.
static void look_up_here(const char* name) {
  struct stat status;
  memset(&status, 0, sizeof status);
  took(syscall(SYS_stat, name, &status));
  mix_status(&status);
  took(syscall(SYS_lstat, name, &status));
  mix_status(&status);
  took(syscall(SYS_access, name, F_OK));
  char target[PATH_MAX];
  took(syscall(SYS_readlink, name, target, sizeof target));
}

static void all(void) {
  for (int i = 0; i < 100; ++i) {
    look_up(AT_FDCWD, "file");
    look_up(AT_FDCWD, "sub/../link");
    look_up(AT_FDCWD, "dangling");
    look_up(AT_FDCWD, "loop");
    look_up(AT_FDCWD, "file/below");
    look_up(AT_FDCWD, "");
    look_up(AT_FDCWD, "/usr/bin//env");
    look_up(AT_FDCWD, "/proc/self");
    look_up_here("file");
    look_up_here("link");
    look_up_here("/etc/passwd");
    const int directory = open("sub", O_RDONLY | O_DIRECTORY);
    CHECK(directory >= 0);
    look_up(directory, "inner");
    look_up(directory, "");
    look_up(directory, "../file");
    look_up(directory, "/etc");
    const int copy = fcntl(directory, F_DUPFD_CLOEXEC, 100);
    CHECK(copy >= 100 && close(directory) == 0);
    look_up(copy, "inner");
    CHECK(close(copy) == 0);
    look_up(directory, "inner");  // no longer there
    if (i % 10 == 0) {
      CHECK(chdir("sub") == 0);
      look_up(AT_FDCWD, "inner");
      CHECK(chdir("..") == 0);
    }
  }
}

int main(void) {
  char base[] = "/tmp/airr-looked-up-XXXXXX";
  CHECK(mkdtemp(base) != NULL);
  CHECK(chdir(base) == 0);
  CHECK(mkdir("sub", 0700) == 0);
  CHECK(close(open("file", O_CREAT | O_WRONLY, 0600)) == 0);
  CHECK(close(open("sub/inner", O_CREAT | O_WRONLY, 0600)) == 0);
  CHECK(symlink("file", "link") == 0);
  CHECK(symlink("nowhere", "dangling") == 0);
  CHECK(symlink("loop", "loop") == 0);
  all();

  // Bad names and bad places for the answer, at sites that have been used by now.
  char* const hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(hole != MAP_FAILED && munmap(hole + 4096, 4096) == 0);
  char* const cut = hole + 4096 - 4;
  memcpy(cut, "file", 4);  // without an end
  struct stat status;
  for (int i = 0; i < 20; ++i) {
    CHECK(fstatat(AT_FDCWD, cut, &status, 0) == -1 && errno == EFAULT);
    CHECK(fstatat(AT_FDCWD, "file", (struct stat*)(hole + 4096), 0) == -1 && errno == EFAULT);
    CHECK(readlinkat(AT_FDCWD, "link", hole + 4096, 10) == -1 && errno == EFAULT);
    char name[5000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    CHECK(fstatat(AT_FDCWD, name, &status, 0) == -1 && errno == ENAMETOOLONG);
    memset(name, '/', sizeof name);
    name[1000] = 0;
    CHECK(fstatat(AT_FDCWD, name, &status, 0) == 0);
    strcpy(name, "link");
    CHECK(syscall(SYS_readlinkat, AT_FDCWD, name, name, sizeof name) == 4 && memcmp(name, "file", 4) == 0);
    // The answer begins right behind the name.
    char near[16 + sizeof status];
    strcpy(near, "file");
    CHECK(syscall(SYS_newfstatat, AT_FDCWD, near, near + 16, 0) == 0 && strcmp(near, "file") == 0);
  }
  in_child(all);
  all();
  printf("parent %llx\n", (unsigned long long)digest);
  CHECK(unlink("file") == 0 && unlink("sub/inner") == 0 && unlink("link") == 0 && unlink("dangling") == 0);
  CHECK(unlink("loop") == 0 && rmdir("sub") == 0 && chdir("/") == 0 && rmdir(base) == 0);
  return done();
}
