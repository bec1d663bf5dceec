// What a child has read is not in the memory of its siblings, whichever of it they are given anew: not what it had
// taken in before it exited, and not what it was about to when it was killed.
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "recorder/gate/gate.h"

enum { kSize = 512 };  // in all too little for the memory not to be given to another
static const char kName[] = "sibling_log.tmp";

// Never in the memory of the one who looks for it.
static uint64_t secret_at(uint64_t i) { return (i + 1) * UINT64_C(0x9e3779b97f4a7c15); }

static void write_file(void) {
  uint64_t words[kSize / 8];
  for (size_t i = 0; i < kSize / 8; ++i) words[i] = secret_at(i);
  const int fd = open(kName, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  CHECK(fd >= 0 && write(fd, words, sizeof words) == kSize);
  close(fd);
  explicit_bzero(words, sizeof words);
}

static void read_file(int killed) {
  char bytes[kSize];
  const int fd = open(kName, O_RDONLY);
  CHECK(fd >= 0);
  for (int i = 0; i < 24; ++i) CHECK(pread(fd, bytes, kSize, 0) == kSize);
  if (killed) raise(SIGKILL);
  _exit(0);
}

// How many words of the secret there are.
static void look(int unused) {
  (void)unused;
  int found = 0;
  if (getauxval(AT_SYSINFO_EHDR) == AIRR_GATE_TEXT) {
    const volatile uint64_t* const memory = (const uint64_t*)AIRR_GATE_DATA;
    for (uint64_t at = 0; at < AIRR_GATE_DATA_SIZE / 8; ++at) {
      const uint64_t word = memory[at];
      for (uint64_t i = 0; i < kSize / 8 && word != 0; ++i) found += word == secret_at(i);
    }
  }
  _exit(found > 100 ? 100 : found);
}

static int child(void (*run)(int), int argument) {
  const pid_t pid = fork();
  if (pid == 0) run(argument);
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void) {
  write_file();
  int found = 0;
  for (int i = 0; i < 6; ++i) {
    CHECK(child(read_file, i % 2) == (i % 2 ? -1 : 0));
    found += child(look, 0);
  }
  unlink(kName);
  printf("found: %d\ndone\n", found);
  return 0;
}
