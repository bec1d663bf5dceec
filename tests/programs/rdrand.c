// RDRAND and RDSEED of three widths, in code of the program and in code written at run time.
// flags: -mrdrnd -mrdseed
#include <immintrin.h>
#include <sys/mman.h>

#include "check.h"

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
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  memcpy(page, code, sizeof code);
  CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
  unsigned long long (*generated)(void);
  memcpy(&generated, &page, sizeof page);
  printf("from generated code: %llx\n", generated());
  return done();
}
