#include "mediator/machine.h"

#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cpuid.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <set>
#include <sstream>

#include "schema/error.h"

namespace airr {
namespace {

constexpr size_t kAffinityWords = 128;  // 8192 CPUs, the kernel's NR_CPUS limit on x86-64

struct CpuInfo {
  std::string model;
  std::vector<std::string> features;
};

CpuInfo readCpuInfo() {
  CpuInfo info;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (line.starts_with("model name")) info.model = value;
    if (line.starts_with("flags")) {
      std::istringstream words(value);
      for (std::string word; words >> word;) info.features.push_back(word);
    }
  }
  return info;
}

uint64_t readXcr0() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | static_cast<uint64_t>(high) << 32;
}

}  // namespace

void describeMachine(schema::Machine::Builder machine, bool counterTraps) {
  utsname name{};
  uname(&name);
  machine.setHostName(name.nodename);
  machine.setKernelRelease(name.release);
  CpuInfo info = readCpuInfo();
  machine.setCpuModel(info.model);
  auto features = machine.initCpuFeatures(info.features.size());
  for (size_t i = 0; i < info.features.size(); ++i) features.set(i, info.features[i]);
  machine.setPageSize(static_cast<uint32_t>(sysconf(_SC_PAGESIZE)));
  machine.setXsaveMask(readXcr0());
  machine.setTscTrapped(counterTraps);
  machine.setCpuidTrapped(false);
}

std::vector<std::string> missingFeatures(schema::Machine::Reader recorded) {
  CpuInfo info = readCpuInfo();
  std::set<std::string> present(info.features.begin(), info.features.end());
  std::vector<std::string> missing;
  for (auto feature : recorded.getCpuFeatures())
    if (!present.contains(feature.cStr())) missing.emplace_back(feature.cStr());
  return missing;
}

std::vector<uint8_t> randomBytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  if (getrandom(bytes.data(), count, 0) != static_cast<ssize_t>(count))
    throw systemError("getrandom");
  return bytes;
}

std::string currentDirectory() {
  char path[PATH_MAX];
  return getcwd(path, sizeof path) ? path : "";
}

std::vector<uint64_t> currentAffinity() {
  std::vector<uint64_t> mask(kAffinityWords);
  long bytes = syscall(SYS_sched_getaffinity, 0, mask.size() * sizeof(uint64_t), mask.data());
  if (bytes < 0) throw systemError("sched_getaffinity");
  mask.resize(static_cast<size_t>(bytes) / sizeof(uint64_t));
  return mask;
}

void pinToCore(std::optional<unsigned> chosen) {
  const auto core = chosen.value_or(static_cast<unsigned>(std::max(0, sched_getcpu())));
  std::vector<uint64_t> mask(kAffinityWords);
  if (core / 64 < mask.size()) mask[core / 64] = 1ull << (core % 64);
  if (syscall(SYS_sched_setaffinity, 0, mask.size() * sizeof(uint64_t), mask.data()) != 0)
    throw systemError("cannot run on CPU " + std::to_string(core), errno, "choose one that `taskset -p $$` shows");
}

}  // namespace airr
