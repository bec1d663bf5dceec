// also: static
// Opens of system files by the thousand, in all their forms: absolute and relative, in directories that were opened,
// duplicated and closed, through links, of what is not there, with bad names; by children and across exec. And the
// descriptor by which they may be opened without a stop, which to the program is not there. What comes goes into a
// digest that a replay has to print again.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "digest.h"

enum { kTree = 1024 };

// Whatever way it went: it is the file of that name, at the start, with the flags that were asked for.
static void open_in(int directory, const char* name, int flags) {
  struct stat named, opened;
  const int fd = openat(directory, name, flags);
  if (fstatat(directory, name, &named, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) != 0) {
    CHECK(fd == -1);
    mix((uint64_t)errno);
    return;
  }
  mix((uint64_t)fd);
  if (fd < 0) return mix((uint64_t)errno);
  CHECK(fstat(fd, &opened) == 0 && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev);
  CHECK((fcntl(fd, F_GETFD) == FD_CLOEXEC) == ((flags & O_CLOEXEC) != 0));
  CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (flags & O_NONBLOCK));
  char text[64];
  const ssize_t n = read(fd, text, sizeof text);
  CHECK(S_ISDIR(opened.st_mode) ? n == -1 && errno == EISDIR : n >= 0);
  for (ssize_t i = 0; i < n; ++i) mix((uint8_t)text[i]);
  CHECK(close(fd) == 0);
}

static void list(const char* name) {
  DIR* const directory = opendir(name);
  CHECK(directory != NULL);
  int seen = 0;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL && ++seen < 20;) {
    for (const char* at = entry->d_name; *at != 0; ++at) mix((uint8_t)*at);
    if (entry->d_type == DT_REG) open_in(dirfd(directory), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  }
  CHECK(closedir(directory) == 0);
}

static void all(void) {
  for (int i = 0; i < 40; ++i) {
    open_in(AT_FDCWD, "/usr/bin/env", O_RDONLY | O_CLOEXEC);
    open_in(AT_FDCWD, "/usr/bin", O_RDONLY | O_DIRECTORY);
    open_in(AT_FDCWD, "/usr/bin/env", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    open_in(AT_FDCWD, "/usr/bin/env", O_RDONLY | O_DIRECTORY);
    open_in(AT_FDCWD, "/usr/bin/awk", O_RDONLY);  // a link
    open_in(AT_FDCWD, "/usr/bin/awk", O_RDONLY | O_NOFOLLOW);
    open_in(AT_FDCWD, "/usr/bin/../bin//env", O_RDONLY);
    open_in(AT_FDCWD, "/usr/bin/no such program", O_RDONLY);
    open_in(AT_FDCWD, "/usr/no such directory/env", O_RDONLY);
    open_in(AT_FDCWD, "/usr/bin/env/", O_RDONLY);
    open_in(AT_FDCWD, "/usr", O_RDONLY);
    open_in(AT_FDCWD, "/etc/passwd", O_RDONLY);
    open_in(AT_FDCWD, "/bin/env", O_RDONLY);
    open_in(AT_FDCWD, "", O_RDONLY);
    const int usr = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int bin = openat(usr, "bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int copy = fcntl(bin, F_DUPFD_CLOEXEC, 70 + i), other = dup(usr);
    CHECK(usr >= 0 && bin >= 0 && copy >= 70 && other >= 0);
    open_in(bin, "env", O_RDONLY);
    open_in(copy, "env", O_RDONLY);
    open_in(other, "bin/env", O_RDONLY);
    open_in(usr, "../etc/passwd", O_RDONLY);
    open_in(usr, "/usr/bin/env", O_RDONLY);
    // The same number for another directory; then for none.
    CHECK(dup2(other, bin) == bin);
    open_in(bin, "bin/env", O_RDONLY);
    open_in(bin, "env", O_RDONLY);
    CHECK(close(bin) == 0 && close(copy) == 0 && close(other) == 0 && close(usr) == 0);
    CHECK(openat(bin, "bin/env", O_RDONLY) == -1 && errno == EBADF);
    const int again = open("/etc", O_RDONLY | O_DIRECTORY);
    open_in(again, "passwd", O_RDONLY);
    CHECK(close(again) == 0);
    if (i % 10 == 0) list("/usr/bin"), list("/usr/lib");
  }
}

// The caller's limit of descriptors is below it, as almost everybody's.
static void descriptor_is_not_there(void) {
  for (int i = 0; i < 20; ++i) {
    CHECK(close(kTree) == -1 && errno == EBADF);
    CHECK(dup2(0, kTree) == -1 && errno == EBADF);
    CHECK(syscall(SYS_dup3, 0, kTree, 0) == -1 && errno == EBADF);
    CHECK(fcntl(kTree, F_SETFD, FD_CLOEXEC) == -1 && errno == EBADF);
    CHECK(ioctl(kTree, FIOCLEX) == -1 && errno == EBADF);
  }
  const int low = dup(0);
  CHECK(fcntl(0, F_DUPFD, 900) == 900);
  CHECK(syscall(SYS_close_range, 3, 2, 0) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_close_range, kTree, kTree, 0) == 0);
  CHECK(syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) == 0);
  CHECK(fcntl(900, F_GETFD) == FD_CLOEXEC && fcntl(low, F_GETFD) == FD_CLOEXEC);
  CHECK(syscall(SYS_close_range, 3, ~0u, 2 /* CLOSE_RANGE_UNSHARE */) == 0);
  CHECK(fcntl(900, F_GETFD) == -1 && fcntl(low, F_GETFD) == -1);
}

int main(int argc, char** argv) {
  if (argc > 1) {
    all();
    printf("%s %llx\n", argv[1], (unsigned long long)digest);
    return done();
  }
  const struct rlimit usual = {1024, 4096};
  CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
  all();
  char* const hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(hole != MAP_FAILED && munmap(hole + 4096, 4096) == 0);
  char* const cut = hole + 4096 - 6;
  memcpy(cut, "/usr/b", 6);  // without an end
  signal(SIGSEGV, SIG_IGN);
  for (int i = 0; i < 20; ++i) {
    CHECK(open(cut, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(open((char*)8192, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_open, 0, O_RDONLY) == -1 && errno == EFAULT);
  }
  struct sigaction action;
  CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
  descriptor_is_not_there();
  all();
  in_child(all);
  printf("parent %llx\n", (unsigned long long)digest);
  fflush(stdout);
  execl("/proc/self/exe", argv[0], "again", NULL);
  return 1;
}
