#include <asm/unistd_64.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "mediator/syscalls/model.h"
#include "mediator/syscalls/print.h"
#include "tests/mediator/syscall_test_support.h"

namespace airr::syscalls {
namespace {

#define AIRR_KNOWN_CALLS(X)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
  X(read)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
  X(write) X(open) X(close) X(stat) X(fstat) X(lstat) X(poll) X(lseek) X(mmap) X(mprotect) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
      munmap) X(brk) X(rt_sigaction) X(rt_sigprocmask) X(rt_sigreturn) X(ioctl) X(pread64)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
      X(pwrite64) X(readv) X(writev) X(access) X(pipe) X(select) X(sched_yield) X(mremap) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
          msync) X(mincore) X(madvise) X(shmget) X(shmat) X(shmctl) X(dup) X(dup2) X(pause)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
          X(nanosleep) X(getitimer) X(alarm) X(setitimer) X(getpid) X(sendfile) X(socket) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
              connect) X(accept) X(sendto) X(recvfrom) X(sendmsg) X(recvmsg) X(shutdown) X(bind)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
              X(listen) X(getsockname) X(getpeername) X(socketpair) X(setsockopt) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
                  getsockopt) X(clone) X(fork) X(vfork) X(execve) X(exit) X(wait4) X(kill) X(uname) X(semget) X(semop)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                  X(semctl) X(shmdt) X(msgget) X(msgsnd) X(msgrcv) X(msgctl) X(fcntl) X(flock) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  \
                      fsync) X(fdatasync) X(truncate) X(ftruncate) X(getdents) X(getcwd)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           \
                      X(chdir) X(fchdir) X(rename) X(mkdir) X(rmdir) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
                          creat) X(link) X(unlink) X(symlink) X(readlink) X(chmod) X(fchmod)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                          X(chown) X(fchown) X(lchown) X(umask) X(gettimeofday) X(getrlimit) X(getrusage) X(sysinfo) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
                              times) X(ptrace) X(getuid) X(syslog) X(getgid) X(setuid) X(setgid) X(geteuid) X(getegid)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                              X(setpgid) X(getppid) X(getpgrp) X(setsid) X(setreuid) X(setregid) X(getgroups) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
                                  setgroups) X(setresuid) X(getresuid) X(setresgid) X(getresgid)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
                                  X(getpgid) X(setfsuid) X(setfsgid) X(getsid) X(capget) X(capset) X(rt_sigpending) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                      rt_sigtimedwait) X(rt_sigqueueinfo) X(rt_sigsuspend) X(sigaltstack) X(utime)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
                                      X(mknod) X(uselib) X(personality) X(ustat) X(statfs) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
                                          fstatfs) X(sysfs) X(getpriority)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
                                          X(setpriority) X(sched_setparam) X(sched_getparam) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                              sched_setscheduler) X(sched_getscheduler) X(sched_get_priority_max)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  \
                                              X(sched_get_priority_min) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
                                                  sched_rr_get_interval) X(mlock) X(munlock) X(mlockall) X(munlockall)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                                  X(vhangup) X(modify_ldt) X(pivot_root) X(_sysctl) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                                      prctl) X(arch_prctl) X(adjtimex) X(setrlimit)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                \
                                                      X(chroot) X(sync) X(acct) X(settimeofday) X(mount) X(umount2) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                                          swapon) X(swapoff) X(reboot) X(sethostname)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              \
                                                          X(setdomainname) X(iopl) X(ioperm) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                              create_module) X(init_module) X(delete_module)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                              X(get_kernel_syms) X(query_module) X(quotactl) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                                  nfsservctl) X(getpmsg) X(putpmsg) X(afs_syscall)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
                                                                  X(tuxcall) X(security) X(gettid) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              \
                                                                      readahead) X(setxattr) X(lsetxattr)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
                                                                      X(fsetxattr) X(getxattr) X(lgetxattr) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     \
                                                                          fgetxattr) X(listxattr) X(llistxattr)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                                          X(flistxattr) X(removexattr) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
                                                                              lremovexattr) X(fremovexattr)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
                                                                              X(tkill) X(time) X(futex) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
                                                                                  sched_setaffinity) X(sched_getaffinity)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
                                                                                  X(set_thread_area) X(io_setup) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                \
                                                                                      io_destroy) X(io_getevents)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  \
                                                                                      X(io_submit) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              \
                                                                                          io_cancel)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
                                                                                          X(get_thread_area) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                                                              lookup_dcookie)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
                                                                                              X(epoll_create)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
                                                                                                  X(epoll_ctl_old)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
                                                                                                      X(epoll_wait_old)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
                                                                                                          X(remap_file_pages)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
                                                                                                              X(getdents64)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
                                                                                                                  X(set_tid_address)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
                                                                                                                      X(restart_syscall)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           \
                                                                                                                          X(semtimedop)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
                                                                                                                              X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
                                                                                                                                  fadvise64) X(timer_create) X(timer_settime) X(timer_gettime) X(timer_getoverrun) X(timer_delete) X(clock_settime) X(clock_gettime) X(clock_getres) X(clock_nanosleep) X(exit_group) X(epoll_wait) X(epoll_ctl) X(tgkill) X(utimes) X(vserver) X(mbind) X(set_mempolicy) X(get_mempolicy) X(mq_open) X(mq_unlink) X(mq_timedsend) X(mq_timedreceive) X(mq_notify) X(mq_getsetattr) X(kexec_load) X(waitid) X(add_key) X(request_key) X(keyctl) X(ioprio_set) X(ioprio_get) X(inotify_init) X(inotify_add_watch) X(inotify_rm_watch) X(migrate_pages) X(openat) X(mkdirat) X(mknodat) X(fchownat) X(futimesat) X(newfstatat) X(unlinkat) X(renameat) X(linkat) X(symlinkat) X(readlinkat) X(fchmodat) X(faccessat) \
                                                                                                                                  X(pselect6) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
                                                                                                                                      ppoll)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                                                                                                      X(unshare) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                \
                                                                                                                                          set_robust_list)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
                                                                                                                                          X(get_robust_list)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                                                                                                              X(splice)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
                                                                                                                                                  X(tee) X(sync_file_range) X(vmsplice) X(move_pages) X(utimensat) X(epoll_pwait) X(signalfd) X(timerfd_create) X(eventfd) X(fallocate) X(timerfd_settime) X(timerfd_gettime) X(accept4) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
                                                                                                                                                      signalfd4) X(eventfd2)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                                                                                                                      X(epoll_create1) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
                                                                                                                                                          dup3)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                                                                                                                          X(pipe2)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
                                                                                                                                                              X(inotify_init1)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     \
                                                                                                                                                                  X(preadv) X(pwritev) X(rt_tgsigqueueinfo) X(perf_event_open) X(recvmmsg) X(fanotify_init) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     \
                                                                                                                                                                      fanotify_mark) X(prlimit64) X(name_to_handle_at) X(open_by_handle_at) X(clock_adjtime) X(syncfs) X(sendmmsg) X(setns)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
                                                                                                                                                                      X(getcpu) X(process_vm_readv) X(process_vm_writev) X(kcmp) X(finit_module) X(sched_setattr) X(sched_getattr) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              \
                                                                                                                                                                          renameat2) X(seccomp)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
                                                                                                                                                                          X(getrandom)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                                                                                                                                                              X(memfd_create)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
                                                                                                                                                                                  X(kexec_file_load)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
                                                                                                                                                                                      X(bpf)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                                                                                                                                                          X(execveat) X(userfaultfd) X(membarrier) X(mlock2) X(copy_file_range) X(preadv2)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
                                                                                                                                                                                              X(pwritev2)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
                                                                                                                                                                                                  X(pkey_mprotect)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
                                                                                                                                                                                                      X(pkey_alloc)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                \
                                                                                                                                                                                                          X(pkey_free)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
                                                                                                                                                                                                              X(statx) X(io_pgetevents) X(rseq) X(pidfd_send_signal) X(io_uring_setup) X(io_uring_enter) X(io_uring_register) X(open_tree) X(move_mount) X(fsopen) X(fsconfig) X(fsmount) X(fspick) X(pidfd_open) X(clone3) X(close_range) X(openat2) X(pidfd_getfd) X(faccessat2) X(process_madvise) X(epoll_pwait2) X(mount_setattr) X(                                                                                                                                                                                                                                                                                                          \
                                                                                                                                                                                                                  quotactl_fd) X(landlock_create_ruleset) X(landlock_add_rule) X(landlock_restrict_self) X(memfd_secret) X(process_mrelease)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       \
                                                                                                                                                                                                                  X(futex_waitv)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
                                                                                                                                                                                                                      X(set_mempolicy_home_node)

struct KnownCall {
  uint64_t number;
  const char* name;
};

#define AIRR_KNOWN_CALL(name) {__NR_##name, #name},
constexpr KnownCall kKnownCalls[] = {AIRR_KNOWN_CALLS(AIRR_KNOWN_CALL)};

std::vector<Region> inputsOf(const Call& call) {
  OwnMemory memory;
  std::vector<Region> regions;
  inputRegions(rowOf(call), call, memory, regions);
  return regions;
}

std::vector<Region> outputsOf(const Call& call, int64_t result, const Lengths& lengths = {}) {
  OwnMemory memory;
  std::vector<Region> regions;
  outputRegions(rowOf(call), call, result, lengths, memory, regions);
  return regions;
}

void expectRegions(const std::vector<Region>& actual,
                   std::initializer_list<std::pair<const void*, uint64_t>> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  size_t i = 0;
  for (const auto& [start, length] : expected) {
    EXPECT_EQ(actual[i].start.value, bits(start)) << "region " << i;
    EXPECT_EQ(actual[i].length, length) << "region " << i;
    ++i;
  }
}

TEST(SyscallTable, HasEveryNumberOfTheKernelHeaderUnderItsName) {
  for (const KnownCall& known : kKnownCalls) {
    const Syscall* row = find(known.number);
    ASSERT_NE(row, nullptr) << known.name;
    EXPECT_STREQ(row->name, known.name);
    EXPECT_EQ(row->number, known.number);
    EXPECT_EQ(findByName(known.name), row);
  }
}

TEST(SyscallTable, HasNoGapsAndNothingElse) {
  for (uint64_t number = 0; number <= 336; ++number) EXPECT_NE(find(number), nullptr) << number;
  for (uint64_t number = 337; number < 424; ++number) EXPECT_EQ(find(number), nullptr) << number;
  for (uint64_t number = 424; number <= 470; ++number) EXPECT_NE(find(number), nullptr) << number;
  for (const uint64_t number : {471ull, 512ull, 0x40000000ull, ~0ull}) {
    EXPECT_EQ(find(number), nullptr) << number;
  }
  EXPECT_EQ(findByName("no_such_call"), nullptr);
}

TEST(SyscallTable, IsInOrderWithoutDuplicates) {
  const auto rows = all();
  ASSERT_EQ(rows.size(), 337u + 47u);
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_LT(rows[i - 1]->number, rows[i]->number);
}

TEST(SyscallTable, ModelsAtLeastThreeHundredCalls) {
  size_t modelled = 0;
  for (const Syscall* row : all()) modelled += row->treatment != Treatment::kRefuse;
  EXPECT_GE(modelled, 300u);
}

TEST(SyscallTable, RowsAreConsistent) {
  for (const Syscall* row : all()) {
    SCOPED_TRACE(row->name);
    EXPECT_EQ(row->treatment == Treatment::kRefuse, row->refusal != 0);
    if (row->refusal) {
      EXPECT_NE(row->note, nullptr);
    }
    for (size_t i = 0; i < 6; ++i) {
      const Argument& argument = row->arguments[i];
      SCOPED_TRACE(i);
      EXPECT_EQ(argument.name != nullptr, i < row->argumentCount);
      EXPECT_EQ(argument.direction != Direction::kNone, argument.size != Size::kNone);
      if (argument.by != 255) {
        EXPECT_LT(argument.by, row->argumentCount);
      }
      if (argument.size == Size::kFixed) {
        EXPECT_GT(argument.unit, 0u);
      }
    }
  }
}

TEST(SyscallTable, EveryBlockingCallWithOutputsCanBeRedirected) {
  const Mapping memory(1 << 20);
  for (const Syscall* row : all()) {
    if (row->blocking == Blocking::kNever || row->operations) continue;
    SCOPED_TRACE(row->name);
    Call call{row->number, {}};
    bool hasOutputs = false;
    uint64_t used = 0;
    for (size_t i = 0; i < row->argumentCount; ++i) {
      const Argument& argument = row->arguments[i];
      if (argument.type != Type::kPointer) {
        call.arguments[i] = argument.name && i != row->dontWait ? 1 : 0;
        continue;
      }
      call.arguments[i] = (memory.address() + used).value;
      used += 4096;
      hasOutputs |=
          argument.direction == Direction::kOut || argument.direction == Direction::kInOut;
    }
    OwnMemory reader;
    EXPECT_EQ(scratchSize(*row, call, reader) > 0, hasOutputs);
  }
}

TEST(SyscallRegions, PlainCallsReadNoTraceeMemory) {
  char buffer[64];
  OwnMemory memory;
  std::vector<Region> regions;
  for (const Call& call : {makeCall(__NR_read, 3, buffer, sizeof buffer),
                           makeCall(__NR_write, 1, buffer, sizeof buffer), makeCall(__NR_close, 3),
                           makeCall(__NR_clock_gettime, 0, buffer)}) {
    inputRegions(rowOf(call), call, memory, regions);
    outputRegions(rowOf(call), call, 5, noteLengths(rowOf(call), call, memory), memory, regions);
  }
  EXPECT_EQ(memory.reads, 0);
}

TEST(SyscallRegions, ReadWritesItsResult) {
  char buffer[64];
  const Call call = makeCall(__NR_read, 3, buffer, sizeof buffer);
  EXPECT_TRUE(inputsOf(call).empty());
  expectRegions(outputsOf(call, 10), {{buffer, 10}});
  EXPECT_TRUE(outputsOf(call, 0).empty());
  EXPECT_TRUE(outputsOf(call, -EAGAIN).empty());
  // MSG_TRUNC gives the datagram's length, which is more than was written.
  const Call trunc = makeCall(__NR_recvfrom, 3, buffer, sizeof buffer, MSG_TRUNC, nullptr, nullptr);
  expectRegions(outputsOf(trunc, 1000), {{buffer, sizeof buffer}});
}

TEST(SyscallRegions, NegativeIntCountsAndGarbageAboveThemAreTheKernels) {
  pollfd fds[2] = {};
  const uint64_t garbage = 0xdeadbeef00000000;
  expectRegions(inputsOf(makeCall(__NR_poll, fds, garbage | 2, 0)), {{fds, sizeof fds}});
  EXPECT_TRUE(inputsOf(makeCall(__NR_poll, fds, -1, 0)).empty());
}

TEST(SyscallRegions, ReadvWritesTheFirstResultBytes) {
  char a[4], b[8], c[16];
  const iovec vectors[] = {{a, sizeof a}, {b, sizeof b}, {c, sizeof c}};
  const Call call = makeCall(__NR_readv, 3, vectors, 3);
  expectRegions(inputsOf(call), {{vectors, sizeof vectors}});
  expectRegions(outputsOf(call, 7), {{a, 4}, {b, 3}});
  expectRegions(outputsOf(call, 28), {{a, 4}, {b, 8}, {c, 16}});
  expectRegions(inputsOf(makeCall(__NR_writev, 3, vectors, 3)),
                {{vectors, sizeof vectors}, {a, 4}, {b, 8}, {c, 16}});
}

TEST(SyscallRegions, RecvmsgWritesNameControlFieldsAndData) {
  char data[32], control[64];
  sockaddr_un name;
  iovec vector{data, sizeof data};
  msghdr header{&name, sizeof name, &vector, 1, control, sizeof control, 0};
  const Call call = makeCall(__NR_recvmsg, 3, &header, 0);
  OwnMemory memory;
  const Lengths lengths = noteLengths(rowOf(call), call, memory);
  expectRegions(inputsOf(call), {{&header, sizeof header}, {&vector, sizeof vector}});
  header.msg_namelen = 2;
  header.msg_controllen = 24;
  expectRegions(outputsOf(call, 5, lengths), {{&header.msg_namelen, 4},
                                              {&header.msg_controllen, 12},
                                              {&name, 2},
                                              {control, 24},
                                              {data, 5}});
  header.msg_namelen = 500;  // a truncated name tells its whole length
  EXPECT_EQ(outputsOf(call, 5, lengths)[2].length, sizeof name);
}

TEST(SyscallRegions, SendmsgReadsAllOfIt) {
  char data[32], control[64];
  sockaddr_in name;
  iovec vector{data, sizeof data};
  msghdr header{&name, sizeof name, &vector, 1, control, sizeof control, 0};
  expectRegions(inputsOf(makeCall(__NR_sendmsg, 3, &header, 0)), {{&header, sizeof header},
                                                                  {&name, sizeof name},
                                                                  {&vector, sizeof vector},
                                                                  {data, sizeof data},
                                                                  {control, sizeof control}});
}

TEST(SyscallRegions, GetsockoptWritesTheLesserLength) {
  char value[16];
  uint32_t length = sizeof value;
  const Call call = makeCall(__NR_getsockopt, 3, SOL_SOCKET, SO_TYPE, value, &length);
  OwnMemory memory;
  const Lengths lengths = noteLengths(rowOf(call), call, memory);
  expectRegions(inputsOf(call), {{&length, 4}});
  length = 4;
  expectRegions(outputsOf(call, 0, lengths), {{value, 4}, {&length, 4}});
  length = 100;
  expectRegions(outputsOf(call, 0, lengths), {{value, 16}, {&length, 4}});
  expectRegions(outputsOf(call, -ERANGE, lengths), {{&length, 4}});
}

TEST(SyscallRegions, PollAndSelectAreReadAndWritten) {
  pollfd fds[3] = {};
  const Call polling = makeCall(__NR_poll, fds, 3, 0);
  expectRegions(inputsOf(polling), {{fds, 24}});
  expectRegions(outputsOf(polling, -EINTR), {{fds, 24}});

  fd_set set;
  timespec timeout{};
  uint64_t mask = 0;
  struct {
    const uint64_t* set;
    size_t size;
  } pair{&mask, 8};
  const Call selecting = makeCall(__NR_pselect6, 65, &set, nullptr, nullptr, &timeout, &pair);
  expectRegions(inputsOf(selecting), {{&set, 16}, {&timeout, 16}, {&pair, 16}, {&mask, 8}});
  expectRegions(outputsOf(selecting, 1), {{&set, 16}, {&timeout, 16}});
  expectRegions(outputsOf(selecting, -514), {{&timeout, 16}});
}

TEST(SyscallRegions, IoctlGoesByItsRequest) {
  char buffer[256];
  const auto ioctlOf = [&](uint64_t request) { return makeCall(__NR_ioctl, 0, request, buffer); };
  expectRegions(outputsOf(ioctlOf(TCGETS), 0), {{buffer, 36}});
  EXPECT_TRUE(outputsOf(ioctlOf(TCGETS), -ENOTTY).empty());
  expectRegions(inputsOf(ioctlOf(TCSETSW)), {{buffer, 36}});
  expectRegions(outputsOf(ioctlOf(TIOCGWINSZ), 0), {{buffer, 8}});
  EXPECT_TRUE(outputsOf(ioctlOf(FIOCLEX), 0).empty());
  expectRegions(outputsOf(ioctlOf(_IOR('q', 1, char[100])), 0), {{buffer, 100}});
  expectRegions(inputsOf(ioctlOf(_IOWR('q', 1, char[100]))), {{buffer, 100}});
  // The upper half of the register is not the request.
  expectRegions(outputsOf(ioctlOf(0xffffffff00000000 | TCGETS), 0), {{buffer, 36}});
  EXPECT_TRUE(ioctlKnown(TIOCGPTPEER));
  EXPECT_TRUE(ioctlKnown(_IOW('q', 1, int)));
  EXPECT_FALSE(ioctlKnown(_IO('q', 1)));
  EXPECT_FALSE(ioctlKnown(0x8946));  // SIOCETHTOOL: nested and of many sizes
}

TEST(SyscallRegions, IfconfIsFollowed) {
  ifreq interfaces[4];
  ifconf configuration{};
  configuration.ifc_len = 2 * sizeof(ifreq);
  configuration.ifc_req = interfaces;
  expectRegions(outputsOf(makeCall(__NR_ioctl, 3, SIOCGIFCONF, &configuration), 0),
                {{&configuration, 16}, {interfaces, 2 * sizeof(ifreq)}});
}

TEST(SyscallRegions, WaitWritesStatusAndUsage) {
  int status;
  char usage[144];
  const Call call = makeCall(__NR_wait4, -1, &status, 0, usage);
  expectRegions(outputsOf(call, 1234), {{&status, 4}, {usage, 144}});
  EXPECT_TRUE(outputsOf(call, -ECHILD).empty());
}

TEST(SyscallRegions, ExecveReadsItsStrings) {
  const char path[] = "/bin/true";
  const char first[] = "true", second[] = "--help", variable[] = "A=b";
  const char* const argv[] = {first, second, nullptr};
  const char* const envp[] = {variable, nullptr};
  expectRegions(inputsOf(makeCall(__NR_execve, path, argv, envp)), {{path, sizeof path},
                                                                    {argv, sizeof argv},
                                                                    {first, sizeof first},
                                                                    {second, sizeof second},
                                                                    {envp, sizeof envp},
                                                                    {variable, sizeof variable}});
}

TEST(SyscallRegions, FutexGoesByItsOperation) {
  uint32_t word = 0, other = 0;
  timespec timeout{};
  const auto futexOf = [&](int op) { return makeCall(__NR_futex, &word, op, 0, &timeout, &other); };
  expectRegions(inputsOf(futexOf(FUTEX_WAIT | FUTEX_PRIVATE_FLAG)), {{&timeout, 16}});
  EXPECT_TRUE(inputsOf(futexOf(FUTEX_WAKE)).empty());
  expectRegions(outputsOf(futexOf(FUTEX_WAKE_OP), 1), {{&other, 4}});
  expectRegions(outputsOf(futexOf(FUTEX_LOCK_PI), -ETIMEDOUT), {{&word, 4}});
  OwnMemory memory;
  const Call call = futexOf(FUTEX_LOCK_PI);
  EXPECT_EQ(scratchSize(rowOf(call), call, memory), 0u);
}

TEST(SyscallRegions, SpliceReadsAndWritesItsOffsets) {
  uint64_t in = 0, out = 0;
  const Call call = makeCall(__NR_splice, 3, &in, 4, &out, 10, 0);
  expectRegions(inputsOf(call), {{&in, 8}, {&out, 8}});
  expectRegions(outputsOf(call, 10), {{&in, 8}, {&out, 8}});
  EXPECT_TRUE(outputsOf(call, -EAGAIN).empty());
  expectRegions(outputsOf(makeCall(__NR_splice, 3, 0, 4, &out, 10, 0), 10), {{&out, 8}});
}

TEST(SyscallRegions, OperationsDecide) {
  char buffer[128];
  expectRegions(inputsOf(makeCall(__NR_fcntl, 3, F_SETLK, buffer)), {{buffer, 32}});
  expectRegions(outputsOf(makeCall(__NR_fcntl, 3, F_GETLK, buffer), 0), {{buffer, 32}});
  EXPECT_TRUE(outputsOf(makeCall(__NR_fcntl, 3, F_GETFL, buffer), 2).empty());
  expectRegions(outputsOf(makeCall(__NR_prctl, PR_GET_NAME, buffer), 0), {{buffer, 16}});
  expectRegions(outputsOf(makeCall(__NR_arch_prctl, 0x1003, buffer), 0), {{buffer, 8}});
  // parent_tid only if the flags say so.
  EXPECT_TRUE(outputsOf(makeCall(__NR_clone, SIGCHLD, nullptr, buffer), 7).empty());
  expectRegions(outputsOf(makeCall(__NR_clone, 0x100000, nullptr, buffer), 7), {{buffer, 4}});
}

TEST(SyscallOperations, DangerousAndUnknownOnesAreRefused) {
  const auto refusal = [](const Call& call) {
    const char* why = nullptr;
    const int error = refusedOperation(rowOf(call), call, &why);
    EXPECT_EQ(error != 0, why != nullptr);
    return error;
  };
  EXPECT_EQ(refusal(makeCall(__NR_prctl, PR_SET_SECCOMP)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_prctl, PR_SET_MM)), EPERM);
  EXPECT_EQ(refusal(makeCall(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_prctl, PR_SET_NAME)), 0);
  EXPECT_EQ(refusal(makeCall(__NR_prctl, 9999)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_arch_prctl, 0x2003)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_arch_prctl, 0x1002)), 0);
  EXPECT_EQ(refusal(makeCall(__NR_ioctl, 0, _IO('q', 1))), ENOTTY);
  EXPECT_EQ(refusal(makeCall(__NR_ioctl, 0, _IOR('q', 1, int))), 0);
  for (const uint64_t request : {FICLONE, FICLONERANGE, FIDEDUPERANGE})
    EXPECT_EQ(refusal(makeCall(__NR_ioctl, 0, request)), EOPNOTSUPP) << request;
  EXPECT_EQ(refusal(makeCall(__NR_futex, 0, 77)), ENOSYS);
  EXPECT_EQ(refusal(makeCall(__NR_fcntl, 0, 777)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_getsockopt, 3, 6, 35)), EINVAL);
  EXPECT_EQ(refusal(makeCall(__NR_getsockopt, 3, SOL_SOCKET, 35)), 0);
  EXPECT_EQ(refusal(makeCall(__NR_read, 0)), 0);
}

TEST(SyscallOperations, BlockingGoesByOperationAndFlags) {
  const auto blocks = [](const Call& call) { return mayBlock(rowOf(call), call); };
  EXPECT_TRUE(blocks(makeCall(__NR_read, 0)));
  EXPECT_FALSE(blocks(makeCall(__NR_pread64, 0)));
  EXPECT_FALSE(blocks(makeCall(__NR_close, 0)));
  EXPECT_TRUE(blocks(makeCall(__NR_futex, 0, FUTEX_WAIT | FUTEX_PRIVATE_FLAG)));
  EXPECT_FALSE(blocks(makeCall(__NR_futex, 0, FUTEX_WAKE | FUTEX_PRIVATE_FLAG)));
  EXPECT_TRUE(blocks(makeCall(__NR_fcntl, 0, F_SETLKW)));
  EXPECT_FALSE(blocks(makeCall(__NR_fcntl, 0, F_SETLK)));
  EXPECT_TRUE(blocks(makeCall(__NR_flock, 0, LOCK_EX)));
  EXPECT_FALSE(blocks(makeCall(__NR_flock, 0, LOCK_EX | LOCK_NB)));
  EXPECT_TRUE(blocks(makeCall(__NR_recvfrom, 0, 0, 0, 0)));
  EXPECT_FALSE(blocks(makeCall(__NR_recvfrom, 0, 0, 0, MSG_DONTWAIT)));
  EXPECT_TRUE(blocks(makeCall(__NR_splice, 0, 0, 1, 0, 10, 0)));
  EXPECT_TRUE(blocks(makeCall(__NR_tee, 0, 1, 10, 0)));
  EXPECT_TRUE(blocks(makeCall(__NR_wait4, -1, 0, 0)));
  EXPECT_FALSE(blocks(makeCall(__NR_wait4, -1, 0, WNOHANG)));
  EXPECT_FALSE(blocks(makeCall(__NR_ioctl, 0, TCGETS)));
  EXPECT_TRUE(blocks(makeCall(__NR_ioctl, 0, TCSBRK)));
  EXPECT_TRUE(blocks(makeCall(__NR_openat, AT_FDCWD, 0, O_RDONLY)));
  EXPECT_FALSE(blocks(makeCall(__NR_openat, AT_FDCWD, 0, O_RDONLY | O_DIRECTORY)));
}

TEST(SyscallHostile, LengthsAreBounded) {
  char buffer[16];
  EXPECT_EQ(inputsOf(makeCall(__NR_write, 1, buffer, uint64_t{1} << 62))[0].length,
            kMaxRegionBytes);
  // The end of the address space is not wrapped around.
  EXPECT_TRUE(inputsOf(makeCall(__NR_write, 1, ~uint64_t{0} - 10, 100)).empty());
  EXPECT_TRUE(inputsOf(makeCall(__NR_writev, 1, buffer, uint64_t{1} << 40)).empty());
  EXPECT_TRUE(outputsOf(makeCall(__NR_readv, 1, buffer, uint64_t{1} << 40), 5).empty());
  EXPECT_TRUE(inputsOf(makeCall(__NR_poll, buffer, INT32_MIN)).empty());

  msghdr header{};
  header.msg_control = buffer;
  header.msg_controllen = ~uint64_t{0};
  header.msg_iov = reinterpret_cast<iovec*>(buffer);
  header.msg_iovlen = uint64_t{1} << 40;
  for (const uint64_t number : {__NR_sendmsg, __NR_recvmsg}) {
    const Call call = makeCall(number, 3, &header, 0);
    for (const Region& region : inputsOf(call)) EXPECT_LE(region.length, kMaxRegionBytes);
    for (const Region& region : outputsOf(call, 1 << 20)) {
      EXPECT_LE(region.length, kMaxRegionBytes);
    }
    OwnMemory memory;
    EXPECT_EQ(scratchSize(rowOf(call), call, memory), 0u);  // the kernel refuses it: EMSGSIZE
  }
}

TEST(SyscallHostile, UnreadableMemoryGivesFewerRegions) {
  const uint64_t bad = 0x1000;
  EXPECT_TRUE(inputsOf(makeCall(__NR_execve, bad, bad, bad)).empty());
  EXPECT_TRUE(inputsOf(makeCall(__NR_sendmsg, 3, bad, 0)).empty());
  EXPECT_TRUE(outputsOf(makeCall(__NR_recvmsg, 3, bad, 0), 4).empty());
  OwnMemory memory;
  for (const Call& call :
       {makeCall(__NR_readv, 0, bad, 4), makeCall(__NR_recvmsg, 0, bad, 0),
        makeCall(__NR_recvmmsg, 0, bad, 8, 0, 0), makeCall(__NR_poll, bad, 8, 0)}) {
    const Mapping scratch(1 << 16);
    EXPECT_FALSE(redirect(rowOf(call), call, memory, scratch.address(), scratch.size()).active);
  }
}

TEST(SyscallHostile, AnEndlessArgvEnds) {
  // 16 MiB of pointers to one string of a megabyte without an end.
  const Mapping pointers(16 << 20);
  const Mapping text(2 << 20);
  memset(text.data(), 'x', text.size());
  auto* entries = reinterpret_cast<char**>(pointers.data());
  for (uint64_t i = 0; i < pointers.size() / 8; ++i) entries[i] = text.data();
  const auto regions = inputsOf(makeCall(__NR_execve, "/x", entries, nullptr));
  uint64_t total = 0;
  for (const Region& region : regions) total += region.length;
  EXPECT_LE(total, 2 * kMaxStringArrayBytes + kPageSize);
  // The same with strings of nothing: many regions, but not without end.
  memset(text.data(), 0, 1);
  EXPECT_LE(inputsOf(makeCall(__NR_execve, "/x", entries, nullptr)).size(), kMaxRegions);
}

TEST(SyscallPrint, ShowsCallsAsStraceDoes) {
  OwnMemory memory;
  const auto shown = [&](const Call& call, int64_t result) {
    return format(rowOf(call), call, result, &memory);
  };
  EXPECT_EQ(shown(makeCall(__NR_openat, AT_FDCWD, "/etc/x", O_RDONLY | O_CLOEXEC), -ENOENT),
            "openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or "
            "directory)");
  EXPECT_EQ(shown(makeCall(__NR_open, "f", O_WRONLY | O_CREAT, 0644), 3),
            "open(\"f\", O_WRONLY|O_CREAT, 0644) = 3");
  EXPECT_EQ(shown(makeCall(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0),
                  0x7f0000001000),
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
            "0x7f0000001000");
  EXPECT_EQ(shown(makeCall(__NR_kill, 12, SIGTERM), 0), "kill(12, SIGTERM) = 0");
  EXPECT_EQ(shown(makeCall(__NR_futex, 0x1000, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 1),
            "futex(0x1000, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1, 0, NULL, 0) = 1");
  EXPECT_EQ(shown(makeCall(__NR_clone, CLONE_VM | SIGCHLD, 0), 7),
            "clone(SIGCHLD|CLONE_VM, NULL) = 7");
  EXPECT_EQ(shown(makeCall(__NR_pause), -514), "pause() = ? ERESTARTNOHAND (to be restarted)");
  EXPECT_EQ(shown(makeCall(__NR_write, 1, "a\n\x01", 3), 3), "write(1, \"a\\n\\x01\", 3) = 3");
  const char* const argv[] = {"sh", "-c", nullptr};
  EXPECT_EQ(shown(makeCall(__NR_execve, "/bin/sh", argv, nullptr), 0),
            "execve(\"/bin/sh\", [\"sh\", \"-c\"], NULL) = 0");
  EXPECT_EQ(shown(makeCall(__NR_ioctl, 0, _IOR('q', 1, int), 0), -ENOTTY),
            "ioctl(0, _IOC(_IOC_READ, 0x71, 0x1, 0x4), NULL) = -1 ENOTTY (Inappropriate ioctl for "
            "device)");
  EXPECT_EQ(format(*find(__NR_close), makeCall(__NR_close, 3), nullptr), "close(3)");
  // Memory that is not there is an address.
  EXPECT_EQ(shown(makeCall(__NR_chdir, 0x10), -EFAULT), "chdir(0x10) = -1 EFAULT (Bad address)");
}

TEST(SyscallPrint, ListsTheWholeTable) {
  const std::string text = listing();
  const auto json = nlohmann::json::parse(listingJson());
  ASSERT_EQ(json.size(), all().size());
  for (size_t i = 0; i < json.size(); ++i) {
    EXPECT_EQ(json[i]["name"], all()[i]->name);
    EXPECT_EQ(json[i]["number"], all()[i]->number);
    EXPECT_EQ(json[i]["arguments"].size(), all()[i]->argumentCount);
    EXPECT_NE(text.find(std::string("  ") + all()[i]->name + "("), std::string::npos);
  }
}

}  // namespace
}  // namespace airr::syscalls
