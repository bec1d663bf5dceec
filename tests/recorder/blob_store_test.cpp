#include "recorder/blob_store.h"

#include <sched.h>

#include "recorder/blob_cache.h"
#include "recorder/blob_worker.h"
#include "recorder/recent_map.h"
#include "tests/recorder/raw_trace.h"

namespace airr {
namespace {

// A trace that gets blobs only, and reads them back.
class BlobStoreTest : public TraceTest {
 protected:
  using Contents = std::vector<ByteVector>;

  BlobStoreTest() { newTrace(); }

  // Ends the session and begins the next one.
  void newTrace() {
    store_.reset();
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    frames_.emplace(file_, sessionKey(), header);
    store_.emplace(*frames_, sessionKey().cache);
  }

  // The contents of all blobs that were added since newTrace().
  Contents drain() {
    store_->drain();
    frames_->seal();
    Contents contents;
    TraceReader reader(file_, &keys_);
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.end(), TraceEnd::kSealed);
    for (uint32_t blob = 0; blob < reader.blobCount(); ++blob) {
      contents.push_back(reader.readBlob(blob, 0, reader.blobInfo(blob).size));
      EXPECT_EQ(reader.blobInfo(blob).digest, sha256(contents.back()));
    }
    return contents;
  }

  UniqueFd open(const std::string& name, int flags = O_RDONLY) const {
    return UniqueFd(::open(path(name).c_str(), flags | O_CREAT | O_CLOEXEC, 0600));
  }

  // Bytes of compressed blobs in the file.
  uint64_t storedSize() const {
    uint64_t size = 0;
    for (const FrameAt& frame : framesOf(readFile(file_))) size += frame.header.storedSize();
    return size;
  }

  const std::string file_ = path("trace.cap");
  std::optional<FrameWriter> frames_;
  std::optional<BlobStore> store_;
};

TEST_F(BlobStoreTest, NumbersDeduplicatesAndKeepsOrder) {
  const ByteVector a = noise(30'000, 1), b = {}, c = noise(10, 2), large = noise(3'000'000, 3);
  EXPECT_EQ(store_->add(a), 0u);
  EXPECT_EQ(store_->add(large), 1u);
  EXPECT_EQ(store_->add(b), 2u);
  EXPECT_EQ(store_->add(a), 0u);
  EXPECT_EQ(store_->add(c), 3u);
  EXPECT_EQ(drain(), (Contents{a, large, b, c}));
}

// What is known of contents has a bound; what is used stays known.
TEST_F(BlobStoreTest, ForgetsTheOldestOfManyContents) {
  constexpr uint32_t kMany = 3 * RecentMap<Digest, uint32_t, DigestHash>::kGeneration;
  const auto content = [](uint32_t i) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&i);
    return ByteVector(bytes, bytes + sizeof i);
  };
  for (uint32_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(store_->add(content(i)), i);
    EXPECT_EQ(store_->add(content(0)), 0u);
  }
  EXPECT_EQ(store_->add(content(1)), kMany);
  EXPECT_EQ(store_->add(content(kMany - 1)), kMany - 1);
  const Contents contents = drain();
  ASSERT_EQ(contents.size(), kMany + 1);
  EXPECT_EQ(contents[0], content(0));
  EXPECT_EQ(contents[1], content(1));
  EXPECT_EQ(contents[kMany], content(1));
}

TEST_F(BlobStoreTest, EqualLargeContentsAreStoredOnce) {
  const ByteVector large = noise(3'000'000, 1);
  EXPECT_EQ(store_->add(large), 0u);
  EXPECT_EQ(store_->add(large), 1u);
  writeFile(path("file"), large);
  EXPECT_EQ(store_->addFile(open("file").get()), 2u);
  EXPECT_EQ(drain(), (Contents{large, large, large}));
  EXPECT_LT(storedSize(), large.size() + 2000);
}

TEST_F(BlobStoreTest, FilesOfAllSizes) {
  Contents contents;
  for (size_t size : {0, 1, 300'000, 1 << 20, (1 << 20) + 1, 5'000'000}) {
    contents.push_back(noise(size, size));
    writeFile(path("file"), contents.back());
    EXPECT_EQ(store_->addFile(open("file").get()), contents.size() - 1);
  }
  EXPECT_EQ(drain(), contents);
}

// Up to 64 MiB are copied; for what is larger addFile() waits.
TEST_F(BlobStoreTest, FilesAreTakenAsTheyAreNow) {
  for (size_t size : {size_t{3} << 20, size_t{70} << 20}) {
    UniqueFd file = open("file" + std::to_string(size), O_RDWR);
    ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
    store_->addFile(file.get());
    ASSERT_EQ(::pwrite(file.get(), "later", 5, 1'000'000), 5);
  }
  const Contents contents = drain();
  ASSERT_EQ(contents.size(), 2u);
  EXPECT_TRUE(contents[0] == ByteVector(size_t{3} << 20));
  EXPECT_TRUE(contents[1] == ByteVector(size_t{70} << 20));
}

// The kernel's time stamps tick, so the same stat may stand for two contents.
TEST_F(BlobStoreTest, RewrittenFileIsReadAgainHoweverSoon) {
  UniqueFd file = open("file", O_RDWR);
  for (uint32_t i = 0; i < 200; ++i) {
    ASSERT_EQ(::pwrite(file.get(), &i, sizeof i, 0), 4);
    ASSERT_EQ(store_->addFile(file.get()), i);
  }
}

TEST_F(BlobStoreTest, SettledFileIsNotReadAgain) {
  for (size_t size : {1000, 100'000, 1'000'000}) {
    writeFile(path("file"), noise(size, 1));
    settle();
    newTrace();
    UniqueFd file = open("file");
    EXPECT_EQ(store_->addFile(file.get()), 0u);
    // Reading from a descriptor without the permission fails; knowing its version needs none.
    UniqueFd unreadable(::open(path("file").c_str(), O_PATH | O_CLOEXEC));
    EXPECT_EQ(store_->addFile(unreadable.get()), 0u);
    settle();
    writeFile(path("file"), noise(size, 2));
    EXPECT_EQ(store_->addFile(file.get()), 1u);
    EXPECT_EQ(drain(), (Contents{noise(size, 1), noise(size, 2)}));
  }
}

TEST_F(BlobStoreTest, CacheServesTheNextSession) {
  const ByteVector bytes = noise(2'000'000, 1);
  writeFile(path("file"), bytes);
  settle();
  store_->addFile(open("file").get());
  EXPECT_EQ(drain(), Contents{bytes});
  newTrace();
  UniqueFd unreadable(::open(path("file").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(store_->addFile(unreadable.get()), 0u);
  EXPECT_EQ(drain(), Contents{bytes});
}

TEST_F(BlobStoreTest, TornOrPoisonedCacheIsReplaced) {
  const ByteVector bytes = noise(2'000'000, 1);
  writeFile(path("file"), bytes);
  settle();
  auto record = [&] {
    newTrace();
    store_->addFile(open("file").get());
    EXPECT_EQ(drain(), Contents{bytes});
  };
  struct stat status;
  ASSERT_EQ(::stat(path("file").c_str(), &status), 0);
  const FileVersion version = FileVersion::of(status);
  auto isCached = [&] {
    const BlobCache cache(sessionKey().cache);
    const auto entry = cache.find(version);
    return entry && readCached(cache, *entry);
  };
  record();
  EXPECT_TRUE(isCached());
  const std::string name = path("cache") + "/" + version.cacheName();
  const ByteVector whole = readFile(name);
  ByteVector poisoned = whole;
  poisoned[whole.size() / 2] ^= 1;
  for (const ByteVector& damaged : {ByteVector(whole.begin(), whole.end() - 100), poisoned}) {
    writeFile(name, damaged);
    EXPECT_FALSE(isCached());
    record();
    EXPECT_TRUE(isCached());
  }

  // The number is given out before the cache is read; without the file there is nothing to go by.
  writeFile(name, poisoned);
  newTrace();
  UniqueFd unreadable(::open(path("file").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(store_->addFile(unreadable.get()), 0u);
  const Error error = errorOf([&] { store_->drain(); });
  EXPECT_NE(std::string(error.what()).find(path("file")), std::string::npos) << error.what();
  EXPECT_EQ(errorOf([&] { frames_->seal(); }).what(), std::string(error.what()));
}

TEST_F(BlobStoreTest, SmallFilesAreNotCached) {
  writeFile(path("file"), noise(BlobCache::kSmallestFile - 1, 1));
  settle();
  store_->addFile(open("file").get());
  drain();
  EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
}

TEST_F(BlobStoreTest, RefusesWhatItCannotTake) {
  UniqueFd sparse = open("sparse", O_RDWR);
  ASSERT_EQ(::ftruncate(sparse.get(), (4ll << 30) + 1), 0);
  const Error huge = errorOf([&] { store_->addFile(sparse.get()); });
  EXPECT_NE(std::string(huge.what()).find("4294967297 bytes"), std::string::npos) << huge.what();
  EXPECT_FALSE(huge.remedy().empty());
  UniqueFd device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(errorOf([&] { store_->addFile(device.get()); }).code(), ExitCode::kFailure);
  UniqueFd writeOnly(::open(path("key").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(errorOf([&] { store_->addFile(writeOnly.get()); }).code(), ExitCode::kFailure);
  ASSERT_EQ(::ftruncate(sparse.get(), 100 << 20), 0);
  UniqueFd largeWriteOnly(::open(path("sparse").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(errorOf([&] { store_->addFile(largeWriteOnly.get()); }).code(), ExitCode::kFailure);
  EXPECT_EQ(errorOf([&] { store_->addFile(-1); }).code(), ExitCode::kFailure);
  UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));  // address 0: EIO
  EXPECT_EQ(errorOf([&] { store_->addFile(memory.get()); }).code(), ExitCode::kFailure);
  EXPECT_EQ(store_->add(noise(10, 1)), 0u);
  EXPECT_EQ(drain(), Contents{noise(10, 1)});
}

// As on every host: an executable that was there long before the session.
TEST_F(BlobStoreTest, ProgramsOfTheSystem) {
  UniqueFd shell(::open("/bin/bash", O_RDONLY | O_CLOEXEC));
  if (!shell) GTEST_SKIP() << "no bash";
  for (int session = 0; session < 2; ++session) {  // the second time from the cache
    newTrace();
    EXPECT_EQ(store_->addProgram(shell.get()), 0u);
    EXPECT_EQ(store_->addProgram(shell.get()), 0u);
    EXPECT_EQ(store_->addFile(shell.get()), 0u);
    EXPECT_TRUE(drain() == Contents{readFile("/bin/bash")});
  }
}

class BlobWorkerTest : public BlobStoreTest {
 protected:
  FileVersion version(int fd) const {
    struct stat status;
    EXPECT_EQ(::fstat(fd, &status), 0);
    return FileVersion::of(status);
  }
  const BlobCache cache_{sessionKey().cache};
};

TEST_F(BlobWorkerTest, FileThatChangesBeforeItWasReadFailsTheTrace) {
  for (auto change : {+[](int fd) { return ::pwrite(fd, "x", 1, 0) == 1; },
                      +[](int fd) { return ::ftruncate(fd, 100) == 0; },
                      +[](int fd) { return ::fchmod(fd, 0700) == 0; }}) {
    newTrace();
    BlobWorker worker(*frames_, cache_, {});
    UniqueFd file = open("program", O_RDWR);
    ASSERT_EQ(::ftruncate(file.get(), 300 << 20), 0);
    settle();
    worker.put(
        {.file = UniqueFd(::dup(file.get())), .cacheAs = version(file.get()), .mustStay = true});
    ASSERT_TRUE(change(file.get()));
    const Error error = errorOf([&] { worker.drain(); });
    EXPECT_EQ(error.code(), ExitCode::kFailure);
    EXPECT_NE(std::string(error.what()).find("changed while it was being recorded"),
              std::string::npos);
    EXPECT_FALSE(error.remedy().empty());
    EXPECT_EQ(errorOf([&] { frames_->check(); }).what(), std::string(error.what()));
    EXPECT_EQ(errorOf([&] { worker.put({.bytes = noise(10, 1)}); }).what(),
              std::string(error.what()));
    EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
  }
}

TEST_F(BlobWorkerTest, FileThatStaysIsTaken) {
  const ByteVector bytes = noise(5'000'000, 1);
  writeFile(path("program"), bytes);
  UniqueFd file = open("program");
  BlobWorker worker(*frames_, cache_, {});
  worker.put(
      {.file = UniqueFd(::dup(file.get())), .cacheAs = version(file.get()), .mustStay = true});
  worker.drain();
  EXPECT_EQ(drain(), Contents{bytes});
  const auto entry = cache_.find(version(file.get()));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->sha256, sha256(bytes));
}

TEST_F(BlobWorkerTest, TakesNoMoreThanItsBound) {
  BlobWorker worker(*frames_, cache_, {});
  for (uint32_t i = 0; i < 4; ++i) {
    ByteVector bytes(40 << 20);
    bytes[0] = static_cast<uint8_t>(i);
    worker.put({.bytes = std::move(bytes)});
    // Two of them are too much, so those before this one are in the file.
    EXPECT_GE(framesOf(readFile(file_)).size(), i);
  }
}

TEST_F(BlobWorkerTest, RunsBesideTheCoreOfItsCaller) {
  std::vector<uint64_t> all(16), own(16), worker(16);
  const size_t size = all.size() * sizeof(uint64_t);
  auto set = [](std::vector<uint64_t>& mask) { return reinterpret_cast<cpu_set_t*>(mask.data()); };
  ASSERT_EQ(::sched_getaffinity(0, size, set(all)), 0);
  if (CPU_COUNT_S(size, set(all)) < 2) GTEST_SKIP() << "one core only";
  CPU_SET_S(static_cast<size_t>(::sched_getcpu()), size, set(own));
  std::vector<pid_t> before;
  auto threads = [] {
    std::vector<pid_t> tids;
    for (auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      tids.push_back(std::stoi(entry.path().filename()));
    }
    return tids;
  };
  before = threads();
  ASSERT_EQ(::sched_setaffinity(0, size, set(own)), 0);
  BlobWorker subject(*frames_, cache_, all);
  EXPECT_EQ(::sched_setaffinity(0, size, set(all)), 0);
  subject.put({.bytes = noise(10, 1)});
  subject.drain();  // so it has set its affinity
  std::vector<uint64_t> others = all;
  for (size_t i = 0; i < all.size(); ++i) others[i] &= ~own[i];
  for (pid_t tid : threads()) {
    if (std::ranges::count(before, tid) > 0) continue;
    ASSERT_EQ(::sched_getaffinity(tid, size, set(worker)), 0);
    EXPECT_EQ(worker, others);
  }
}

}  // namespace
}  // namespace airr
