// A library that is loaded by way of the environment and attempts the effect as it is.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

unsigned int la_version(unsigned int version) { return version; }

__attribute__((constructor)) static void attempt(void) {
  const char* marker = getenv("ESCAPE_MARKER");
  int fd = marker == NULL ? -1 : open(marker, O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
}
