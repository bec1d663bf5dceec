// A MAP_SHARED file of two processes: atomics, order-dependent log, writes and truncation by
// descriptor while it is mapped, by data from the program and from other files.
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "check.h"

struct page {
  atomic_int turn;
  atomic_int counter;
  atomic_int logged;
  int log[200];
};

static void add(struct page* page, int who) {
  for (int i = 0; i < 50; ++i) {
    atomic_fetch_add(&page->counter, 1);
    page->log[atomic_fetch_add(&page->logged, 1)] = who * 1000 + i;
    if (i % 10 == 0) usleep(100);
  }
}

// Data that never was in the program's memory before it appears in the mapping.
static void move_into(int fd, const char* mapping) {
  int source = open("source.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  int ends[2];
  CHECK(source >= 0 && pipe(ends) == 0);
  char line[32];
  int size = snprintf(line, sizeof line, "%010d", getpid());
  CHECK(size == 10 && write(source, line, 10) == 10 && write(ends[1], line, 10) == 10);

  loff_t from = 0, to = 6100;
  CHECK(lseek(fd, 6000, SEEK_SET) == 6000);
  CHECK(sendfile(fd, source, &from, 10) == 10);
  struct iovec part = {line, 10};
  CHECK(pwritev2(fd, &part, 1, -1, 0) == 10);
  CHECK(splice(ends[0], NULL, fd, NULL, 5, 0) == 5);
  CHECK(splice(ends[0], NULL, fd, &to, 5, 0) == 5 && to == 6105);
  from = 0;
  CHECK(copy_file_range(source, &from, fd, &to, 10, 0) == 10);
  CHECK(pwritev2(fd, &part, 1, 6200, 0) == 10);
  printf("moved in: %.25s %.15s %.10s\n", mapping + 6000, mapping + 6100, mapping + 6200);
  close(source);
}

int main(void) {
  int fd = open("shared.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
  struct page* page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(page != MAP_FAILED);
  pid_t child = fork_flushed();
  if (child == 0) {
    // Its own mapping, at another place.
    struct page* own = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(own != MAP_FAILED && own != page);
    add(own, 2);
    while (atomic_load(&own->turn) != 1) usleep(50);
    CHECK(pwrite(fd, "by descriptor", 14, 4096) == 14);
    atomic_store(&own->turn, 2);
    _exit(0);
  }
  add(page, 1);
  atomic_store(&page->turn, 1);
  while (atomic_load(&page->turn) != 2) usleep(50);
  printf("in the mapping: %s\n", (char*)page + 4096);
  CHECK(strcmp((char*)page + 4096, "by descriptor") == 0);
  CHECK(wait_exit(child) == 0);
  CHECK(atomic_load(&page->counter) == 100);
  for (int i = 0; i < 100; ++i) printf("%d%c", page->log[i], i % 10 == 9 ? '\n' : ' ');

  strcpy((char*)page + 5000, "by mapping");
  char text[16];
  CHECK(pread(fd, text, 11, 5000) == 11 && strcmp(text, "by mapping") == 0);
  move_into(fd, (char*)page);
  CHECK(msync(page, 8192, MS_SYNC) == 0);
  CHECK(munmap(page, 8192) == 0);
  CHECK(ftruncate(fd, 4096) == 0);
  char* again = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(again != MAP_FAILED);
  printf("mapped again: counter %d\n", ((struct page*)again)->counter);
  return done();
}
