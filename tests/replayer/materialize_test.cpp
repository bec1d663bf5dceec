#include "replayer/materialize.h"

#include <capnp/message.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

namespace airr {
namespace {

namespace fs = std::filesystem;

// The memory of all tasks: strings and buffers, each with a page of its own.
class FakeMemory : public syscalls::MemoryReader {
 public:
  uint64_t put(const void* bytes, size_t size) {
    uint64_t address = 0x10000 + used_.size() * 0x100000;
    used_.emplace_back(static_cast<const char*>(bytes), size);
    return address;
  }
  uint64_t put(const std::string& text) { return put(text.c_str(), text.size() + 1); }

  bool read(Address from, void* to, uint64_t size) override {
    uint64_t index = (from.value - 0x10000) / 0x100000;
    uint64_t offset = (from.value - 0x10000) % 0x100000;
    if (from.value < 0x10000 || index >= used_.size()) return false;
    // As mapped memory: zeros up to the end of the page.
    std::string padded = used_[index];
    padded.resize(pageCeil(padded.size() + 1));
    if (offset + size > padded.size()) return false;
    std::memcpy(to, padded.data() + offset, size);
    return true;
  }

 private:
  std::vector<std::string> used_;
};

class MaterializeTest : public testing::Test {
 protected:
  MaterializeTest() {
    std::string name = fs::temp_directory_path() / "materialize-test-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~MaterializeTest() override { fs::remove_all(directory_); }

  using Fill = std::function<void(schema::Syscall::Builder)>;

  void call(uint32_t task, uint64_t number, std::vector<uint64_t> arguments, int64_t result,
            const Fill& fill = {}) {
    send(task, [&](schema::Event::Builder event) {
      auto syscall = event.initSyscall();
      syscall.setNumber(static_cast<uint16_t>(number));
      syscall.setResult(result);
      auto list = syscall.initArguments(static_cast<unsigned>(arguments.size()));
      for (unsigned i = 0; i < arguments.size(); ++i) list.set(i, arguments[i]);
      if (fill) fill(syscall);
    });
  }

  void send(uint32_t task, const std::function<void(schema::Event::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    auto event = message.initRoot<schema::Event>();
    event.setTask(task);
    fill(event);
    files_.observe(event.asReader(), memory_);
  }

  void open(int fd, const std::string& path, uint64_t flags, uint64_t mode = 0644,
            uint32_t task = 1) {
    call(task, SYS_openat, {uint64_t(AT_FDCWD), memory_.put(path), flags, mode}, fd,
         [&](auto syscall) { syscall.setPath(path); });
  }
  void write(int fd, const std::string& text, uint32_t task = 1) {
    call(task, SYS_write, {uint64_t(fd), memory_.put(text), text.size()}, int64_t(text.size()));
  }
  void close(int fd, uint32_t task = 1) { call(task, SYS_close, {uint64_t(fd)}, 0); }
  void names(uint64_t number, const std::string& from, const std::string& to) {
    call(1, number, {memory_.put(from), memory_.put(to)}, 0);
  }

  MaterializeResult finish() { return files_.writeTo(out()); }
  std::string out() const { return directory_ + "/out"; }
  std::string content(const std::string& path) const {
    std::ifstream file(out() + path, std::ios::binary);
    if (!file) return "(no such file)";
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool exists(const std::string& path) const {
    return fs::exists(fs::symlink_status(out() + path));
  }

  std::string directory_;
  FakeMemory memory_;
  std::string blob_ = "content from before";
  Materializer files_{[this](uint32_t, uint64_t offset, uint64_t length) {
                        auto at = blob_.begin() + static_cast<ptrdiff_t>(offset);
                        return std::vector<uint8_t>(at, at + static_cast<ptrdiff_t>(length));
                      },
                      "/start"};
};

constexpr uint64_t kNew = O_WRONLY | O_CREAT | O_TRUNC;

TEST_F(MaterializeTest, WritesWhatWasWrittenWithItsMode) {
  open(3, "/w/a", kNew, 0750);
  write(3, "one ");
  write(3, "two");
  close(3);
  open(3, "/w/empty", kNew);
  auto result = finish();
  EXPECT_EQ(content("/w/a"), "one two");
  EXPECT_EQ(content("/w/empty"), "");
  EXPECT_EQ(result.files, 2u);
  EXPECT_TRUE(result.notes.empty());
  struct stat status {};
  ASSERT_EQ(stat((out() + "/w/a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0750u);
}

TEST_F(MaterializeTest, OnlyAsMuchAsTheResultSaysIsWritten) {
  open(3, "/a", kNew);
  call(1, SYS_write, {3, memory_.put("abcdef"), 6}, 2);
  call(1, SYS_write, {3, memory_.put("zzz"), 3}, -ENOSPC);
  finish();
  EXPECT_EQ(content("/a"), "ab");
}

TEST_F(MaterializeTest, PositionsFollowSeeksReadsAndPwrites) {
  open(3, "/a", O_RDWR | O_CREAT | O_TRUNC);
  write(3, "0123456789");
  call(1, SYS_lseek, {3, 2, SEEK_SET}, 2);
  call(1, SYS_read, {3, memory_.put("xx"), 2}, 2);
  write(3, "AB");
  call(1, SYS_pwrite64, {3, memory_.put("z"), 1, 0}, 1);
  write(3, "C");
  finish();
  EXPECT_EQ(content("/a"), "z123ABC789");
}

TEST_F(MaterializeTest, AppendIgnoresThePositionAndDupSharesIt) {
  open(3, "/log", kNew);
  write(3, "first\n");
  open(4, "/log", O_WRONLY | O_APPEND);
  write(4, "second\n");
  call(1, SYS_dup, {4}, 5);
  close(4);
  write(5, "third\n");
  open(6, "/shared", kNew);
  call(1, SYS_dup2, {6, 9}, 9);
  write(6, "a");
  write(9, "b");
  call(1, SYS_fcntl, {9, F_DUPFD_CLOEXEC, 20}, 20);
  write(20, "c");
  finish();
  EXPECT_EQ(content("/log"), "first\nsecond\nthird\n");
  EXPECT_EQ(content("/shared"), "abc");
}

TEST_F(MaterializeTest, VectorsAreWrittenInOrder) {
  open(3, "/a", kNew);
  iovec vectors[] = {{reinterpret_cast<void*>(memory_.put("ab")), 2},
                     {reinterpret_cast<void*>(memory_.put("cde")), 3}};
  uint64_t address = memory_.put(vectors, sizeof vectors);
  call(1, SYS_writev, {3, address, 2}, 4);
  call(1, SYS_pwritev, {3, address, 2, 10, 0}, 5);
  finish();
  EXPECT_EQ(content("/a"), std::string("abcd\0\0\0\0\0\0abcde", 15));
}

TEST_F(MaterializeTest, AnInterruptedCallWritesWhatItPassedAtEntry) {
  open(3, "/a", kNew);
  call(1, SYS_write, {3, memory_.put("hello"), 5}, 0,
       [](auto syscall) { syscall.setPhase(schema::Syscall::Phase::ENTER); });
  call(1, SYS_write, {}, 4, [](auto syscall) { syscall.setPhase(schema::Syscall::Phase::LEAVE); });
  finish();
  EXPECT_EQ(content("/a"), "hell");
}

TEST_F(MaterializeTest, EarlierContentIsKeptUnderneath) {
  auto openOld = [&](int fd, const std::string& path) {
    call(1, SYS_openat, {uint64_t(AT_FDCWD), memory_.put(path), O_RDWR, 0}, fd, [&](auto syscall) {
      syscall.setPath(path);
      auto payload = syscall.initPayload(1);
      payload[0].initBlob().setLength(blob_.size());
    });
  };
  openOld(3, "/changed");
  write(3, "CONTENT");
  openOld(4, "/cut");
  call(1, SYS_ftruncate, {4, 7}, 0);
  call(1, SYS_ftruncate, {4, 9}, 0);
  openOld(5, "/only-read");
  openOld(6, "/punched");
  call(1, SYS_fallocate, {6, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 3}, 0);
  auto result = finish();
  EXPECT_EQ(content("/changed"), "CONTENT from before");
  EXPECT_EQ(content("/cut"), std::string("content\0\0", 9));
  EXPECT_FALSE(exists("/only-read"));
  EXPECT_EQ(content("/punched"), std::string("c\0\0\0ent from before", 19));
  EXPECT_TRUE(result.notes.empty());
}

TEST_F(MaterializeTest, UnknownEarlierContentIsSaid) {
  call(1, SYS_openat, {uint64_t(AT_FDCWD), memory_.put("/huge"), O_WRONLY, 0}, 5, [](auto syscall) {
    syscall.setPath("/huge");
    syscall.initPayload(1)[0].setZeros(4);
  });
  write(5, "x");
  open(3, "/old", O_WRONLY);
  write(3, "x");
  names(SYS_rename, "/elsewhere", "/moved");
  auto result = finish();
  ASSERT_EQ(result.notes.size(), 3u);
  EXPECT_EQ(content("/huge"), std::string("x\0\0\0", 4));
  EXPECT_NE(result.notes[0].find("/huge: "), std::string::npos);
  EXPECT_NE(result.notes[1].find("/old: "), std::string::npos);
  EXPECT_NE(result.notes[2].find("/elsewhere"), std::string::npos);
  EXPECT_FALSE(exists("/moved"));
}

TEST_F(MaterializeTest, NamesChangeAndFilesLiveOn) {
  call(1, SYS_mkdir, {memory_.put("/d"), 0755}, 0);
  open(3, "/d/tmp", kNew);
  write(3, "kept");
  names(SYS_rename, "/d/tmp", "/d/final");
  write(3, " on");
  names(SYS_link, "/d/final", "/d/second");
  names(SYS_symlink, "../anywhere", "/d/link");
  open(4, "/d/gone", kNew);
  call(1, SYS_unlink, {memory_.put("/d/gone")}, 0);
  write(4, "nobody sees this");
  call(1, SYS_rename, {memory_.put("/d"), memory_.put("/e")}, 0);
  call(1, SYS_chmod, {memory_.put("/e/final"), 0600}, 0);
  auto result = finish();
  EXPECT_FALSE(exists("/d"));
  EXPECT_EQ(content("/e/final"), "kept on");
  EXPECT_EQ(fs::hard_link_count(out() + "/e/final"), 2u);
  EXPECT_EQ(fs::read_symlink(out() + "/e/link"), "../anywhere");
  EXPECT_FALSE(exists("/e/gone"));
  EXPECT_EQ(result.files, 2u);
  EXPECT_EQ(result.directories, 1u);
  EXPECT_EQ(result.links, 1u);
}

TEST_F(MaterializeTest, ExchangeSwapsSubtrees) {
  open(3, "/a/x", kNew);
  write(3, "from a");
  open(4, "/b", kNew);
  write(4, "was b");
  call(1, SYS_mkdir, {memory_.put("/a"), 0755}, 0);
  call(1, SYS_renameat2,
       {uint64_t(AT_FDCWD), memory_.put("/a"), uint64_t(AT_FDCWD), memory_.put("/b"),
        RENAME_EXCHANGE},
       0);
  finish();
  EXPECT_EQ(content("/b/x"), "from a");
  EXPECT_EQ(content("/a"), "was b");
}

TEST_F(MaterializeTest, RelativeNamesUseTheTasksDirectoryAndDescriptors) {
  call(1, SYS_mkdir, {memory_.put("sub"), 0755}, 0);
  call(1, SYS_chdir, {memory_.put("sub/../sub")}, 0);
  open(3, "/start/sub/a", kNew);
  write(3, "x");
  names(SYS_rename, "a", "./b");
  open(4, "/other", O_RDONLY | O_DIRECTORY);
  call(1, SYS_renameat, {uint64_t(AT_FDCWD), memory_.put("b"), 4, memory_.put("c")}, 0);
  finish();
  EXPECT_EQ(content("/other/c"), "x");
  EXPECT_TRUE(exists("/start/sub"));
}

TEST_F(MaterializeTest, NamesGoThroughLinksThatTheSessionMade) {
  call(1, SYS_mkdir, {memory_.put("/real"), 0755}, 0);
  names(SYS_symlink, "real", "/alias");
  call(1, SYS_mkdir, {memory_.put("/alias/in"), 0755}, 0);
  finish();
  EXPECT_TRUE(exists("/real/in"));
  EXPECT_TRUE(fs::is_symlink(out() + "/alias"));
}

TEST_F(MaterializeTest, TemporaryFileIsNamedByLinkat) {
  call(1, SYS_openat, {uint64_t(AT_FDCWD), memory_.put("/d"), O_TMPFILE | O_RDWR, 0600}, 3,
       [](auto syscall) { syscall.setPath("/d/#42 (deleted)"); });
  write(3, "late name");
  call(1, SYS_linkat,
       {uint64_t(AT_FDCWD), memory_.put("/proc/self/fd/3"), uint64_t(AT_FDCWD),
        memory_.put("/d/named"), AT_SYMLINK_FOLLOW},
       0);
  finish();
  EXPECT_EQ(content("/d/named"), "late name");
  EXPECT_EQ(std::distance(fs::directory_iterator(out() + "/d"), {}), 1);
}

TEST_F(MaterializeTest, ForkSharesFilesAndNotTables) {
  open(3, "/a", kNew);
  call(1, SYS_fork, {}, 77, [](auto syscall) { syscall.setChild(2); });
  write(3, "parent ");
  write(3, "child ", 2);
  close(3, 2);
  write(3, "parent");
  write(3, "closed", 2);
  finish();
  EXPECT_EQ(content("/a"), "parent child parent");
}

TEST_F(MaterializeTest, ThreadsShareTablesAndVforkChildrenComeEarly) {
  call(1, SYS_clone, {CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD}, 9,
       [](auto syscall) { syscall.setChild(2); });
  open(3, "/thread", kNew, 0644, 2);
  write(3, "seen by both");
  call(1, SYS_vfork, {}, 0, [](auto syscall) { syscall.setPhase(schema::Syscall::Phase::ENTER); });
  write(3, ", and the child", 3);
  close(3, 3);
  call(1, SYS_vfork, {}, 10, [](auto syscall) {
    syscall.setPhase(schema::Syscall::Phase::LEAVE);
    syscall.setChild(3);
  });
  write(3, ".");
  finish();
  EXPECT_EQ(content("/thread"), "seen by both, and the child.");
}

TEST_F(MaterializeTest, ExecClosesWhatItShould) {
  open(3, "/closed", kNew | O_CLOEXEC);
  open(4, "/open", kNew);
  open(5, "/set", kNew);
  call(1, SYS_fcntl, {5, F_SETFD, FD_CLOEXEC}, 0);
  send(1, [](auto event) { event.initExec().setFormerTask(1); });
  write(3, "x");
  write(4, "x");
  write(5, "x");
  finish();
  EXPECT_EQ(content("/closed"), "");
  EXPECT_EQ(content("/open"), "x");
  EXPECT_EQ(content("/set"), "");
}

TEST_F(MaterializeTest, CloseRangeClosesOrMarks) {
  open(3, "/a", kNew);
  open(4, "/b", kNew);
  open(5, "/c", kNew);
  call(1, SYS_close_range, {4, 4, 0}, 0);
  call(1, SYS_close_range, {5, 0xffffffff, CLOSE_RANGE_CLOEXEC}, 0);
  send(1, [](auto event) { event.initExec().setFormerTask(1); });
  for (int fd : {3, 4, 5}) write(fd, "x");
  finish();
  EXPECT_EQ(content("/a"), "x");
  EXPECT_EQ(content("/b"), "");
  EXPECT_EQ(content("/c"), "");
}

TEST_F(MaterializeTest, PassedDescriptorsKeepTheirFile) {
  open(3, "/a", kNew);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  auto setFd = [&](int fd) {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof fd);
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_RIGHTS;
    std::memcpy(control, &header, sizeof header);
    std::memcpy(control + CMSG_LEN(0), &fd, sizeof fd);
  };
  setFd(3);
  uint64_t sent = memory_.put(control, sizeof control);
  msghdr message{};
  message.msg_control = reinterpret_cast<void*>(sent);
  message.msg_controllen = sizeof control;
  call(1, SYS_fork, {}, 77, [](auto syscall) { syscall.setChild(2); });
  close(3, 2);
  call(1, SYS_sendmsg, {8, memory_.put(&message, sizeof message), 0}, 1);
  setFd(12);
  uint64_t space = memory_.put(std::string(sizeof control, '\0'));
  message.msg_control = reinterpret_cast<void*>(space);
  call(2, SYS_recvmsg, {9, memory_.put(&message, sizeof message), 0}, 1, [&](auto syscall) {
    auto writes = syscall.initWrites(1);
    writes[0].setAddress(space);
    writes[0].setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(control), sizeof control));
  });
  write(12, "by descriptor", 2);
  finish();
  EXPECT_EQ(content("/a"), "by descriptor");
}

TEST_F(MaterializeTest, MovedDataComesFromThePayload) {
  open(3, "/sent", kNew);
  open(4, "/copied", kNew);
  open(5, "/spliced", kNew);
  auto payload = [](const char* text) {
    return [text](schema::Syscall::Builder syscall) {
      auto list = syscall.initPayload(1);
      list[0].setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(text), strlen(text)));
    };
  };
  call(1, SYS_sendfile, {3, 7, 0, 100}, 5, payload("abcde"));
  write(3, "!");
  uint64_t offsetAddress = memory_.put(std::string(8, '\0'));
  call(1, SYS_copy_file_range, {7, 0, 4, offsetAddress, 100, 0}, 3, [&](auto syscall) {
    payload("xyz")(syscall);
    uint64_t after = 2 + 3;
    auto writes = syscall.initWrites(1);
    writes[0].setAddress(offsetAddress);
    writes[0].setBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&after), sizeof after));
  });
  call(1, SYS_splice, {8, 0, 5, 0, 100, 0}, 4, payload("pipe"));
  call(1, SYS_splice, {5, 0, 9, 0, 100, 0}, 2);  // from the file's position into a pipe
  call(1, SYS_splice, {8, 0, 5, 0, 100, 0}, 1, payload("s"));
  auto result = finish();
  EXPECT_EQ(content("/spliced"), std::string("pipe\0\0s", 7));
  EXPECT_EQ(content("/sent"), "abcde!");
  EXPECT_EQ(content("/copied"), std::string("\0\0xyz", 5));
  EXPECT_TRUE(result.notes.empty());
}

TEST_F(MaterializeTest, SharedMappingsGiveTheirFileItsContent) {
  open(3, "/map", O_RDWR | O_CREAT | O_TRUNC);
  call(1, SYS_ftruncate, {3, 5}, 0);
  call(1, SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0}, 0x7000000,
       [](auto syscall) { syscall.initMapping().initShared().setObject(4); });
  std::vector<uint8_t> page(4096, 'm');
  files_.sharedContent(4, page);
  files_.sharedContent(5, page);
  finish();
  EXPECT_EQ(content("/map"), "mmmmm");
}

TEST_F(MaterializeTest, DevicesPipesAndProcAreLeftOut) {
  open(3, "/dev/null", kNew);
  write(3, "x");
  open(4, "/proc/self/oom_score_adj", O_WRONLY);
  write(4, "x");
  open(5, "pipe:[12]", O_WRONLY);
  write(5, "x");
  write(1, "standard output");
  auto result = finish();
  EXPECT_EQ(result.files, 0u);
  EXPECT_TRUE(fs::is_empty(out()));
}

TEST_F(MaterializeTest, NothingIsWrittenOutsideTheDirectory) {
  fs::create_directories(directory_ + "/outside");
  fs::create_directories(out());
  fs::create_symlink(directory_ + "/outside", out() + "/trap");
  std::ofstream(directory_ + "/outside/target") << "untouched";
  fs::create_symlink(directory_ + "/outside/target", out() + "/file");
  open(3, "/trap/a", kNew);
  write(3, "x");
  open(4, "/file", kNew);
  write(4, "inside");
  open(5, "/../../../escaped", kNew);
  write(5, "x");
  auto result = finish();
  EXPECT_FALSE(fs::exists(directory_ + "/outside/a"));
  EXPECT_EQ(result.notes.size(), 2u);
  EXPECT_EQ(content("/file"), "inside");
  std::ifstream target(directory_ + "/outside/target");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(target), {}), "untouched");
  EXPECT_FALSE(fs::exists(directory_ + "/escaped"));
}

TEST_F(MaterializeTest, WritingTwiceGivesTheSame) {
  call(1, SYS_mkdir, {memory_.put("/d"), 0500}, 0);
  open(3, "/d/a", kNew, 0400);
  write(3, "same");
  names(SYS_symlink, "a", "/d/l");
  finish();
  auto result = finish();
  EXPECT_TRUE(result.notes.empty());
  EXPECT_EQ(content("/d/a"), "same");
}

TEST_F(MaterializeTest, HostileNumbersAreHarmless) {
  open(3, "/a", O_RDWR | O_CREAT);
  call(1, SYS_pwrite64, {3, memory_.put("x"), 1, ~uint64_t{0} - 1}, 1);
  call(1, SYS_fallocate, {3, 0, ~uint64_t{0}, ~uint64_t{0}}, 0);
  call(1, SYS_ftruncate, {3, ~uint64_t{0}}, 0);
  call(1, SYS_write, {3, 0xdead, ~uint64_t{0}}, INT64_MAX);
  call(7, SYS_write, {~uint64_t{0}, 0, 0}, 0);
  call(1, SYS_writev, {3, 0xdead, ~uint64_t{0}}, 5);
  auto result = finish();
  EXPECT_EQ(content("/a"), "");
  EXPECT_EQ(result.notes.size(), 1u);  // inexact: the data could not be read
}

}  // namespace
}  // namespace airr
