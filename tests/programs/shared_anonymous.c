// MAP_SHARED|MAP_ANONYMOUS across fork: a process-shared mutex and condition, futex in shared
// memory.
#include <pthread.h>
#include <sys/mman.h>

#include "check.h"

struct queue {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int filled, taken;
  int items[64];
};

int main(void) {
  struct queue* queue =
      mmap(NULL, sizeof *queue, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(queue != MAP_FAILED);
  pthread_mutexattr_t mutex;
  pthread_condattr_t condition;
  pthread_mutexattr_init(&mutex);
  pthread_condattr_init(&condition);
  CHECK_ZERO(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED));
  CHECK_ZERO(pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED));
  CHECK_ZERO(pthread_mutex_init(&queue->lock, &mutex));
  CHECK_ZERO(pthread_cond_init(&queue->changed, &condition));
  pid_t children[3];
  for (int c = 0; c < 3; ++c) {
    children[c] = fork_flushed();
    if (children[c] != 0) continue;
    for (int i = 0; i < 20; ++i) {
      pthread_mutex_lock(&queue->lock);
      queue->items[queue->filled++] = getpid();
      pthread_cond_signal(&queue->changed);
      pthread_mutex_unlock(&queue->lock);
      if (i % 5 == 0) usleep(200);
    }
    _exit(0);
  }
  pthread_mutex_lock(&queue->lock);
  while (queue->taken < 60) {
    while (queue->taken == queue->filled) pthread_cond_wait(&queue->changed, &queue->lock);
    int item = queue->items[queue->taken++];
    printf("%d%c", item, queue->taken % 10 == 0 ? '\n' : ' ');
  }
  pthread_mutex_unlock(&queue->lock);
  for (int c = 0; c < 3; ++c) CHECK(wait_exit(children[c]) == 0);
  return done();
}
