// Mutex, condition, barrier, rwlock, semaphore, once and thread-local data, heavily mixed; the
// order in which threads came is printed.
// also: static
#include <pthread.h>
#include <semaphore.h>

#include "check.h"

enum { kThreads = 6, kRounds = 120 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t slots;
static int turn, table[16], order[kThreads * kRounds], ordered, firsts[kRounds];
static unsigned long digest = 5381;

static void make_key(void) { CHECK_ZERO(pthread_key_create(&key, free)); }

static void* works(void* argument) {
  int self = (int)(long)argument;
  pthread_once(&once, make_key);
  CHECK_ZERO(pthread_setspecific(key, malloc(16)));
  for (int round = 0; round < kRounds; ++round) {
    while (sem_wait(&slots) != 0) CHECK(errno == EINTR);
    if (round % 3 == self % 3) {
      pthread_rwlock_wrlock(&table_lock);
      table[round % 16] += self + 1;
      pthread_rwlock_unlock(&table_lock);
    } else {
      pthread_rwlock_rdlock(&table_lock);
      volatile int seen = table[round % 16];
      (void)seen;
      pthread_rwlock_unlock(&table_lock);
    }
    sem_post(&slots);
    pthread_mutex_lock(&lock);
    order[ordered++] = self;
    digest = digest * 33 + (unsigned long)self;
    turn = (turn + 1) % kThreads;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (round % 10 == 0) {
      int result = pthread_barrier_wait(&barrier);
      if (result == PTHREAD_BARRIER_SERIAL_THREAD) firsts[round] = self;
    }
    if (round % 40 == 7) {
      struct timespec until;
      clock_gettime(CLOCK_REALTIME, &until);
      until.tv_nsec += 500000;
      if (until.tv_nsec >= 1000000000) until.tv_sec += 1, until.tv_nsec -= 1000000000;
      pthread_mutex_lock(&lock);
      pthread_cond_timedwait(&changed, &lock, &until);
      pthread_mutex_unlock(&lock);
    }
  }
  return (void*)(long)(self * 10);
}

int main(void) {
  CHECK_ZERO(pthread_barrier_init(&barrier, NULL, kThreads));
  CHECK(sem_init(&slots, 0, 3) == 0);
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; ++i) {
    CHECK_ZERO(pthread_create(&threads[i], NULL, works, (void*)i));
  }
  for (long i = 0; i < kThreads; ++i) {
    void* result;
    CHECK_ZERO(pthread_join(threads[i], &result));
    CHECK((long)result == i * 10);
  }
  CHECK(ordered == kThreads * kRounds);
  int sum = 0;
  for (int i = 0; i < 16; ++i) sum += table[i];
  printf("table sum %d\n", sum);
  CHECK(sum == 40 * (1 + 2 + 3 + 4 + 5 + 6));
  for (int i = 0; i < ordered; ++i) putchar('a' + order[i]);
  printf("\nbarrier leaders:");
  for (int i = 0; i < kRounds; i += 10) printf(" %d", firsts[i]);
  printf("\norder digest %lx\n", digest);
  return done();
}
