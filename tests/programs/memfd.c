// memfd, shared by fork and by /proc/self/fd, sealed, and as a private mapping.
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "check.h"

int main(void) {
  int fd = memfd_create("subject", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
    printf("memfd_create: %s\n", strerror(errno));
    return done();
  }
  CHECK(fd >= 0 && ftruncate(fd, 16384) == 0);
  atomic_int* words = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(words != MAP_FAILED);
  pid_t child = fork_flushed();
  if (child == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int other = open(path, O_RDWR);
    CHECK(other >= 0);
    atomic_int* own = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    CHECK(own != MAP_FAILED);
    for (int i = 0; i < 1000; ++i) atomic_fetch_add(&own[0], 3);
    atomic_store(&own[1], getpid());
    _exit(0);
  }
  for (int i = 0; i < 1000; ++i) atomic_fetch_add(&words[0], 4);
  CHECK(wait_exit(child) == 0);
  printf("sum %d, child %d\n", atomic_load(&words[0]), atomic_load(&words[1]));
  CHECK(atomic_load(&words[0]) == 7000 && atomic_load(&words[1]) == child);
  CHECK(munmap(words, 16384) == 0);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
  CHECK(write(fd, "x", 1) == -1 && errno == EPERM);
  int* private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(private != MAP_FAILED && private[0] == 7000);
  private[0] = 1;
  int word;
  CHECK(pread(fd, &word, sizeof word, 0) == sizeof word && word == 7000);
  printf("private copy at %p\n", (void*)private);
  return done();
}
