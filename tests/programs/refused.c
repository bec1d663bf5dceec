// Calls that programs must be able to do without: what each attempt gives is printed.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "check.h"

static void attempt(const char* name, long result) {
  int error = errno;
  printf("%s: %s\n", name, result < 0 ? strerrorname_np(error) : "granted");
  if (result > 2) close((int)result);
}

int main(void) {
  _Alignas(32) char area[256] = {0};
  attempt("io_uring_setup", syscall(SYS_io_uring_setup, 4, area));
  attempt("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC | 1));
  memset(area, 0, sizeof area);
  attempt("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, area, 64));
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
  attempt("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
  attempt("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 1L << 40));
  attempt("clone3", syscall(SYS_clone3, area, 1));
  attempt("rseq", syscall(SYS_rseq, area, 32, 0, 0x53053053));
  attempt("a number of no call", syscall(5555));
  attempt("a negative number", syscall(-7));
  pid_t child = fork_flushed();
  if (child == 0) {
    attempt("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
  return done();
}
