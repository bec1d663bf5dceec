// The table against the kernel: makes calls for real and checks that every byte which the kernel
// changed lies in a region that the model reports.
#include <asm/unistd_64.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "schema/unique_fd.h"
#include "tests/mediator/syscall_test_support.h"

namespace airr::syscalls {
namespace {

class SyscallTruth : public testing::Test {
 protected:
  static constexpr uint64_t kAreaBytes = 16 << 10;
  static constexpr uint64_t kAreas = 6;

  // Memory for one pointer argument, far from the others.
  char* area(uint64_t index) { return memory_.data() + index * kAreaBytes + kAreaBytes / 4; }

  template <typename T>
  void set(uint64_t index, T value, uint64_t offset = 0) {
    memcpy(area(index) + offset, &value, sizeof value);
  }

  // Makes the call over two backgrounds, so that a byte that happens to be equal is seen too.
  // `prepare` writes what the call reads. Gives the last result.
  int64_t check(
      const Call& call, const std::function<void()>& prepare = [] {}) {
    SCOPED_TRACE(rowOf(call).name);
    int64_t result = 0;
    for (const int background : {0x01, 0xfe}) {
      memset(memory_.data(), background, memory_.size());
      prepare();
      const std::vector<char> before(memory_.data(), memory_.data() + memory_.size());
      OwnMemory reader;
      const Lengths lengths = noteLengths(rowOf(call), call, reader);
      result = run(call);
      std::vector<Region> regions;
      outputRegions(rowOf(call), call, result, lengths, reader, regions);
      std::vector<bool> reported(memory_.size());
      for (const Region& region : regions) {
        for (uint64_t i = 0; i < region.length; ++i) {
          const uint64_t at = region.start.value + i;
          if (memory_.contains(at)) reported[at - memory_.address().value] = true;
        }
      }
      for (uint64_t i = 0; i < before.size(); ++i) {
        if (memory_.data()[i] == before[i] || reported[i]) continue;
        ADD_FAILURE() << "area " << i / kAreaBytes << " byte "
                      << static_cast<int64_t>(i % kAreaBytes) - int64_t{kAreaBytes / 4}
                      << " was written, result " << result;
        return result;
      }
    }
    return result;
  }
  void checkSucceeds(
      const Call& call, const std::function<void()>& prepare = [] {}) {
    EXPECT_GE(check(call, prepare), 0) << rowOf(call).name;
  }

 private:
  Mapping memory_{kAreas * kAreaBytes};
};

TEST_F(SyscallTruth, Files) {
  const char file[] = "/proc/self/exe";
  const UniqueFd fd(open(file, O_RDONLY));
  const UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY));
  checkSucceeds(makeCall(__NR_stat, file, area(1)));
  checkSucceeds(makeCall(__NR_lstat, file, area(1)));
  checkSucceeds(makeCall(__NR_fstat, fd.get(), area(1)));
  checkSucceeds(makeCall(__NR_newfstatat, AT_FDCWD, file, area(2), 0));
  checkSucceeds(makeCall(__NR_statx, AT_FDCWD, file, 0, 0xfff, area(4)));
  checkSucceeds(makeCall(__NR_statfs, file, area(1)));
  checkSucceeds(makeCall(__NR_getcwd, area(0), 4096));
  checkSucceeds(makeCall(__NR_readlink, file, area(1), 10));
  checkSucceeds(makeCall(__NR_getdents64, directory.get(), area(1), 4096));
  checkSucceeds(makeCall(__NR_pipe, area(0)));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd out(ends[0]), in(ends[1]);
  checkSucceeds(makeCall(__NR_splice, fd.get(), area(2), in.get(), 0, 10, 0),
                [&] { set(2, uint64_t{0}); });
  checkSucceeds(makeCall(__NR_pread64, fd.get(), area(1), 100, 0));
  check(makeCall(__NR_name_to_handle_at, AT_FDCWD, "/", area(2), area(3), 0),
        [&] { set(2, uint32_t{128}); });
  // Too small a handle: the size that is needed is written although the call fails.
  check(makeCall(__NR_name_to_handle_at, AT_FDCWD, "/", area(2), area(3), 0),
        [&] { set(2, uint32_t{0}); });
  check(makeCall(451, fd.get(), area(1), area(2), 0), [&] { memset(area(1), 0, 16); });
  check(makeCall(468, AT_FDCWD, file, area(2), 24, 0));
  checkSucceeds(makeCall(__NR_fcntl, fd.get(), F_GETLK, area(2)), [&] {
    const struct flock lock { F_RDLCK, SEEK_SET, 0, 0, 0 };
    set(2, lock);
  });
}

TEST_F(SyscallTruth, Processes) {
  checkSucceeds(makeCall(__NR_uname, area(0)));
  checkSucceeds(makeCall(__NR_sysinfo, area(0)));
  checkSucceeds(makeCall(__NR_getrusage, 0, area(1)));
  checkSucceeds(makeCall(__NR_getrlimit, 7, area(1)));
  checkSucceeds(makeCall(__NR_prlimit64, 0, 7, 0, area(3)));
  checkSucceeds(makeCall(__NR_getresuid, area(0), area(1), area(2)));
  checkSucceeds(makeCall(__NR_getgroups, 64, area(1)));
  checkSucceeds(makeCall(__NR_sched_getaffinity, 0, 1024, area(2)));
  checkSucceeds(makeCall(__NR_sched_getparam, 0, area(1)));
  checkSucceeds(makeCall(__NR_sched_getattr, 0, area(1), 56, 0));
  checkSucceeds(makeCall(__NR_sched_rr_get_interval, 0, area(1)));
  checkSucceeds(makeCall(__NR_get_robust_list, 0, area(1), area(2)));
  checkSucceeds(makeCall(__NR_getcpu, area(0), area(1), nullptr));
  checkSucceeds(makeCall(__NR_getrandom, area(0), 100, 0));
  checkSucceeds(makeCall(__NR_prctl, PR_GET_NAME, area(1), 0, 0, 0));
  checkSucceeds(makeCall(__NR_prctl, PR_GET_CHILD_SUBREAPER, area(1), 0, 0, 0));
  checkSucceeds(makeCall(__NR_arch_prctl, 0x1003, area(1)));
  checkSucceeds(makeCall(__NR_capget, area(0), area(1)), [&] {
    set(0, __user_cap_header_struct{_LINUX_CAPABILITY_VERSION_3, 0});
  });
  check(makeCall(__NR_get_mempolicy, area(0), area(1), 1025, 0, 0));
  check(makeCall(__NR_keyctl, 31, area(1), 100, 0, 0));
  checkSucceeds(makeCall(__NR_mincore, pageFloor(bits(area(0))), 5000, area(2)));
  // A struct that is too new: the kernel writes the size that it knows.
  EXPECT_EQ(check(makeCall(__NR_sched_setattr, 0, area(1), 0),
                  [&] {
                    memset(area(1), 0, 200);
                    set(1, uint32_t{200});
                    set(1, char{1}, 150);
                  }),
            -E2BIG);
}

TEST_F(SyscallTruth, Waiting) {
  const auto child = [] {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) _exit(3);
  };
  checkSucceeds(makeCall(__NR_wait4, -1, area(1), 0, area(3)), child);
  checkSucceeds(makeCall(__NR_waitid, P_ALL, 0, area(2), WEXITED, area(4)), child);
  EXPECT_EQ(check(makeCall(__NR_waitid, P_ALL, 0, area(2), WEXITED, area(4))), -ECHILD);
}

TEST_F(SyscallTruth, TimeAndSignals) {
  checkSucceeds(makeCall(__NR_times, area(0)));
  checkSucceeds(makeCall(__NR_gettimeofday, area(0), area(1)));
  checkSucceeds(makeCall(__NR_time, area(0)));
  checkSucceeds(makeCall(__NR_clock_gettime, CLOCK_MONOTONIC, area(1)));
  checkSucceeds(makeCall(__NR_clock_getres, CLOCK_MONOTONIC, area(1)));
  checkSucceeds(makeCall(__NR_adjtimex, area(0)), [&] { memset(area(0), 0, 208); });
  checkSucceeds(makeCall(__NR_getitimer, ITIMER_REAL, area(1)));
  checkSucceeds(makeCall(__NR_timer_create, CLOCK_MONOTONIC, 0, area(2)));
  checkSucceeds(makeCall(__NR_rt_sigaction, SIGUSR1, 0, area(2), 8));
  checkSucceeds(makeCall(__NR_rt_sigprocmask, SIG_BLOCK, 0, area(2), 8));
  checkSucceeds(makeCall(__NR_rt_sigpending, area(0), 8));
  checkSucceeds(makeCall(__NR_sigaltstack, 0, area(1)));

  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGALRM, &act, &before), 0);
  EXPECT_EQ(check(makeCall(__NR_nanosleep, area(0), area(1)),
                  [&] {
                    set(0, timespec{5, 0});
                    const itimerval soon{{0, 0}, {0, 20000}};
                    ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
                  }),
            -EINTR);
  ASSERT_EQ(sigaction(SIGALRM, &before, nullptr), 0);
}

TEST_F(SyscallTruth, SocketsAndPolling) {
  checkSucceeds(makeCall(__NR_socketpair, AF_UNIX, SOCK_STREAM, 0, area(3)));
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const UniqueFd near(ends[0]), far(ends[1]);
  checkSucceeds(makeCall(__NR_getsockname, near.get(), area(1), area(2)),
                [&] { set(2, uint32_t{110}); });
  checkSucceeds(makeCall(__NR_getsockopt, near.get(), SOL_SOCKET, SO_PEERCRED, area(3), area(4)),
                [&] { set(4, uint32_t{64}); });
  checkSucceeds(makeCall(__NR_ppoll, area(0), 1, area(2), 0, 8), [&] {
    set(0, pollfd{near.get(), POLLOUT, 0});
    set(2, timespec{5, 0});
  });
  checkSucceeds(makeCall(__NR_recvmsg, near.get(), area(0), 0), [&] {
    memset(area(0), 0, sizeof(msghdr));
    set(0, msghdr{area(1), 100, reinterpret_cast<iovec*>(area(2)), 1, area(4), 100, 0});
    set(2, iovec{area(3), 50});
    ASSERT_EQ(write(far.get(), "hello", 5), 5);
  });
}

TEST_F(SyscallTruth, Terminals) {
  const UniqueFd terminal(posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(terminal);
  for (const uint64_t request :
       {uint64_t{TCGETS}, uint64_t{TCGETA}, uint64_t{0x802c542a}, uint64_t{TIOCGWINSZ},
        uint64_t{TIOCGPTN}, uint64_t{TIOCOUTQ}, uint64_t{FIONREAD}, uint64_t{TIOCGETD},
        uint64_t{TIOCGLCKTRMIOS}}) {
    SCOPED_TRACE(request);
    checkSucceeds(makeCall(__NR_ioctl, terminal.get(), request, area(2)));
  }
}

TEST_F(SyscallTruth, MessageQueuesAndSemaphores) {
  const int64_t queue = run(makeCall(__NR_msgget, IPC_PRIVATE, 0600));
  ASSERT_GE(queue, 0);
  checkSucceeds(makeCall(__NR_msgctl, queue, IPC_STAT, area(2)));
  const struct {
    long type = 1;
    char text[5] = "abcd";
  } message;
  checkSucceeds(makeCall(__NR_msgrcv, queue, area(1), 100, 0, 0), [&] {
    ASSERT_EQ(run(makeCall(__NR_msgsnd, queue, &message, sizeof message.text, 0)), 0);
  });
  EXPECT_EQ(run(makeCall(__NR_msgctl, queue, IPC_RMID, 0)), 0);
  const int64_t semaphores = run(makeCall(__NR_semget, IPC_PRIVATE, 3, 0600));
  ASSERT_GE(semaphores, 0);
  checkSucceeds(makeCall(__NR_semctl, semaphores, 0, IPC_STAT, area(3)));
  EXPECT_EQ(run(makeCall(__NR_semctl, semaphores, 0, IPC_RMID, 0)), 0);
}

}  // namespace
}  // namespace airr::syscalls
