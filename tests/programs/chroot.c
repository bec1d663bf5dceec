// A regression. getcwd was answered from the mediator's root when the process had another: chroot was seen through.
#include <sys/stat.h>

#include "check.h"

int main(void) {
  char name[] = "root.XXXXXX", path[4096];
  CHECK(mkdtemp(name) != NULL);
  CHECK(chdir(name) == 0);
  CHECK(mkdir("inner", 0700) == 0);
  const pid_t child = fork_flushed();
  if (child == 0) {
    if (chroot(".") != 0) {
      CHECK(errno == EPERM);
      _exit(0);
    }
    CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, "/") == 0);
    CHECK(chdir("inner") == 0);
    CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, "/inner") == 0);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  CHECK(getcwd(path, sizeof path) != NULL);
  puts(path);
  CHECK(rmdir("inner") == 0 && chdir("..") == 0 && rmdir(name) == 0);
  return done();
}
