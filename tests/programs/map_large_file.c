// A file that is too large for a trace is refused when it is mapped, and the program goes on. (It ended
// the session.)
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

int main(void) {
  int fd = open("large", O_RDWR | O_CREAT, 0644);
  CHECK(fd >= 0 && ftruncate(fd, (4ll << 30) + 4096) == 0);
  void* map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  printf("%s\n", map == MAP_FAILED && errno == ENOMEM ? "refused" : map == MAP_FAILED ? "failed" : "mapped");
  CHECK(ftruncate(fd, 4096) == 0);
  map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(map != MAP_FAILED && *(char*)map == 0);
  printf("done\n");
  return 0;
}
