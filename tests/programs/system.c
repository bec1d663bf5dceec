// uname, sysinfo, getrusage, times, scheduling, limits, identities, host name, load average.
#include <grp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

#include "check.h"

int main(void) {
  struct utsname name;
  CHECK(uname(&name) == 0);
  printf("%s %s %s %s\n", name.sysname, name.nodename, name.release, name.machine);
  struct sysinfo info;
  CHECK(sysinfo(&info) == 0);
  printf("up %ld s, %lu free, %d processes, load %lu\n", info.uptime, info.freeram, info.procs,
         info.loads[0]);
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  printf("%ld.%06ld s, %ld KiB, %ld faults, %ld switches\n", (long)usage.ru_utime.tv_sec,
         (long)usage.ru_utime.tv_usec, usage.ru_maxrss, usage.ru_minflt, usage.ru_nivcsw);
  struct tms times_now;
  printf("times %ld: %ld\n", (long)times(&times_now), (long)times_now.tms_utime);
  cpu_set_t set;
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
  printf("%d cpus, policy %d, priority %d\n", CPU_COUNT(&set), sched_getscheduler(0),
         getpriority(PRIO_PROCESS, 0));
  CHECK(sched_yield() == 0);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
  printf("stack limit %ld\n", (long)limit.rlim_cur);
  printf("uid %d %d gid %d %d groups %d\n", getuid(), geteuid(), getgid(), getegid(),
         getgroups(0, NULL));
  double load[3];
  CHECK(getloadavg(load, 3) == 3);
  printf("load %.2f %.2f %.2f, pages %ld\n", load[0], load[1], load[2], sysconf(_SC_AVPHYS_PAGES));
  return done();
}
