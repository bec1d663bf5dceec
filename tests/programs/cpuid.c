// CPUID: vendor, features, cache leaves, the local APIC number (which depends on the CPU it ran
// on).
#include <cpuid.h>
#include <sched.h>

#include "check.h"

int main(void) {
  unsigned a, b, c, d;
  CHECK(__get_cpuid(0, &a, &b, &c, &d));
  printf("highest leaf %u vendor %.4s%.4s%.4s\n", a, (char*)&b, (char*)&d, (char*)&c);
  CHECK(__get_cpuid(1, &a, &b, &c, &d));
  printf("signature %#x features %#x %#x, clflush %u\n", a, c, d, (b >> 8) & 0xff);
  for (unsigned leaf = 0; leaf < 4; ++leaf) {
    if (__get_cpuid_count(4, leaf, &a, &b, &c, &d))
      printf("cache %u: %#x %#x %#x\n", leaf, a, b, c);
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) printf("extended %#x %#x %#x\n", b, c, d);
  printf("avx2 %d bmi2 %d\n", __builtin_cpu_supports("avx2") != 0,
         __builtin_cpu_supports("bmi2") != 0);
  printf("ran on cpu %d of %ld\n", sched_getcpu() >= 0, sysconf(_SC_NPROCESSORS_ONLN));
  return done();
}
