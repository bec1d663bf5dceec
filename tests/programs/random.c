// getrandom, getentropy, /dev/urandom, arc4random where there is one, the stack canary's source.
// also: static
#include <fcntl.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "check.h"

static void print(const char* name, const unsigned char* bytes, size_t length) {
  printf("%s:", name);
  for (size_t i = 0; i < length; ++i) printf(" %02x", bytes[i]);
  putchar('\n');
}

int main(void) {
  unsigned char bytes[300];
  CHECK(getrandom(bytes, 16, 0) == 16);
  print("getrandom", bytes, 16);
  CHECK(getrandom(bytes, sizeof bytes, GRND_NONBLOCK) == sizeof bytes);
  print("getrandom", bytes + 284, 16);
  CHECK(getentropy(bytes, 16) == 0);
  print("getentropy", bytes, 16);
  int fd = open("/dev/urandom", O_RDONLY);
  CHECK(fd >= 0 && read(fd, bytes, 16) == 16);
  print("urandom", bytes, 16);
  const unsigned char* at_random = (const unsigned char*)getauxval(AT_RANDOM);
  CHECK(at_random != NULL);
  print("AT_RANDOM", at_random, 16);
  return done();
}
