// A regression. MADV_FREE is made as MADV_DONTNEED, which comes by notification where MADV_FREE did not: the kernel
// filtered the altered call again, nobody took the notification, and the session hung.
// Another: it was made so on mappings of files too, which the kernel refuses.
#include <sys/mman.h>

#include "check.h"

int main(void) {
  enum { kSize = 1 << 16 };
  char* memory = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  for (int i = 0; i < 20; ++i) {
    memset(memory, 1, kSize);
    CHECK(madvise(memory, kSize, i % 3 == 0 ? MADV_DONTNEED : MADV_FREE) == 0);
    // Freed or not yet: each page is as a whole.
    for (int at = 0; at < kSize; ++at) CHECK(memory[at] == memory[at & ~4095] && (memory[at] | 1) == 1);
  }
  memset(memory, 2, kSize);
  for (int at = 0; at < kSize; ++at) CHECK(memory[at] == 2);
  CHECK(madvise(memory + 1, 4096, MADV_FREE) == -1 && errno == EINVAL);
  // Not of a file, whose changes would be lost.
  FILE* file = tmpfile();
  CHECK(file != NULL && ftruncate(fileno(file), kSize) == 0);
  char* mapped = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
  CHECK(mapped != MAP_FAILED);
  memset(mapped, 3, kSize);
  CHECK(madvise(mapped, kSize, MADV_FREE) == -1 && errno == EINVAL);
  for (int at = 0; at < kSize; ++at) CHECK(mapped[at] == 3);
  return done();
}
