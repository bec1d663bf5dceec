// Redirected calls, made for real.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "mediator/syscalls/model.h"
#include "schema/unique_fd.h"
#include "tests/mediator/syscall_test_support.h"

namespace airr::syscalls {
namespace {

// Runs a call with its outputs in scratch, then brings them home.
int64_t runRedirected(const Call& call, uint64_t scratchBytes = 0) {
  OwnMemory memory;
  const Syscall& row = rowOf(call);
  const Lengths lengths = noteLengths(row, call, memory);
  const uint64_t wanted = scratchSize(row, call, memory);
  EXPECT_GT(wanted, 0u);
  const Mapping scratch(scratchBytes ? scratchBytes : wanted);
  memset(scratch.data(), 0xa5, scratch.size());
  const Redirect moved = redirect(row, call, memory, scratch.address(), scratch.size());
  EXPECT_TRUE(moved.active);
  const int64_t result = run(moved.call);
  EXPECT_TRUE(copyBack(row, call, moved, result, lengths, memory));
  return result;
}

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    read = UniqueFd(fds[0]);
    write = UniqueFd(fds[1]);
  }
  void put(std::string_view text) const {
    EXPECT_EQ(::write(write.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  UniqueFd read;
  UniqueFd write;
};

struct SocketPair {
  explicit SocketPair(int type = SOCK_STREAM) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, type, 0, fds), 0);
    near = UniqueFd(fds[0]);
    far = UniqueFd(fds[1]);
  }
  UniqueFd near;
  UniqueFd far;
};

TEST(SyscallHostile, ScratchIsNeverExceeded) {
  const Mapping buffer(1 << 20);
  iovec vectors[8];
  for (iovec& vector : vectors) vector = {buffer.data(), 100000};
  std::array<mmsghdr, 4> messages{};
  for (mmsghdr& message : messages) {
    message.msg_hdr.msg_iov = vectors;
    message.msg_hdr.msg_iovlen = 8;
  }
  epoll_event* events = reinterpret_cast<epoll_event*>(buffer.data());
  const Call calls[] = {
      makeCall(__NR_read, 0, buffer.data(), uint64_t{1} << 40),
      makeCall(__NR_readv, 0, vectors, 8),
      makeCall(__NR_recvmmsg, 0, messages.data(), 4, 0, nullptr),
      makeCall(__NR_epoll_wait, 0, events, 1 << 20, 0),
      makeCall(__NR_poll, buffer.data(), 1 << 16, 0),
      makeCall(__NR_mq_timedreceive, 0, buffer.data(), 1 << 20, nullptr, nullptr),
  };
  const Mapping scratch(1 << 20);
  for (const uint64_t size : {0, 1, 15, 16, 100, 1000, 4096, 70000, 500000}) {
    for (const Call& call : calls) {
      SCOPED_TRACE(rowOf(call).name + std::string(" ") + std::to_string(size));
      memset(scratch.data(), 0x5a, scratch.size());
      OwnMemory memory;
      const Redirect moved = redirect(rowOf(call), call, memory, scratch.address(), size);
      for (uint64_t i = size; i < scratch.size(); ++i) ASSERT_EQ(scratch.data()[i], 0x5a) << i;
      if (!moved.active) continue;
      // All that the kernel could write lies in what was given.
      std::vector<Region> regions;
      outputRegions(rowOf(call), moved.call, INT32_MAX, {}, memory, regions);
      for (const Region& region : regions) {
        EXPECT_TRUE(scratch.contains(region.start.value));
        EXPECT_LE(region.start.value + region.length, scratch.address().value + size);
      }
    }
  }
}

// Each of these calls the kernel twice with the same cause, once directly and once redirected.

TEST(SyscallRedirect, ReadAndItsShortening) {
  const Pipe pipe;
  char buffer[64] = {};
  pipe.put("hello");
  EXPECT_EQ(runRedirected(makeCall(__NR_read, pipe.read.get(), buffer, sizeof buffer)), 5);
  EXPECT_STREQ(buffer, "hello");
  pipe.put("0123456789abcdefghij");
  const uint64_t huge = uint64_t{1} << 33;
  EXPECT_EQ(runRedirected(makeCall(__NR_read, pipe.read.get(), buffer, huge), 16), 16);
  EXPECT_EQ(std::string(buffer, 16), "0123456789abcdef");
}

TEST(SyscallRedirect, Readv) {
  const Pipe pipe;
  char direct[3][8] = {}, redirected[3][8] = {};
  const auto vectorsOf = [](char(&to)[3][8]) {
    return std::array<iovec, 3>{iovec{to[0], 3}, iovec{to[1], 8}, iovec{to[2], 8}};
  };
  const auto into = vectorsOf(direct);
  pipe.put("redirected");
  EXPECT_EQ(run(makeCall(__NR_readv, pipe.read.get(), into.data(), 3)), 10);
  const auto moved = vectorsOf(redirected);
  pipe.put("redirected");
  EXPECT_EQ(runRedirected(makeCall(__NR_readv, pipe.read.get(), moved.data(), 3)), 10);
  EXPECT_EQ(memcmp(direct, redirected, sizeof direct), 0);
  EXPECT_EQ(moved[0].iov_base, redirected[0]);

  // Room for the headers and one block of data: a short read.
  pipe.put("redirected");
  char rest[3][8] = {};
  const auto cut = vectorsOf(rest);
  EXPECT_EQ(runRedirected(makeCall(__NR_readv, pipe.read.get(), cut.data(), 3), 2 * 48 + 16), 3);
  EXPECT_EQ(std::string(rest[0], 3), "red");
}

struct Received {
  char data[2][16] = {};
  iovec vectors[2] = {{data[0], 4}, {data[1], 16}};
  char control[CMSG_SPACE(sizeof(int))] = {};
  sockaddr_un name = {};
  msghdr header = {&name, sizeof name, vectors, 2, control, sizeof control, 0};
};

void sendDescriptor(int socket, int fd, std::string_view text) {
  char control[CMSG_SPACE(sizeof fd)] = {};
  iovec vector{const_cast<char*>(text.data()), text.size()};
  msghdr header{nullptr, 0, &vector, 1, control, sizeof control, 0};
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(message), &fd, sizeof fd);
  ASSERT_EQ(sendmsg(socket, &header, 0), static_cast<ssize_t>(text.size()));
}

TEST(SyscallRedirect, RecvmsgWithDescriptors) {
  const SocketPair pair;
  const auto receive = [&](Received& to, auto&& how) {
    sendDescriptor(pair.far.get(), pair.far.get(), "descriptor");
    EXPECT_EQ(how(makeCall(__NR_recvmsg, pair.near.get(), &to.header, MSG_CMSG_CLOEXEC)), 10);
    int fd = -1;
    memcpy(&fd, CMSG_DATA(reinterpret_cast<cmsghdr*>(to.control)), sizeof fd);
    EXPECT_GE(fcntl(fd, F_GETFD), 0);
    close(fd);
  };
  Received direct, redirected;
  receive(direct, [](const Call& call) { return run(call); });
  receive(redirected, [](const Call& call) { return runRedirected(call); });
  EXPECT_EQ(memcmp(direct.data, redirected.data, sizeof direct.data), 0);
  EXPECT_EQ(memcmp(direct.control, redirected.control, sizeof direct.control), 0);
  EXPECT_EQ(direct.header.msg_controllen, redirected.header.msg_controllen);
  EXPECT_EQ(direct.header.msg_namelen, redirected.header.msg_namelen);
  EXPECT_EQ(direct.header.msg_flags, redirected.header.msg_flags);
  EXPECT_EQ(redirected.header.msg_iov, redirected.vectors);
  EXPECT_EQ(redirected.header.msg_control, redirected.control);
  EXPECT_EQ(redirected.header.msg_name, &redirected.name);
}

TEST(SyscallRedirect, RecvmmsgAndSendmmsg) {
  const SocketPair pair(SOCK_DGRAM);
  const auto exchange = [&](auto& to, auto&& how) {
    char texts[2][8] = {"one", "three"};
    iovec out[2] = {{texts[0], 3}, {texts[1], 5}};
    mmsghdr sent[2] = {};
    for (int i = 0; i < 2; ++i) {
      sent[i].msg_hdr.msg_iov = &out[i];
      sent[i].msg_hdr.msg_iovlen = 1;
    }
    EXPECT_EQ(how(makeCall(__NR_sendmmsg, pair.far.get(), sent, 2, 0)), 2);
    EXPECT_EQ(sent[0].msg_len, 3u);
    EXPECT_EQ(sent[1].msg_len, 5u);
    iovec in[2] = {{to[0], 8}, {to[1], 8}};
    mmsghdr received[2] = {};
    for (int i = 0; i < 2; ++i) {
      received[i].msg_hdr.msg_iov = &in[i];
      received[i].msg_hdr.msg_iovlen = 1;
    }
    EXPECT_EQ(how(makeCall(__NR_recvmmsg, pair.near.get(), received, 2, 0, nullptr)), 2);
    EXPECT_EQ(received[0].msg_len, 3u);
    EXPECT_EQ(received[1].msg_len, 5u);
    EXPECT_EQ(received[1].msg_hdr.msg_iov, &in[1]);
  };
  char direct[2][8] = {}, redirected[2][8] = {};
  exchange(direct, [](const Call& call) { return run(call); });
  exchange(redirected, [](const Call& call) { return runRedirected(call); });
  EXPECT_STREQ(redirected[0], "one");
  EXPECT_STREQ(redirected[1], "three");
  EXPECT_EQ(memcmp(direct, redirected, sizeof direct), 0);
}

TEST(SyscallRedirect, RecvfromGivesTheAddress) {
  const UniqueFd receiver(socket(AF_INET, SOCK_DGRAM, 0));
  const UniqueFd sender(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const auto receive = [&](sockaddr_storage& from, uint32_t& fromLength, auto&& how) {
    EXPECT_EQ(
        sendto(sender.get(), "hi", 2, 0, reinterpret_cast<sockaddr*>(&address), sizeof address), 2);
    char text[4] = {};
    EXPECT_EQ(how(makeCall(__NR_recvfrom, receiver.get(), text, 4, 0, &from, &fromLength)), 2);
    EXPECT_STREQ(text, "hi");
  };
  sockaddr_storage direct{}, redirected{};
  uint32_t directLength = sizeof direct, redirectedLength = sizeof redirected;
  receive(direct, directLength, [](const Call& call) { return run(call); });
  receive(redirected, redirectedLength, [](const Call& call) { return runRedirected(call); });
  EXPECT_EQ(directLength, redirectedLength);
  EXPECT_EQ(memcmp(&direct, &redirected, sizeof direct), 0);
}

TEST(SyscallRedirect, PollLeavesWhatASiblingChanged) {
  const Pipe pipe;
  pipe.put("x");
  pollfd direct[2] = {{pipe.read.get(), POLLIN, 0}, {pipe.write.get(), POLLOUT, 0}};
  pollfd redirected[2] = {direct[0], direct[1]};
  EXPECT_EQ(run(makeCall(__NR_poll, direct, 2, -1)), 2);
  timespec timeout{5, 0};
  EXPECT_EQ(runRedirected(makeCall(__NR_ppoll, redirected, 2, &timeout, nullptr, 8)), 2);
  EXPECT_EQ(memcmp(direct, redirected, sizeof direct), 0);
  EXPECT_LT(timeout.tv_sec, 5);  // the time left came back

  OwnMemory memory;
  const Call call = makeCall(__NR_poll, redirected, 2, -1);
  const Mapping scratch(4096);
  const Redirect moved = redirect(rowOf(call), call, memory, scratch.address(), scratch.size());
  ASSERT_TRUE(moved.active);
  redirected[0].revents = 0;
  redirected[1].events = POLLIN;
  const int64_t result = run(moved.call);
  ASSERT_TRUE(copyBack(rowOf(call), call, moved, result, {}, memory));
  EXPECT_EQ(redirected[0].revents, POLLIN);
  EXPECT_EQ(redirected[1].events, POLLIN);
}

TEST(SyscallRedirect, Select) {
  const Pipe full, empty;
  full.put("x");
  const int highest = std::max(full.read.get(), empty.read.get()) + 1;
  const auto selecting = [&](fd_set& set, timeval& timeout) {
    FD_ZERO(&set);
    FD_SET(full.read.get(), &set);
    FD_SET(empty.read.get(), &set);
    timeout = {5, 0};
    return makeCall(__NR_select, highest, &set, nullptr, nullptr, &timeout);
  };
  fd_set direct, redirected;
  timeval directTime, redirectedTime;
  EXPECT_EQ(run(selecting(direct, directTime)), 1);
  EXPECT_EQ(runRedirected(selecting(redirected, redirectedTime)), 1);
  EXPECT_EQ(memcmp(&direct, &redirected, sizeof direct), 0);
  EXPECT_LT(redirectedTime.tv_sec, 5);
}

TEST(SyscallRedirect, EpollWait) {
  const Pipe first, second;
  const UniqueFd epoll(epoll_create1(0));
  epoll_event event{EPOLLIN, {.u64 = 11}};
  ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, first.read.get(), &event), 0);
  event.data.u64 = 22;
  ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, second.read.get(), &event), 0);
  first.put("x");
  second.put("x");
  epoll_event direct[4] = {}, redirected[4] = {};
  EXPECT_EQ(run(makeCall(__NR_epoll_wait, epoll.get(), direct, 4, -1)), 2);
  EXPECT_EQ(runRedirected(makeCall(__NR_epoll_pwait, epoll.get(), redirected, 4, -1, 0, 8)), 2);
  EXPECT_EQ(redirected[0].events, static_cast<uint32_t>(EPOLLIN));
  EXPECT_EQ(redirected[0].data.u64 + redirected[1].data.u64, 33u);
  EXPECT_EQ(direct[0].data.u64 + direct[1].data.u64, 33u);
  EXPECT_EQ(redirected[2].data.u64, 0u);
  EXPECT_EQ(runRedirected(makeCall(__NR_epoll_wait, epoll.get(), redirected, 4, -1), 16), 1);
}

TEST(SyscallRedirect, Accept) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  for (const bool truncated : {false, true}) {
    const UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    sockaddr_in own{}, peer{};
    length = sizeof own;
    ASSERT_EQ(getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &length), 0);
    uint32_t peerLength = truncated ? 4 : sizeof peer;
    const int64_t accepted =
        runRedirected(makeCall(__NR_accept4, listener.get(), &peer, &peerLength, SOCK_CLOEXEC));
    EXPECT_GE(accepted, 0);
    const UniqueFd connection(static_cast<int>(accepted));
    EXPECT_EQ(peerLength, sizeof own);
    EXPECT_EQ(memcmp(&own, &peer, truncated ? 4 : sizeof own), 0);
    if (truncated) {
      EXPECT_EQ(peer.sin_addr.s_addr, 0u);
    }
  }
}

TEST(SyscallRedirect, SigtimedwaitAndWaiting) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigset_t before;
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
  const auto wait = [&](siginfo_t& info, auto&& how) {
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(how(makeCall(__NR_rt_sigtimedwait, &set, &info, nullptr, 8)), SIGUSR1);
  };
  siginfo_t direct{}, redirected{};
  wait(direct, [](const Call& call) { return run(call); });
  wait(redirected, [](const Call& call) { return runRedirected(call); });
  EXPECT_EQ(memcmp(&direct, &redirected, sizeof direct), 0);
  EXPECT_EQ(redirected.si_pid, getpid());
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);

  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(42);
  int status = 0;
  EXPECT_EQ(runRedirected(makeCall(__NR_wait4, child, &status, 0, nullptr)), child);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(SyscallRedirect, AnUnwritableTargetIsReported) {
  const Pipe pipe;
  pipe.put("x");
  const Call call = makeCall(__NR_read, pipe.read.get(), 0x1000, 8);
  OwnMemory memory;
  const Mapping scratch(4096);
  const Redirect moved = redirect(rowOf(call), call, memory, scratch.address(), scratch.size());
  ASSERT_TRUE(moved.active);
  const int64_t result = run(moved.call);
  EXPECT_EQ(result, 1);
  EXPECT_FALSE(copyBack(rowOf(call), call, moved, result, {}, memory));
}

TEST(SyscallRedirect, CallsWithoutOutputsStayAsTheyAre) {
  char text[] = "x";
  OwnMemory memory;
  const Mapping scratch(4096);
  for (const Call& call : {makeCall(__NR_write, 1, text, 1), makeCall(__NR_pause),
                           makeCall(__NR_futex, text, FUTEX_WAIT, 0, nullptr)}) {
    EXPECT_EQ(scratchSize(rowOf(call), call, memory), 0u);
    const Redirect same = redirect(rowOf(call), call, memory, scratch.address(), 4096);
    EXPECT_FALSE(same.active);
    EXPECT_EQ(memcmp(&same.call, &call, sizeof call), 0);
  }
}

}  // namespace
}  // namespace airr::syscalls
