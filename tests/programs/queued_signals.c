// sigqueue with payload, sigsuspend, sigwaitinfo, sigtimedwait, signalfd, tgkill between threads.
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "check.h"

static volatile sig_atomic_t payload, sender;
static pid_t handler_tid;

static void takes(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  payload = info->si_value.sival_int;
  sender = info->si_pid;
}

static void queued(void) {
  struct sigaction action = {.sa_sigaction = takes, .sa_flags = SA_SIGINFO};
  CHECK(sigaction(SIGRTMIN + 1, &action, NULL) == 0);
  sigset_t block, old;
  sigemptyset(&block);
  sigaddset(&block, SIGRTMIN + 1);
  CHECK(sigprocmask(SIG_BLOCK, &block, &old) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    for (int i = 1; i <= 5; ++i)
      CHECK(sigqueue(getppid(), SIGRTMIN + 1, (union sigval){i * 11}) == 0);
    _exit(0);
  }
  sigset_t wait_mask = old;
  sigdelset(&wait_mask, SIGRTMIN + 1);
  for (int i = 1; i <= 5; ++i) {
    CHECK(sigsuspend(&wait_mask) == -1 && errno == EINTR);
    printf("sigsuspend: payload %d from %d\n", (int)payload, (int)sender);
    CHECK(payload == i * 11 && sender == child);
  }
  CHECK(wait_exit(child) == 0);
}

static void waited(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN + 2);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    kill(getppid(), SIGUSR1);
    sigqueue(getppid(), SIGRTMIN + 2, (union sigval){.sival_ptr = &set});
    _exit(0);
  }
  siginfo_t info;
  for (int i = 0; i < 2; ++i) {
    int signal = sigwaitinfo(&set, &info);
    CHECK(signal > 0 && info.si_pid == child);
    printf("sigwaitinfo: signal %d code %d pid %d value %p\n", signal, info.si_code, info.si_pid,
           signal == SIGUSR1 ? NULL : info.si_value.sival_ptr);
  }
  CHECK(wait_exit(child) == 0);
  struct timespec soon = {0, 2000000};
  CHECK(sigtimedwait(&set, &info, &soon) == -1 && errno == EAGAIN);
}

static void by_descriptor(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGCHLD);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  CHECK(fd >= 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    kill(getppid(), SIGUSR2);
    _exit(9);
  }
  int seen = 0;
  while (seen != 3) {
    struct signalfd_siginfo info;
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    printf("signalfd: signal %u pid %u status %d\n", info.ssi_signo, info.ssi_pid, info.ssi_status);
    seen |= info.ssi_signo == SIGUSR2 ? 1 : 2;
  }
  CHECK(wait_exit(child) == 9);
  close(fd);
}

static void marks(int signal) {
  (void)signal;
  handler_tid = (pid_t)syscall(SYS_gettid);
}

static void* waits(void* tid) {
  __atomic_store_n((pid_t*)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&handler_tid, __ATOMIC_SEQ_CST) == 0) usleep(200);
  return NULL;
}

static void to_thread(void) {
  struct sigaction action = {.sa_handler = marks};
  CHECK(sigaction(SIGPWR, &action, NULL) == 0);
  pid_t tid = 0;
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, waits, &tid));
  while (__atomic_load_n(&tid, __ATOMIC_SEQ_CST) == 0) usleep(200);
  CHECK(syscall(SYS_tgkill, getpid(), tid, SIGPWR) == 0);
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK(handler_tid == tid);
  printf("tgkill: handled by %d\n", handler_tid);
}

int main(void) {
  queued();
  waited();
  by_descriptor();
  to_thread();
  return done();
}
