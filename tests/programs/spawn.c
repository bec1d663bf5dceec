// vfork, posix_spawn with file actions and attributes, popen.
#include <fcntl.h>
#include <spawn.h>

#include "check.h"

extern char** environ;

static void with_vfork(void) {
  volatile int shared = 1;
  pid_t pid = vfork();
  CHECK(pid >= 0);
  if (pid == 0) {
    shared = 2;  // the child runs in the parent's memory
    execl("/bin/sh", "sh", "-c", "exit 7", (char*)NULL);
    _exit(99);
  }
  CHECK(shared == 2);
  printf("vfork %d exit %d\n", pid, wait_exit(pid));

  pid = vfork();
  CHECK(pid >= 0);
  if (pid == 0) {
    execl("/nonexistent/program", "program", (char*)NULL);
    _exit(errno == ENOENT ? 42 : 1);
  }
  printf("vfork of nothing: exit %d\n", wait_exit(pid));
}

static void with_posix_spawn(void) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  CHECK_ZERO(posix_spawn_file_actions_init(&actions));
  CHECK_ZERO(posix_spawnattr_init(&attributes));
  CHECK_ZERO(posix_spawn_file_actions_addopen(&actions, 1, "spawned.txt",
                                              O_WRONLY | O_CREAT | O_TRUNC, 0644));
  CHECK_ZERO(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP));
  CHECK_ZERO(posix_spawnattr_setpgroup(&attributes, 0));
  char* arguments[] = {"sh", "-c", "echo pid $$; exit 3", NULL};
  pid_t pid;
  CHECK_ZERO(posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ));
  printf("posix_spawn %d exit %d\n", pid, wait_exit(pid));
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);

  FILE* file = fopen("spawned.txt", "r");
  CHECK(file != NULL);
  char line[100];
  CHECK(fgets(line, sizeof line, file) != NULL);
  printf("it wrote: %s", line);
  fclose(file);

  CHECK(posix_spawn(&pid, "/nonexistent", NULL, NULL, arguments, environ) == ENOENT);
}

static void with_popen(void) {
  FILE* pipe = popen("echo from popen $$; cat /proc/sys/kernel/random/uuid", "r");
  CHECK(pipe != NULL);
  char line[100];
  while (fgets(line, sizeof line, pipe) != NULL) fputs(line, stdout);
  CHECK(pclose(pipe) == 0);
  CHECK(system("exit 5") == 5 << 8);
}

int main(void) {
  with_vfork();
  with_posix_spawn();
  with_popen();
  return done();
}
