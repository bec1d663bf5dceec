#include "recorder/files.h"

#include <sys/stat.h>

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

using FilesTest = TraceTest;

TEST_F(FilesTest, OwnDescriptorsAreHighAndCloseOnExec) {
  UniqueFd file = openOwn(path("key"), O_RDONLY);
  ASSERT_TRUE(file);
  EXPECT_GE(file.get(), kFirstOwnFd);
  EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_FALSE(openOwn(path("absent"), O_RDONLY));
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(FilesTest, WritesWholeThroughAPipeThatTakesLittle) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd out(ends[0]), in(ends[1]);
  ASSERT_GT(::fcntl(in.get(), F_SETPIPE_SZ, 4096), 0);
  const ByteVector first = noise(10'001, 1), second = noise(70'003, 2);
  ByteVector received;
  std::thread consumer([&] {
    uint8_t buffer[777];
    while (received.size() < first.size() + second.size()) {
      const ssize_t n = ::read(out.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      received.insert(received.end(), buffer, buffer + n);
    }
  });
  const bool written = writeWhole(in.get(), {first, {}, second});
  in.reset();
  consumer.join();
  EXPECT_TRUE(written);
  ByteVector sent = first;
  sent.insert(sent.end(), second.begin(), second.end());
  EXPECT_EQ(received, sent);
}

TEST_F(FilesTest, WriteErrorIsReported) {
  UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  EXPECT_FALSE(writeWhole(full.get(), {noise(10, 1)}));
  EXPECT_EQ(errno, ENOSPC);
}

TEST_F(FilesTest, PrivateDirectories) {
  ASSERT_TRUE(makePrivateDirectory(path("a/b/c")));
  ASSERT_TRUE(makePrivateDirectory(path("a/b/c")));
  for (const char* name : {"a", "a/b", "a/b/c"}) {
    struct stat status;
    ASSERT_EQ(::stat(path(name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u) << name;
  }
  EXPECT_FALSE(makePrivateDirectory(path("key/d")));
  EXPECT_EQ(errno, ENOTDIR);
}

}  // namespace
}  // namespace airr
