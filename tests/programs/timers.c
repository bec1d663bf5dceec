// setitimer of three kinds, timer_create with signal and thread, alarm, clock_nanosleep.
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t fired;
static sem_t notified;

static void counts(int signal) {
  (void)signal;
  ++fired;
}

static void notify(union sigval value) {
  printf("timer thread got %d\n", value.sival_int);
  sem_post(&notified);
}

static void interval(int which, int signal, const char* name) {
  struct sigaction action = {.sa_handler = counts};
  CHECK(sigaction(signal, &action, NULL) == 0);
  fired = 0;
  struct itimerval timer = {{0, 2000}, {0, 2000}}, left;
  CHECK(setitimer(which, &timer, NULL) == 0);
  long rounds = 0;
  while (fired < 3) {
    for (volatile int i = 0; i < 100000; ++i) {
    }
    ++rounds;
    getppid();
  }
  CHECK(getitimer(which, &left) == 0);
  struct itimerval off = {{0, 0}, {0, 0}};
  CHECK(setitimer(which, &off, NULL) == 0);
  printf("%s: 3 signals in %ld rounds, %ld us left\n", name, rounds, (long)left.it_value.tv_usec);
}

static void posix_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  event.sigev_value.sival_int = 1234;
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec when = {{0, 1000000}, {0, 1000000}};
  CHECK(timer_settime(timer, 0, &when, NULL) == 0);
  sleep_ms(8);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGRTMIN);
  CHECK(info.si_value.sival_int == 1234 && info.si_code == SI_TIMER);
  printf("timer_create: overrun %d, in siginfo %d\n", timer_getoverrun(timer), info.si_overrun);
  struct itimerspec left;
  CHECK(timer_gettime(timer, &left) == 0);
  printf("next in %ld ns\n", left.it_value.tv_nsec);
  CHECK(timer_delete(timer) == 0);
}

static void posix_thread(void) {
  CHECK(sem_init(&notified, 0, 0) == 0);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD};
  event.sigev_notify_function = notify;
  event.sigev_value.sival_int = 77;
  timer_t timer;
  CHECK(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
  struct itimerspec when = {{0, 0}, {0, 2000000}};
  CHECK(timer_settime(timer, 0, &when, NULL) == 0);
  while (sem_wait(&notified) != 0) CHECK(errno == EINTR);
  CHECK(timer_delete(timer) == 0);
}

int main(void) {
  interval(ITIMER_REAL, SIGALRM, "real");
  interval(ITIMER_VIRTUAL, SIGVTALRM, "virtual");
  interval(ITIMER_PROF, SIGPROF, "prof");
  posix_signal();
  posix_thread();
  struct timespec until;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
  until.tv_nsec += 3000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    ++until.tv_sec;
  }
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
  printf("woke at %lld ns\n", now_ns());
  CHECK(alarm(100) == 0);
  CHECK(alarm(0) > 0);
  return done();
}
