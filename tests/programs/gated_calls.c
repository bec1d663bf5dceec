// flags: -pthread
// also: static
// Calls that the gate makes, by the thousand, with signals in between, in threads and in children:
// what they give goes into a digest that a replay has to print again.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t ticks, raised;

static void on_tick(int signal) {
  (void)signal;
  ++ticks;
}
static void on_raised(int signal) {
  (void)signal;
  ++raised;
}

static uint64_t mix(uint64_t digest, uint64_t value) { return (digest ^ value) * 0x100000001b3u; }

static uint64_t work(int rounds) {
  uint64_t digest = 14695981039346656037u;
  sigset_t tick, former;
  sigemptyset(&tick);
  sigaddset(&tick, SIGALRM);
  int fd = -1;
  for (int i = 0; i < rounds; ++i) {
    if (fd < 0) fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char bytes[100];
    struct stat status;
    pthread_sigmask(SIG_BLOCK, &tick, &former);
    const int before = ticks;
    digest = mix(digest, (uint64_t)lseek(fd, (i * 7919) % 4000, SEEK_SET));
    const ssize_t n = read(fd, bytes, sizeof bytes);
    for (ssize_t at = 0; at < n; ++at) digest = mix(digest, (uint8_t)bytes[at]);
    if (pread(fd, bytes, 16, i % 64) == 16) digest = mix(digest, (uint8_t)bytes[0]);
    if (fstat(fd, &status) == 0) digest = mix(digest, (uint64_t)status.st_size);
    digest = mix(digest, (uint64_t)(fcntl(fd, F_GETFD) + isatty(fd)));
    char directory[512];
    if (getcwd(directory, i % 3 == 0 ? 1 : sizeof directory) == NULL) digest = mix(digest, (uint64_t)errno);
    else for (const char* at = directory; *at != 0; ++at) digest = mix(digest, (uint8_t)*at);
    if (ticks != before) puts("a blocked signal came");
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    digest = mix(digest, (uint64_t)ticks);
    if (i % 50 == 49) {
      close(fd);
      fd = -1;
    }
  }
  if (fd >= 0) close(fd);
  return digest;
}

static void* in_thread(void* unused) {
  (void)unused;
  return (void*)work(300);
}

// A signal that is pending when it is let in comes before the call returns.
static int unblocked_late(int rounds) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int late = 0;
  for (int i = 0; i < rounds; ++i) {
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    const int before = raised;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (raised != before + 1) ++late;
  }
  return late;
}

int main(void) {
  signal(SIGALRM, on_tick);
  signal(SIGUSR1, on_raised);
  printf("late: %d\n", unblocked_late(40));
  const struct itimerval often = {{0, 1500}, {0, 1500}};
  setitimer(ITIMER_REAL, &often, NULL);
  printf("alone: %016llx\n", (unsigned long long)work(2000));
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, in_thread, NULL);
  for (int i = 0; i < 2; ++i) {
    void* digest;
    pthread_join(threads[i], &digest);
    printf("thread: %016llx\n", (unsigned long long)digest);
  }
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    printf("child: %016llx\n", (unsigned long long)work(300));
    fflush(stdout);
    _exit(0);
  }
  while (waitpid(child, NULL, 0) < 0) {
  }
  const pid_t sleeper = vfork();
  if (sleeper == 0) {
    close(0);
    _exit(fcntl(1, F_GETFD));
  }
  while (waitpid(sleeper, NULL, 0) < 0) {
  }
  printf("after: %016llx\n", (unsigned long long)work(300));
  puts("done");
  return 0;
}
