// RDRAND and RDSEED of three widths, in code of the program and in code written at run time, which
// is then changed and moved.
// flags: -mrdrnd -mrdseed
#include <immintrin.h>
#include <sys/mman.h>

#include "check.h"

static void call(const unsigned char* at) {
  unsigned long long (*generated)(void);
  memcpy(&generated, &at, sizeof at);
  printf("from generated code: %llx\n", generated());
}

int main(void) {
  unsigned short word = 0;
  unsigned int half = 0;
  unsigned long long whole = 0;
  for (int i = 0; i < 4; ++i) {
    int carry = _rdrand16_step(&word);
    carry += _rdrand32_step(&half);
    carry += _rdrand64_step(&whole);
    printf("rdrand %hx %x %llx carry %d\n", word, half, whole, carry);
  }
  int carry = _rdseed64_step(&whole);
  printf("rdseed %llx carry %d\n", carry ? whole : 0, carry);

  static const unsigned char code[] = {0x48, 0x0f, 0xc7, 0xf0, 0xc3};  // rdrand %rax; ret
  unsigned char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  memcpy(page, code, sizeof code);
  CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
  call(page);

  static const unsigned char more[] = {0x0f, 0xc7, 0xf8, 0xc3};  // rdseed %eax; ret
  CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
  CHECK(memcmp(page, code, sizeof code) == 0);
  memcpy(page + 64, more, sizeof more);
  memmove(page + 101, page, sizeof code);
  memset(page, 0xcc, sizeof code);
  CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
  call(page + 64);
  call(page + 101);
  unsigned char* moved = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(moved != MAP_FAILED);
  CHECK(mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
  call(moved + 64);
  pid_t child = fork_flushed();
  if (child == 0) {
    CHECK(mprotect(moved, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    call(moved + 101);
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  call(moved + 101);
  return done();
}
