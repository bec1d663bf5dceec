#include "mediator/own_time.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstring>

#include "schema/error.h"

namespace airr {
namespace {

constexpr int64_t kCalibration = 2'000'000;  // ns

struct Reading {
  uint64_t counter = 0;
  int64_t time = 0;  // CLOCK_MONOTONIC_RAW
};
Reading gFirst;
double gRate = 0;  // counts a nanosecond
volatile sig_atomic_t gFaulted = 0;
bool gVdso = false;  // RDTSC does not fault here, so the vDSO may read it

int64_t clockBySyscall(clockid_t clock) {
  timespec now{};
  syscall(SYS_clock_gettime, clock, &now);
  return now.tv_sec * 1'000'000'000ll + now.tv_nsec;
}

// Async-signal-safe: syscalls and register writes only.
void onFault(int number, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  const bool counter = info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == 0x31;
  const bool counterAndCpu =
      info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xf9;
  if (!counter && !counterAndCpu) {
    signal(number, SIG_DFL);  // a real fault: happens again, and is fatal
    return;
  }
  gFaulted = 1;
  prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
  unsigned cpu = 0;
  const uint64_t value = __rdtscp(&cpu);
  prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
  registers[REG_RAX] = static_cast<greg_t>(value & 0xffffffff);
  registers[REG_RDX] = static_cast<greg_t>(value >> 32);
  if (counterAndCpu) registers[REG_RCX] = cpu;
  registers[REG_RIP] += counter ? 2 : 3;
}

}  // namespace

bool trapOwnCounter() {
  gFirst = {__rdtsc(), clockBySyscall(CLOCK_MONOTONIC_RAW)};
  struct sigaction action {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSEGV, &action, nullptr) != 0 || prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
    throw systemError("trapping RDTSC (prctl PR_SET_TSC)");
  __rdtsc();
  gVdso = gFaulted == 0;
  return gFaulted != 0;
}

SteadyTime steadyNow() {
  if (gVdso) return std::chrono::steady_clock::now();
  return SteadyTime(std::chrono::nanoseconds(clockBySyscall(CLOCK_MONOTONIC)));
}

uint64_t counterNow() {
  if (gRate == 0) {
    Reading now;
    do {
      now.time = clockBySyscall(CLOCK_MONOTONIC_RAW);
    } while (now.time - gFirst.time < kCalibration);
    prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
    now.counter = __rdtsc();
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
    gRate = static_cast<double>(now.counter - gFirst.counter) /
            static_cast<double>(now.time - gFirst.time);
  }
  const int64_t elapsed = clockBySyscall(CLOCK_MONOTONIC_RAW) - gFirst.time;
  return gFirst.counter + static_cast<uint64_t>(static_cast<double>(elapsed) * gRate);
}

}  // namespace airr
