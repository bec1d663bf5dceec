// std::random_device, the engines seeded from it, and std::chrono.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

int main() {
  std::random_device device;
  std::printf("device %u %u entropy %f\n", device(), device(), device.entropy());
  std::random_device urandom("/dev/urandom");
  std::printf("urandom %u\n", urandom());
  std::mt19937_64 engine(device());
  std::printf("engine %llu\n", static_cast<unsigned long long>(engine()));
  std::vector<std::thread> threads;
  std::vector<unsigned> values(4);
  for (unsigned& value : values) threads.emplace_back([&value] { value = std::random_device{}(); });
  for (std::thread& thread : threads) thread.join();
  for (unsigned value : values) std::printf("thread %u\n", value);
  auto since = std::chrono::system_clock::now().time_since_epoch();
  std::printf("now %lld\n", static_cast<long long>(since.count()));
  std::puts("done");
}
