// also: static
// What handlers do to the frame that they return through: nothing, over and over and nested; changes of registers, of
// the mask and of what the processor holds besides; leaving it by longjmp, with another frame at its place later.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "check.h"

enum { kRounds = 12 };

static volatile sig_atomic_t handled, depth;
static volatile int what;  // the handler does
static sigjmp_buf out;

enum { kNothing, kNest, kSkip, kResult, kBlock, kJump, kFloat };

static void handler(int signal, siginfo_t* info, void* context) {
  ucontext_t* const c = context;
  (void)info;
  ++handled;
  switch (what) {
    case kNest:
      if (++depth < 4) raise(signal == SIGUSR1 ? SIGUSR2 : SIGUSR1);
      --depth;
      break;
    case kSkip:
      c->uc_mcontext.gregs[REG_RIP] += 2;  // of the instruction that faulted: ud2
      break;
    case kResult:
      c->uc_mcontext.gregs[REG_RAX] = 4711;
      break;
    case kBlock:
      sigaddset(&c->uc_sigmask, SIGUSR2);
      break;
    case kJump:
      siglongjmp(out, 1);
    case kFloat:
      // xmm7 of the interrupted code, in the FXSAVE area.
      memset((char*)c->uc_mcontext.fpregs + 160 + 7 * 16, 0x5a, 16);
      break;
    default:
      break;
  }
}

static void install(int signal, int flags) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
  sigemptyset(&action.sa_mask);
  CHECK_ZERO(sigaction(signal, &action, NULL));
}

static long raise_raw(int signal) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_tkill), "D"((long)gettid()), "S"((long)signal) : "rcx", "r11", "memory");
  return result;
}

static void untouched(void) {
  what = kNothing;
  for (int i = 0; i < kRounds; ++i) CHECK(raise_raw(SIGUSR1) == 0);
  what = kNest;
  for (int i = 0; i < kRounds; ++i) raise(SIGUSR1);
  printf("handled %d\n", (int)handled);
}

static void changed(void) {
  what = kSkip;
  for (int i = 0; i < kRounds; ++i) __asm__ volatile("ud2" ::: "memory");
  what = kResult;
  long sum = 0;
  for (int i = 0; i < kRounds; ++i) sum += raise_raw(SIGUSR1);
  printf("results %ld, handled %d\n", sum, (int)handled);
  what = kBlock;
  sigset_t now;
  CHECK(raise_raw(SIGUSR1) == 0);
  CHECK_ZERO(sigprocmask(SIG_SETMASK, NULL, &now));
  CHECK(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGUSR1) == 0);
  what = kNothing;
  const int before = handled;
  raise(SIGUSR2);
  CHECK(handled == before);  // until it is let in
  sigemptyset(&now);
  CHECK_ZERO(sigprocmask(SIG_SETMASK, &now, NULL));
  CHECK(handled == before + 1);
}

static void left(void) {
  for (volatile int i = 0; i < kRounds; ++i) {
    what = kJump;
    if (sigsetjmp(out, 1) == 0) raise(SIGUSR1);
    what = kNothing;
    CHECK(raise_raw(SIGUSR1) == 0);
  }
  printf("left, handled %d\n", (int)handled);
}

static void extended(void) {
  what = kFloat;
  for (int i = 0; i < kRounds; ++i) {
    uint64_t low = 0, high = 0;
    long result;
    __asm__ volatile(
        "pxor %%xmm7, %%xmm7\n\tsyscall\n\tmovq %%xmm7, %1\n\tpunpckhqdq %%xmm7, %%xmm7\n\tmovq %%xmm7, %2"
        : "=a"(result), "=r"(low), "=r"(high)
        : "a"(SYS_tkill), "D"((long)gettid()), "S"((long)SIGUSR1)
        : "rcx", "r11", "xmm7", "memory");
    CHECK(result == 0 && low == 0x5a5a5a5a5a5a5a5a && high == low);
  }
  puts("extended state changed");
}

// SIGALRM comes anywhere, also while a handler runs.
static void surprised(void) {
  what = kNothing;
  install(SIGALRM, SA_RESTART | SA_NODEFER);
  const struct itimerval often = {{0, 900}, {0, 900}}, never = {{0, 0}, {0, 0}};
  CHECK_ZERO(setitimer(ITIMER_REAL, &often, NULL));
  uint64_t sum = 0;
  for (int i = 0; i < 3000; ++i) {
    sum = sum * 31 + (uint64_t)getppid();
    if (i % 10 == 0) raise(SIGUSR1);
  }
  CHECK_ZERO(setitimer(ITIMER_REAL, &never, NULL));
  printf("surprised: %d, sum %s\n", handled > 0, sum != 0 ? "some" : "none");
}

int main(void) {
  install(SIGUSR1, SA_NODEFER);
  install(SIGUSR2, SA_NODEFER);
  install(SIGILL, 0);
  untouched();
  changed();
  left();
  extended();
  char* const stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(stack != MAP_FAILED);
  const stack_t alternate = {.ss_sp = stack, .ss_size = 1 << 16};
  CHECK_ZERO(sigaltstack(&alternate, NULL));
  install(SIGUSR1, SA_ONSTACK | SA_NODEFER);
  untouched();
  left();
  surprised();
  return done();
}
