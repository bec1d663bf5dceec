// Synchronous signals: SIGSEGV handlers that repair the mapping, guard pages, SIGBUS, SIGFPE,
// SIGILL, SIGTRAP; a fault inside a syscall; death by each.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"

static sigjmp_buf escape;
static volatile int repaired;

static void repairs(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  void* page = (void*)((unsigned long)info->si_addr & ~4095ul);
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0) _exit(1);
  ++repaired;
}

static void escapes(int signal, siginfo_t* info, void* context) {
  (void)context;
  siglongjmp(escape, signal * 100 + info->si_code);
}

static void install(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  CHECK(sigaction(signal, &action, NULL) == 0);
}

static volatile int zero;
static char* beyond;

static void divide(void) { zero = 100 / zero; }
static void undefined(void) { __builtin_trap(); }
static void null(void) { *(volatile int*)(long)zero = 1; }
static void bus(void) { *(volatile char*)beyond = 1; }
static void breakpoint(void) { __asm__ volatile("int3"); }

int main(void) {
  char* pages = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  install(SIGSEGV, repairs);
  for (int i = 0; i < 16; ++i) pages[i * 4096 + i] = (char)i;
  CHECK(repaired == 16 && pages[5 * 4096 + 5] == 5);
  printf("%d pages from %p repaired\n", repaired, (void*)pages);

  // A syscall does not fault: it fails.
  CHECK(mprotect(pages, 4096, PROT_NONE) == 0);
  int null_device = open("/dev/zero", O_RDONLY);
  CHECK(read(null_device, pages, 10) == -1 && errno == EFAULT);

  int file = open("short.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(file >= 0 && ftruncate(file, 4096) == 0);
  beyond = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(beyond != MAP_FAILED);
  beyond += 4096;

  const struct {
    const char* name;
    int signal;
    void (*cause)(void);
  } faults[] = {{"divide", SIGFPE, divide},
                {"undefined", SIGILL, undefined},
                {"null", SIGSEGV, null},
                {"bus", SIGBUS, bus},
                {"breakpoint", SIGTRAP, breakpoint}};
  CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
    install(faults[i].signal, escapes);
    int caught = sigsetjmp(escape, 1);
    if (caught == 0) {
      faults[i].cause();
      CHECK(!"no fault");
    }
    printf("%s: signal %d code %d\n", faults[i].name, caught / 100, caught % 100);
    pid_t child = fork_flushed();
    if (child == 0) {
      signal(faults[i].signal, SIG_DFL);
      faults[i].cause();
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == faults[i].signal);
    printf("%s: killed %d by %d\n", faults[i].name, child, WTERMSIG(status));
  }
  // A blocked synchronous signal kills.
  pid_t child = fork_flushed();
  if (child == 0) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    null();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  return done();
}
