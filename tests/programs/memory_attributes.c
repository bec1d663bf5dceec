// prctl's attributes of an address space: what a program sets it is told, its children inherit,
// and exec resets or keeps; and a program that may not be dumped goes on as any other.
#include <sys/mman.h>
#include <sys/prctl.h>

#include "check.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

static const char* told(int result) {
  static char text[64];
  snprintf(text, sizeof text, "%d%s%s", result, result < 0 ? " " : "",
           result < 0 ? strerrorname_np(errno) : "");
  return text;
}

// What is inherited by a child that runs `argument` in the program anew.
static void show_after_exec(const char* argument) {
  pid_t child = fork_flushed();
  if (child == 0) {
    printf("child: dumpable %d, ", prctl(PR_GET_DUMPABLE));
    printf("write-execute %s\n", told(prctl(PR_GET_MDWE, 0, 0, 0, 0)));
    fflush(stdout);
    execl("/proc/self/exe", "memory_attributes", argument, NULL);
    _exit(1);
  }
  CHECK(wait_exit(child) == 0);
}

int main(int count, char** arguments) {
  if (count > 1) {
    printf("%s: dumpable %d, ", arguments[1], prctl(PR_GET_DUMPABLE));
    printf("write-execute %s\n", told(prctl(PR_GET_MDWE, 0, 0, 0, 0)));
    fflush(stdout);
    return 0;
  }
  CHECK(prctl(PR_GET_DUMPABLE) == 1);
  CHECK(prctl(PR_SET_DUMPABLE, 2) == -1 && errno == EINVAL);
  CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
  char here[512];
  CHECK(getcwd(here, sizeof here) != NULL);
  printf("not dumpable in %s\n", here);
  show_after_exec("executed");
  CHECK(prctl(PR_SET_DUMPABLE, 1) == 0 && prctl(PR_GET_DUMPABLE) == 1);

  printf("a bit that is none: %s\n", told(prctl(PR_SET_MDWE, 4, 0, 0, 0)));
  printf("an argument that is none: %s\n", told(prctl(PR_SET_MDWE, 1, 1, 0, 0)));
  printf("not to inherit nothing: %s\n", told(prctl(PR_SET_MDWE, 2, 0, 0, 0)));
  printf("deny, without heirs: %s\n", told(prctl(PR_SET_MDWE, 3, 0, 0, 0)));
  show_after_exec("disinherited");
  printf("take it back: %s\n", told(prctl(PR_SET_MDWE, 0, 0, 0, 0)));
  printf("now: %s\n", told(prctl(PR_GET_MDWE, 0, 0, 0, 0)));
  pid_t child = fork_flushed();
  if (child == 0) {
    printf("deny: %s\n", told(prctl(PR_SET_MDWE, 1, 0, 0, 0)));
    show_after_exec("denied");
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  return done();
}
