// Syscalls by instruction only, in a program without libc: nothing here can be hooked. Tries the
// int 0x80 and x32 tables as well.
// flags: -static -nostdlib -nostartfiles -ffreestanding -fno-stack-protector -fno-pie -no-pie
// -fcf-protection=none
#include <asm/unistd.h>
#include <signal.h>
#include <ucontext.h>

static long call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static long call_int80(long number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
  return result;
}

static char line[256];
static long length;

static void text(const char* s) {
  while (*s) line[length++] = *s++;
}

static void number(long value) {
  char digits[24];
  int count = 0;
  unsigned long rest = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;
  do {
    digits[count++] = (char)('0' + rest % 10);
  } while ((rest /= 10) != 0);
  if (value < 0) line[length++] = '-';
  while (count > 0) line[length++] = digits[--count];
}

static void end_line(void) {
  line[length++] = '\n';
  call(__NR_write, 1, (long)line, length, 0);
  length = 0;
}

static volatile int refused_by_signal;
static const unsigned long kRestorer = 0x04000000;  // SA_RESTORER of the kernel's interface

static void on_signal(int signal, siginfo_t* info, void* context) {
  (void)info;
  refused_by_signal = signal;
  // A fault leaves the program counter at the instruction; both forms are two bytes long.
  if (signal != SIGSYS) ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

__attribute__((naked)) static void restore(void) {
  __asm__("mov $15, %eax\n\tsyscall");  // rt_sigreturn
}

static void attempt(const char* name, long result) {
  text(name);
  if (refused_by_signal) {
    text(": refused by signal ");
    number(refused_by_signal);
  } else if (result < 0) {
    text(": refused, errno ");
    number(-result);
  } else {
    text(": ran, gave ");
    number(result);
  }
  refused_by_signal = 0;
  end_line();
}

__attribute__((noreturn)) void begin(long* stack) {
  text("arguments ");
  number(stack[0]);
  end_line();
  text("pid ");
  number(call(__NR_getpid, 0, 0, 0, 0));
  text(" break ");
  number(call(__NR_brk, 0, 0, 0, 0));
  struct {
    long seconds, nanoseconds;
  } now = {0, 0};
  call(__NR_clock_gettime, 1, (long)&now, 0, 0);
  text(" time ");
  number(now.seconds);
  text(".");
  number(now.nanoseconds);
  unsigned long random = 0;
  call(__NR_getrandom, (long)&random, sizeof random, 0, 0);
  text(" random ");
  number((long)(random >> 1));
  end_line();

  struct {
    void (*handler)(int, siginfo_t*, void*);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
  } action = {on_signal, SA_SIGINFO | kRestorer, restore, 0};
  const int signals[] = {SIGSYS, SIGSEGV, SIGILL};
  for (int i = 0; i < 3; ++i) call(__NR_rt_sigaction, signals[i], (long)&action, 0, 8);
  attempt("int 0x80 (getpid)", call_int80(20));
  attempt("x32 (getpid)", call(0x40000000 | __NR_getpid, 0, 0, 0, 0));
  attempt("number 9999", call(9999, 0, 0, 0, 0));

  text("done");
  end_line();
  call(__NR_exit_group, 0, 0, 0, 0);
  __builtin_unreachable();
}

__attribute__((naked, noreturn)) void _start(void) {
  __asm__("xor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin");
}
