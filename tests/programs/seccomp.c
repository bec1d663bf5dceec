// A program that sandboxes itself: no_new_privs, a seccomp filter of its own, prctl names and
// dumpable.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "check.h"

int main(void) {
  char name[16] = {0};
  CHECK(prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_GET_NAME, name) == 0);
  printf("name %s, dumpable %d\n", name, prctl(PR_GET_DUMPABLE));
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  // Makes getppid fail with EXDEV (an errno that it never has).
  struct sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof instructions / sizeof *instructions, instructions};
  long result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  if (result != 0) {
    printf("filter: %s\n", strerror(errno));
  } else {
    result = syscall(SYS_getppid);
    printf("filter: installed, getppid gives %s\n",
           result == -1 && errno == EXDEV ? "EXDEV" : "a pid");
  }
  return done();
}
