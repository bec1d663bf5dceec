// flags: -pthread
// also: static
// The names of tasks, set and read over and over: of all lengths, at the end of memory, from threads and children;
// and pointers that lead nowhere. All that is read is printed.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

enum { kRounds = 8, kPage = 4096 };

static const char* name_of_this(void) {
  static __thread char name[32];
  memset(name, '?', sizeof name - 1);
  CHECK_ZERO(prctl(PR_GET_NAME, name));
  CHECK(name[16] == '?');  // nothing behind the 16 bytes is touched
  return name;
}

static void lengths(void) {
  char text[400];
  for (int length = 0; length < 20; ++length) {
    memset(text, 'a' + length, sizeof text);
    text[length] = 0;
    CHECK_ZERO(prctl(PR_SET_NAME, text));
    CHECK((int)strlen(name_of_this()) == (length < 15 ? length : 15));
    printf("%s ", name_of_this());
  }
  // Longer than the gate takes.
  for (int length = 250; length < 260; ++length) {
    memset(text, 'A' + length - 250, sizeof text);
    text[length] = 0;
    CHECK_ZERO(prctl(PR_SET_NAME, text));
    printf("%s ", name_of_this());
  }
  puts("");
}

// The kernel reads no further than it needs to.
static void at_the_end_of_memory(void) {
  char* const pages = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  CHECK_ZERO(mprotect(pages + kPage, kPage, PROT_NONE));
  memset(pages, 'e', kPage);
  for (int i = 0; i < kRounds; ++i) {
    pages[kPage - 1] = (char)('e' + i % 2);
    CHECK_ZERO(prctl(PR_SET_NAME, pages + kPage - 15));
    printf("%s ", name_of_this());
    CHECK(prctl(PR_SET_NAME, pages + kPage - 14) == -1 && errno == EFAULT);
    CHECK(prctl(PR_SET_NAME, pages + kPage) == -1 && errno == EFAULT);
    CHECK(prctl(PR_GET_NAME, pages + kPage) == -1 && errno == EFAULT);
    CHECK(prctl(PR_GET_NAME, pages + kPage - 15) == -1 && errno == EFAULT);
  }
  puts("");
  CHECK_ZERO(munmap(pages, 2 * kPage));
}

static void* in_thread(void* number) {
  char text[16];
  for (int i = 0; i < kRounds; ++i) {
    snprintf(text, sizeof text, "thread-%d-%d", (int)(intptr_t)number, i);
    CHECK_ZERO(prctl(PR_SET_NAME, text));
    CHECK(strcmp(name_of_this(), text) == 0);
  }
  return NULL;
}

int main(void) {
  lengths();
  at_the_end_of_memory();
  CHECK_ZERO(prctl(PR_SET_NAME, "parent"));
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) CHECK_ZERO(pthread_create(&threads[i], NULL, in_thread, (void*)(intptr_t)i));
  for (int i = 0; i < 3; ++i) CHECK_ZERO(pthread_join(threads[i], NULL));
  printf("%s still\n", name_of_this());
  const pid_t child = fork_flushed();
  if (child == 0) {
    CHECK(strcmp(name_of_this(), "parent") == 0);
    CHECK_ZERO(prctl(PR_SET_NAME, "child"));
    printf("%s\n", name_of_this());
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  // Other operations stay what they are.
  CHECK(prctl(PR_GET_DUMPABLE) == 1 && prctl(12345) == -1 && errno == EINVAL);
  printf("%s\n", name_of_this());
  return done();
}
