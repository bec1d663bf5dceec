// mmap, mremap, brk, madvise, mprotect, MAP_FIXED_NOREPLACE, huge reservations, malloc from
// threads. also: static
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "check.h"

static void* allocates(void* argument) {
  uintptr_t digest = 0;
  void* blocks[64] = {NULL};
  for (int i = 0; i < 2000; ++i) {
    int slot = i * 7 % 64;
    free(blocks[slot]);
    blocks[slot] = malloc((size_t)(i * 37 % 5000 + 1));
    CHECK(blocks[slot] != NULL);
    digest = digest * 31 + (uintptr_t)blocks[slot];
  }
  for (int i = 0; i < 64; ++i) free(blocks[i]);
  *(uintptr_t*)argument = digest;
  return NULL;
}

int main(void) {
  char* area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  memset(area, 'a', 1 << 20);
  char* moved = mremap(area, 1 << 20, 4 << 20, MREMAP_MAYMOVE);
  CHECK(moved != MAP_FAILED && moved[1000000] == 'a' && moved[2000000] == 0);
  printf("area %p moved to %p\n", (void*)area, (void*)moved);
  CHECK(madvise(moved, 1 << 20, MADV_DONTNEED) == 0 && moved[500] == 0);
  moved[500] = 'b';
  CHECK(mremap(moved, 4 << 20, 8192, 0) == moved && moved[500] == 'b');

  char* fixed =
      mmap(moved, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(fixed == MAP_FAILED && errno == EEXIST);
  fixed = mmap(moved, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK(fixed == moved && fixed[500] == 0);
  CHECK(munmap(moved, 8192) == 0);

  char* huge =
      mmap(NULL, 1ull << 36, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(huge != MAP_FAILED);
  CHECK(mprotect(huge + (1ull << 35), 4096, PROT_READ | PROT_WRITE) == 0);
  huge[1ull << 35] = 1;
  printf("64 GiB reserved at %p\n", (void*)huge);
  CHECK(munmap(huge, 1ull << 36) == 0);

  char* first = sbrk(0);
  CHECK(sbrk(100000) == first);
  memset(first, 1, 100000);
  printf("break %p\n", sbrk(0));
  CHECK(sbrk(-50000) == first + 100000);

  int fd = open("mapped.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0);
  for (int i = 0; i < 3000; ++i) CHECK(write(fd, &i, sizeof i) == sizeof i);
  int* file = mmap(NULL, 12000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(file != MAP_FAILED && file[2999] == 2999);
  file[5] = -1;
  int second_page = 0;
  CHECK(pread(fd, &second_page, 4, 20) == 4 && second_page == 5);
  char* tail = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 8192);
  CHECK(tail != MAP_FAILED && ((int*)tail)[0] == 2048);
  printf("file at %p, its third page at %p\n", (void*)file, (void*)tail);
  unsigned char resident[3];
  CHECK(mincore(file, 12000, resident) == 0);

  pthread_t threads[4];
  uintptr_t digests[4];
  for (int i = 0; i < 4; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, allocates, &digests[i]));
  for (int i = 0; i < 4; ++i) {
    CHECK_ZERO(pthread_join(threads[i], NULL));
    printf("allocations of thread %d: %lx\n", i, (unsigned long)digests[i]);
  }
  malloc_trim(0);
  return done();
}
