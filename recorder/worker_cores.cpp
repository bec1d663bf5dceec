#include "recorder/worker_cores.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <bit>

namespace airr {

std::vector<uint64_t> coresBesideOwn(std::span<const uint64_t> mask) {
  std::vector<uint64_t> others(mask.begin(), mask.end());
  std::vector<uint64_t> own(1024);
  const long bytes = ::syscall(SYS_sched_getaffinity, 0, own.size() * sizeof(uint64_t), own.data());
  if (bytes <= 0) return others;
  int cores = 0;
  for (uint64_t word : own) cores += std::popcount(word);
  if (cores != 1) return others;
  bool any = false;
  for (size_t i = 0; i < others.size() && i < own.size(); ++i) {
    others[i] &= ~own[i];
    any = any || others[i] != 0;
  }
  return any ? others : std::vector<uint64_t>(mask.begin(), mask.end());
}

void runOn(std::span<const uint64_t> mask) {
  if (!mask.empty()) ::syscall(SYS_sched_setaffinity, 0, mask.size() * sizeof(uint64_t), mask.data());
}

}  // namespace airr
