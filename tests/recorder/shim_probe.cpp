// Uses what the shim hooks, and prints what came of it; shim_test.cpp runs it with and without.
#include <dlfcn.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string_view>

extern char** environ;

namespace {

pthread_mutex_t earlyMutex = PTHREAD_MUTEX_INITIALIZER;
int earlyResult = -1;

// Before every constructor, that of the shim among them.
void early(int, char**, char**) {
  earlyResult = pthread_mutex_lock(&earlyMutex) * 10 + pthread_mutex_unlock(&earlyMutex);
}
__attribute__((section(".preinit_array"), used)) void (*const earlyEntry)(int, char**,
                                                                          char**) = early;

struct Exchange {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  int turn = 0;
  int rounds = 0;
};

void* answer(void* argument) {
  auto* exchange = static_cast<Exchange*>(argument);
  pthread_mutex_lock(&exchange->mutex);
  for (int i = 0; i < exchange->rounds; ++i) {
    while (exchange->turn != 1) pthread_cond_wait(&exchange->changed, &exchange->mutex);
    exchange->turn = 0;
    pthread_cond_signal(&exchange->changed);
  }
  pthread_mutex_unlock(&exchange->mutex);
  return exchange;
}

int threads(int rounds) {
  Exchange exchange;
  exchange.rounds = rounds;
  pthread_t other;
  if (pthread_create(&other, nullptr, answer, &exchange) != 0) return 1;
  pthread_mutex_lock(&exchange.mutex);
  for (int i = 0; i < rounds; ++i) {
    exchange.turn = 1;
    pthread_cond_broadcast(&exchange.changed);
    timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    while (exchange.turn != 0) {
      if (pthread_cond_timedwait(&exchange.changed, &exchange.mutex, &deadline) != 0) return 1;
    }
  }
  pthread_mutex_unlock(&exchange.mutex);
  void* result = nullptr;
  pthread_join(other, &result);
  printf("threads %d\n", result == &exchange);
  return 0;
}

// Eight scheduling points a round.
int points(int rounds) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  timespec past{};
  int sum = 0;
  for (int i = 0; i < rounds; ++i) {
    sum += pthread_mutex_lock(&mutex);
    sum += pthread_mutex_timedlock(&mutex, &past) != 0;
    sum += pthread_mutex_trylock(&mutex) != 0;
    pthread_mutex_unlock(&mutex);
    sum += pthread_rwlock_rdlock(&rwlock);
    sum += pthread_rwlock_trywrlock(&rwlock) != 0;
    pthread_rwlock_unlock(&rwlock);
    sem_post(&semaphore);
    sum += sem_wait(&semaphore);
    sched_yield();
  }
  printf("points %d\n", sum);
  return 0;
}

struct Libraries {
  bool libc = false;
  bool shim = false;
};

int listLibraries() {
  Libraries seen;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto* libraries = static_cast<Libraries*>(data);
        libraries->libc = libraries->libc || strstr(info->dlpi_name, "libc.so") != nullptr;
        libraries->shim = libraries->shim || strstr(info->dlpi_name, "libairr.so") != nullptr;
        return 0;
      },
      &seen);
  printf("libraries %d %d\n", seen.libc, seen.shim);
  return 0;
}

int notes() {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST;
  printf("getaddrinfo %d\n", getaddrinfo("127.0.0.1", "80", &hints, &found));
  if (found != nullptr) freeaddrinfo(found);
  void* plugin = dlopen("libshim_plugin.so", RTLD_NOW);
  auto* symbol = plugin == nullptr ? nullptr : dlsym(plugin, "shimPluginAnswer");
  printf("dlopen %d\n", symbol == nullptr ? -1 : reinterpret_cast<int (*)()>(symbol)());
  printf("dlopen null %d\n", dlopen(nullptr, RTLD_NOW) != nullptr);
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  pid_t pid = -1;
  int status = -1;
  printf("posix_spawnp %d\n", posix_spawnp(&pid, "true", nullptr, nullptr, arguments, environ));
  waitpid(pid, &status, 0);
  printf("status %d\n", status);
  printf("system %d\n", system("exit 3") / 256);
  FILE* pipe = popen("echo from popen", "r");
  char line[64] = "";
  if (pipe == nullptr || fgets(line, sizeof(line), pipe) == nullptr) return 1;
  pclose(pipe);
  printf("popen %s", line);
  std::random_device device;
  const unsigned first = device(), second = device(), third = device();
  printf("random %d\n", first != second || second != third);
  fflush(stdout);
  execlp("echo", "echo", "1", "2", "3", "4", "5", "6", "7", "8", "9", static_cast<char*>(nullptr));
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  printf("early %d\n", earlyResult);
  const std::string_view what = count > 1 ? arguments[1] : "";
  const int rounds = count > 2 ? atoi(arguments[2]) : 0;
  if (what == "points") return points(rounds);
  if (what == "threads") return threads(rounds);
  if (what == "libraries") return listLibraries();
  if (what == "notes") return notes();
  return 2;
}
