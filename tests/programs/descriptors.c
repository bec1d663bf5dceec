// High descriptors, dup2 and dup3 over them, close_range, the descriptor limit, /proc/self/fd.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"

static int compare(const void* a, const void* b) { return *(const int*)a - *(const int*)b; }

static void list(const char* when) {
  DIR* directory = opendir("/proc/self/fd");
  CHECK(directory != NULL);
  int fds[256], count = 0;
  struct dirent* entry;
  while ((entry = readdir(directory)) != NULL && count < 256) {
    if (entry->d_name[0] != '.') fds[count++] = atoi(entry->d_name);
  }
  closedir(directory);
  qsort(fds, (size_t)count, sizeof *fds, compare);
  printf("%s:", when);
  for (int i = 0; i < count; ++i) printf(" %d", fds[i]);
  putchar('\n');
}

int main(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  printf("limit %lu\n", (unsigned long)limit.rlim_cur);
  int highest = limit.rlim_cur > 1024 ? 1023 : (int)limit.rlim_cur - 1;
  list("at first");
  // Nothing that this program has not opened, whichever way it looks.
  int unknown = 0;
  struct stat status;
  struct statx extended;
  for (int fd = 512; fd < 2048; ++fd) {
    unknown += fstat(fd, &status) == 0 || fcntl(fd, F_GETFD) >= 0 || fcntl(fd, F_GETFL) >= 0;
    unknown += lseek(fd, 0, SEEK_CUR) >= 0 || dup(fd) >= 0 || faccessat(fd, ".", F_OK, 0) == 0;
    unknown += fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 || statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &extended) == 0;
  }
  printf("unknown: %d\n", unknown);
  int file = open("file.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(file >= 0 && write(file, "content", 7) == 7);
  for (int target = highest; target > highest - 30; --target) CHECK(dup2(file, target) == target);
  CHECK(dup3(file, 500, O_CLOEXEC) == 500);
  CHECK(dup2(500, 501) == 501 && dup2(501, 501) == 501);
  CHECK(fcntl(file, F_DUPFD, 600) == 600);
  list("with many");
  char text[8] = {0};
  CHECK(pread(highest, text, 7, 0) == 7 && strcmp(text, "content") == 0);
  CHECK(dup2(12345 < (int)limit.rlim_cur ? 12345 : 77, 5) == -1 && errno == EBADF);
  long result = syscall(SYS_close_range, 400, ~0u, 0);
  if (result < 0) {
    printf("close_range: %s\n", strerror(errno));
    for (int fd = 400; fd <= highest; ++fd) close(fd);
  }
  list("closed from 400");
  CHECK(fstat(highest, &(struct stat){0}) == -1 && errno == EBADF);
  // Everything but the standard ones, as daemons do; then the lowest numbers are used again.
  for (int fd = 3; fd < highest; ++fd) close(fd);
  int again = open("file.txt", O_RDONLY);
  printf("opened as %d\n", again);
  CHECK(again == 3);
  pid_t child = fork_flushed();
  if (child == 0) {
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    execl("/bin/sh", "sh", "-c", "cat /dev/null; exit 12", (char*)NULL);
    _exit(1);
  }
  CHECK(wait_exit(child) == 12);
  return done();
}
