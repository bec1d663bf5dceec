// Handlers: on a small alternate stack, nested, with SA_RESTART and without, one-shot, masked.
// also: static
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t count, depth, deepest;
static void* volatile handler_stack;
static sigjmp_buf escape;

static void counts(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info, (void)context;
  int local;
  handler_stack = &local;
  ++count;
}

static void nests(int signal, siginfo_t* info, void* context) {
  (void)info, (void)context;
  if (++depth > deepest) deepest = depth;
  if (signal == SIGUSR1) raise(SIGUSR2);
  if (signal == SIGUSR2) raise(SIGHUP);
  --depth;
}

static void jumps(int signal) { siglongjmp(escape, signal); }

static void install(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
  sigemptyset(&action.sa_mask);
  CHECK(sigaction(signal, &action, NULL) == 0);
}

static void on_small_stack(void) {
  size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 2048;
  char* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  stack_t stack = {.ss_sp = memory, .ss_size = size};
  CHECK(sigaltstack(&stack, NULL) == 0);
  install(SIGUSR1, counts, SA_ONSTACK);
  for (int i = 0; i < 5; ++i) raise(SIGUSR1);
  CHECK(count == 5);
  CHECK((char*)handler_stack >= memory && (char*)handler_stack < memory + size);
  printf("alternate stack %p, handler's local at %p\n", (void*)memory, handler_stack);
  stack.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&stack, NULL) == 0);
}

static void nested(void) {
  install(SIGUSR1, nests, 0);
  install(SIGUSR2, nests, 0);
  install(SIGHUP, nests, 0);
  raise(SIGUSR1);
  printf("nested %d deep\n", (int)deepest);
  CHECK(deepest == 3);
}

// Again and again: one signal could come before the call that it is to interrupt.
static void alarm_every_ms(long ms) {
  struct itimerval timer = {{0, ms * 1000}, {0, ms * 1000}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void interrupted(void) {
  install(SIGALRM, counts, 0);
  int ends[2];
  char byte;
  CHECK(pipe(ends) == 0);

  alarm_every_ms(10);
  CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
  puts("read: EINTR");

  alarm_every_ms(10);
  struct timespec second = {1, 0}, left = {0, 0};
  CHECK(nanosleep(&second, &left) == -1 && errno == EINTR);
  printf("nanosleep: EINTR, %ld ns left\n", left.tv_nsec);

  alarm_every_ms(10);
  CHECK(select(0, NULL, NULL, NULL, NULL) == -1 && errno == EINTR);
  puts("select: EINTR");

  alarm_every_ms(10);
  int word = 0;
  CHECK(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL) == -1 && errno == EINTR);
  puts("futex: EINTR");

  alarm_every_ms(10);
  CHECK(pause() == -1 && errno == EINTR);
  alarm_every_ms(0);
  close(ends[0]);
  close(ends[1]);
}

static void restarted(void) {
  install(SIGALRM, counts, SA_RESTART);
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    sleep_ms(40);
    CHECK(write(ends[1], "x", 1) == 1);
    _exit(0);
  }
  int before = count;
  alarm_every_ms(5);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 1);
  CHECK(count > before);
  alarm_every_ms(0);
  CHECK(wait_exit(child) == 0);

  // A stop and a continue restart nanosleep by restart_syscall.
  child = fork_flushed();
  if (child == 0) {
    struct timespec rest = {0, 60000000};
    CHECK(nanosleep(&rest, NULL) == 0);
    _exit(0);
  }
  sleep_ms(10);
  CHECK(kill(child, SIGSTOP) == 0);
  int status;
  CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
  CHECK(kill(child, SIGCONT) == 0);
  CHECK(wait_exit(child) == 0);
  puts("read and nanosleep restarted");
  close(ends[0]);
  close(ends[1]);
}

static void escaped(void) {
  struct sigaction action = {.sa_handler = jumps};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  for (int i = 0; i < 3; ++i) {
    if (sigsetjmp(escape, 1) == 0) {
      alarm_every_ms(3);
      for (;;) getppid();
    }
    alarm_every_ms(0);
  }
  puts("left three handlers by siglongjmp");
}

static void masked(void) {
  sigset_t block, pending;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  install(SIGUSR1, counts, SA_RESETHAND);
  CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
  int before = count;
  raise(SIGUSR1);
  raise(SIGUSR1);
  CHECK(count == before);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
  CHECK(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0);
  CHECK(count == before + 1);
  struct sigaction now;
  CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  puts("blocked, pending, delivered once, reset");
}

static void floating_point(void) {
  install(SIGALRM, counts, 0);
  alarm_every_ms(2);
  int before = count;
  volatile double sum = 0;
  while (count == before) {
    sum = 0;
    for (int i = 1; i < 1000; ++i) sum += 1.0 / i;
    getppid();
  }
  alarm_every_ms(0);
  printf("sum across a handler: %.12f\n", sum);
}

int main(void) {
  on_small_stack();
  nested();
  interrupted();
  restarted();
  escaped();
  masked();
  floating_point();
  return done();
}
