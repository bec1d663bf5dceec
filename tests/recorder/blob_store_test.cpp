#include "recorder/blob_store.h"

#include <zstd.h>

#include "recorder/blob_cache.h"
#include "recorder/blob_compressor.h"
#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

class BlobStoreTest : public TraceTest {
 protected:
  using Contents = std::vector<ByteVector>;

  static ByteVector content(const BlobStore::Blob& blob) {
    ByteVector raw(blob.size + 1);
    std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
    const size_t size = ZSTD_decompressDCtx(context.get(), raw.data(), raw.size(),
                                            blob.stored->data(), blob.stored->size());
    EXPECT_EQ(size, blob.size);
    raw.resize(blob.size);
    EXPECT_EQ(blob.sha256, sha256(raw));
    return raw;
  }
  UniqueFd open(const std::string& name) const {
    return UniqueFd(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
  }

  static Contents drain(BlobStore& store) {
    Contents contents;
    while (auto blob = store.takeNext()) contents.push_back(content(*blob));
    return contents;
  }

  const std::array<uint8_t, 32> key_ = sessionKey().cache;
};

TEST_F(BlobStoreTest, NumbersDeduplicatesAndKeepsOrder) {
  BlobStore store(key_);
  const ByteVector a = noise(3'000'000, 1), b = {}, c = noise(10, 2);
  EXPECT_EQ(store.add(a), 0u);
  EXPECT_EQ(store.add(b), 1u);
  EXPECT_EQ(store.add(a), 0u);
  EXPECT_EQ(store.add(c), 2u);
  EXPECT_EQ(drain(store), (Contents{a, b, c}));
  EXPECT_FALSE(store.takeReady());
  EXPECT_EQ(store.add(c), 2u);
  EXPECT_FALSE(store.takeNext());
}

TEST_F(BlobStoreTest, FilesOfAllSizes) {
  BlobStore store(key_);
  Contents contents;
  for (size_t size : {0, 1, 300'000, 1 << 20, (1 << 20) + 1, 5'000'000}) {
    contents.push_back(noise(size, size));
    writeFile(path("file"), contents.back());
    EXPECT_EQ(store.addFile(open("file").get()), contents.size() - 1);
  }
  EXPECT_EQ(store.add(contents.back()), contents.size() - 1);
  EXPECT_EQ(drain(store), contents);
}

TEST_F(BlobStoreTest, LargeFileEqualToAKnownBlobIsNotStoredAgain) {
  BlobStore store(key_);
  const ByteVector large = noise(3'000'000, 1), next = noise(2'500'000, 2);
  EXPECT_EQ(store.add(large), 0u);
  writeFile(path("file"), large);
  EXPECT_EQ(store.addFile(open("file").get()), 0u);
  EXPECT_EQ(store.add(next), 1u);
  EXPECT_EQ(drain(store), (Contents{large, next}));
}

// The kernel's time stamps tick, so the same stat may stand for two contents.
TEST_F(BlobStoreTest, RewrittenFileIsReadAgainHoweverSoon) {
  BlobStore store(key_);
  UniqueFd file(::open(path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  for (uint32_t i = 0; i < 200; ++i) {
    ASSERT_EQ(::pwrite(file.get(), &i, sizeof i, 0), 4);
    ASSERT_EQ(store.addFile(file.get()), i);
  }
}

TEST_F(BlobStoreTest, SettledFileIsNotReadAgain) {
  writeFile(path("file"), noise(1000, 1));
  settle();
  BlobStore store(key_);
  UniqueFd file = open("file");
  EXPECT_EQ(store.addFile(file.get()), 0u);
  // Reading from a descriptor without the permission fails; knowing its version needs none.
  UniqueFd unreadable(::open(path("file").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(store.addFile(unreadable.get()), 0u);
  settle();
  writeFile(path("file"), noise(1000, 2));
  EXPECT_EQ(store.addFile(file.get()), 1u);
}

TEST_F(BlobStoreTest, CacheServesTheNextSession) {
  const ByteVector bytes = noise(2'000'000, 1);
  writeFile(path("file"), bytes);
  settle();
  {
    BlobStore store(key_);
    store.addFile(open("file").get());
    EXPECT_EQ(drain(store), Contents{bytes});
  }
  BlobStore store(key_);
  UniqueFd unreadable(::open(path("file").c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(store.addFile(unreadable.get()), 0u);
  EXPECT_EQ(drain(store), Contents{bytes});
}

TEST_F(BlobStoreTest, TornCacheIsReplaced) {
  const ByteVector bytes = noise(2'000'000, 1);
  writeFile(path("file"), bytes);
  settle();
  auto record = [&] {
    BlobStore store(key_);
    store.addFile(open("file").get());
    EXPECT_EQ(drain(store), Contents{bytes});
  };
  record();
  std::filesystem::directory_iterator cached(path("cache"));
  const std::string name = cached->path();
  const ByteVector whole = readFile(name);
  writeFile(name, {whole.begin(), whole.end() - 100});
  record();
  EXPECT_EQ(readFile(name), whole);
}

TEST_F(BlobStoreTest, SmallFilesAreNotCached) {
  writeFile(path("file"), noise(BlobCache::kSmallestFile - 1, 1));
  settle();
  {
    BlobStore store(key_);
    store.addFile(open("file").get());
    drain(store);
  }
  EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
}

TEST_F(BlobStoreTest, RefusesWhatItCannotTake) {
  BlobStore store(key_);
  UniqueFd sparse(::open(path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::ftruncate(sparse.get(), (4ll << 30) + 1), 0);
  const Error huge = errorOf([&] { store.addFile(sparse.get()); });
  EXPECT_NE(std::string(huge.what()).find("4294967297 bytes"), std::string::npos) << huge.what();
  EXPECT_FALSE(huge.remedy().empty());
  UniqueFd device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(errorOf([&] { store.addFile(device.get()); }).code(), ExitCode::kFailure);
  UniqueFd writeOnly(::open(path("key").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(errorOf([&] { store.addFile(writeOnly.get()); }).code(), ExitCode::kFailure);
  EXPECT_EQ(errorOf([&] { store.addFile(-1); }).code(), ExitCode::kFailure);
  EXPECT_EQ(store.add(noise(10, 1)), 0u);
  EXPECT_EQ(drain(store).size(), 1u);
}

TEST_F(BlobStoreTest, ContinuesAfterAFileThatCannotBeRead) {
  BlobStore store(key_);
  UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));  // address 0: EIO
  EXPECT_EQ(errorOf([&] { store.addFile(memory.get()); }).code(), ExitCode::kFailure);
  const ByteVector bytes = noise(2'000'000, 1);
  EXPECT_EQ(store.add(bytes), 0u);
  EXPECT_EQ(drain(store), Contents{bytes});
}

TEST_F(BlobStoreTest, CompressorDropsAJobThatWasGivenUp) {
  const BlobCache cache(key_);
  BlobCompressor compressor(cache);
  const ByteVector bytes = noise(100'000, 1);
  auto abandoned = std::make_shared<CompressionJob>(), whole = std::make_shared<CompressionJob>();
  compressor.append(abandoned, noise(100'000, 2), false);
  compressor.append(whole, bytes, true);
  const auto stored = compressor.wait(*whole);
  EXPECT_EQ(content({sha256(bytes), bytes.size(), stored}), bytes);
  EXPECT_EQ(compressor.poll(*abandoned), nullptr);
}

}  // namespace
}  // namespace airr
