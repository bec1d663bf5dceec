// A store that fails: at each write of a session in turn, in each way.

#include <sys/mount.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "recorder/files.h"
#include "tests/replayer/evidence_fixture.h"

namespace airr {
namespace {

struct Fault {
  int error;
  bool shortly = false;     // half of the bytes are taken before
  bool noTruncate = false;  // and what they left cannot be taken back
};

class FaultySystem : public System {
 public:
  FaultySystem(size_t at, Fault fault) : at_(at), fault_(fault) {}

  ssize_t write(int fd, std::span<const iovec> parts) override {
    if (count_++ < at_) return System::write(fd, parts);
    if (fault_.shortly && !std::exchange(shortened_, true)) {
      const iovec half{parts[0].iov_base, std::max<size_t>(parts[0].iov_len / 2, 1)};
      return System::write(fd, {&half, 1});
    }
    failed_ = true;
    errno = fault_.error;
    return -1;
  }
  int truncate(int fd, uint64_t size) override {
    if (!fault_.noTruncate) return System::truncate(fd, size);
    errno = fault_.error;
    return -1;
  }
  bool failed() const { return failed_; }

 private:
  const size_t at_;
  const Fault fault_;
  std::atomic<size_t> count_ = 0;
  bool shortened_ = false;
  std::atomic<bool> failed_ = false;
};

class FaultyStoreTest : public EvidenceTest {
 protected:
  // A session whose every step has an effect, which happens only after its record is in the file.
  // The number of effects that happened.
  uint32_t session(System& system, std::optional<Error>& error) const {
    uint32_t effects = 0;
    try {
      capnp::MallocMessageBuilder header;
      fillHeader(header);
      TraceWriter writer(file_, sessionKey(), header, {.system = &system});
      for (uint32_t i = 1; i <= 40; ++i) {
        if (i % 10 == 0) {
          const ByteVector blob = noise(300'000, i);
          writer.addBlob(blob.data(), blob.size());
        }
        writeNote(writer, i, "effect " + std::to_string(i));
        writer.flush();
        ++effects;
      }
      writer.seal();
    } catch (const Error& thrown) {
      error = thrown;
    }
    return effects;
  }

  // What is in the file, proved, and the last effect that it knows of.
  void expectWholeUpToThere(uint32_t effects, const std::string& when) const {
    const Verification proof = withRootKey(file_);
    EXPECT_EQ(proof.verdict, ExitCode::kUnsealed) << when;
    TraceReader reader(file_, &keys_);
    uint32_t last = 0;
    while (auto event = reader.next()) last = event->getTask();
    EXPECT_GE(last, effects) << when;
    EXPECT_LE(last, effects + 1) << when;
  }

  const std::string file_ = path("trace.cap");
};

TEST_F(FaultyStoreTest, NoEffectWithoutItsRecordWhateverFailsWhen) {
  for (const Fault& fault :
       {Fault{ENOSPC}, Fault{EIO}, Fault{EDQUOT}, Fault{EROFS}, Fault{EFBIG}, Fault{ENOSPC, true},
        Fault{EIO, true, true}, Fault{EDQUOT, false, true}}) {
    for (size_t at = 0;; ++at) {
      const std::string when =
          std::string(std::strerror(fault.error)) + " at write " + std::to_string(at);
      FaultySystem system(at, fault);
      std::optional<Error> error;
      const uint32_t effects = session(system, error);
      if (!system.failed()) {
        ASSERT_GT(at, 40u);  // header, events, parts, seal: the fault is beyond them
        EXPECT_FALSE(error) << when << error->what();
        EXPECT_EQ(withRootKey(file_).verdict, ExitCode::kSuccess);
        break;
      }
      ASSERT_TRUE(error) << when;
      EXPECT_EQ(error->code(), ExitCode::kFailure);
      EXPECT_NE(std::string(error->what()).find(std::strerror(fault.error)), std::string::npos)
          << error->what();
      EXPECT_FALSE(error->remedy().empty());
      if (at == 0) {
        EXPECT_EQ(effects, 0u);
        continue;  // not even a header
      }
      expectWholeUpToThere(effects, when);
    }
  }
}

// Counts what is written and how much of it was synced since; syncing may fail.
class SyncingSystem : public System {
 public:
  explicit SyncingSystem(int failFrom = INT32_MAX) : failFrom_(failFrom) {}
  ssize_t write(int fd, std::span<const iovec> parts) override {
    const ssize_t written = System::write(fd, parts);
    ++writes;
    return written;
  }
  int sync(int fd) override {
    const int covered = writes;
    if (syncs++ >= failFrom_) {
      errno = EIO;
      return -1;
    }
    const int result = System::sync(fd);
    synced = covered;
    return result;
  }
  std::atomic<int> writes = 0, synced = 0, syncs = 0;

 private:
  const int failFrom_;
};

TEST_F(FaultyStoreTest, PowerDurabilityHasAllOnTheDiskAtTheEnd) {
  SyncingSystem system;
  {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    TraceWriter writer(file_, sessionKey(), header,
                       {.durability = Durability::kPower, .system = &system});
    for (uint32_t i = 1; i <= 200; ++i) {
      writeNote(writer, i, "effect");
      writer.flush();
    }
    writer.seal();
    EXPECT_EQ(system.synced, system.writes);
  }
  EXPECT_GT(system.syncs, 0);
  EXPECT_EQ(withRootKey(file_).verdict, ExitCode::kSuccess);
}

TEST_F(FaultyStoreTest, DiskThatFailsEndsTheSession) {
  for (int failFrom : {0, 1, 2}) {
    SyncingSystem system(failFrom);
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    const Error error = errorOf([&] {
      TraceWriter writer(file_, sessionKey(), header,
                         {.durability = Durability::kPower, .system = &system});
      // The disk is asked by another thread, now and then; on a busy machine seldom.
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      for (uint32_t i = 1; std::chrono::steady_clock::now() < end; ++i) {
        writeNote(writer, i, "effect");
        writer.flush();
      }
      writer.seal();
    });
    EXPECT_NE(std::string(error.what()).find("to its disk: Input/output error"), std::string::npos)
        << error.what();
    EXPECT_FALSE(withRootKey(file_).fault);
  }
}

// The kernel's own ways of saying it.
TEST_F(FaultyStoreTest, FullFileSystem) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  std::filesystem::create_directory(path("small"));
  if (::mount("none", path("small").c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
  }
  struct Unmount {
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    std::string path;
  } unmount{path("small")};
  const std::string file = path("small/trace.cap");
  uint32_t effects = 0;
  const Error full = errorOf([&] {
    TraceWriter writer = create(file);
    for (uint32_t i = 1; i < 100'000; ++i) {
      const ByteVector bytes = noise(3000, i);
      auto event = writer.begin();
      event.setTask(i);
      event.setClocks(kj::arrayPtr(bytes.data(), bytes.size()));
      writer.commit();
      writer.flush();
      effects = i;
    }
  });
  EXPECT_NE(std::string(full.what()).find("No space left"), std::string::npos) << full.what();
  EXPECT_GT(effects, 10u);
  EXPECT_EQ(verifyTrace(file, {.keys = &keys_}).proved.events, effects);

  // Read-only from one moment to the next.
  std::filesystem::remove(file);
  TraceWriter writer = create(file);
  writeNote(writer, 1, "kept");
  writer.flush();
  EXPECT_EQ(::mount("none", path("small").c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), -1);
  EXPECT_EQ(errno, EBUSY);  // the kernel refuses it while the trace is open for writing
  writeNote(writer, 2, "kept too");
  writer.seal();
  EXPECT_EQ(verifyTrace(file, {.keys = &keys_}).verdict, ExitCode::kSuccess);
}

}  // namespace
}  // namespace airr
