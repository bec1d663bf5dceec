#include "recorder/blob_cache.h"

#include "tests/recorder/trace_fixture.h"

namespace airr {
namespace {

class BlobCacheTest : public TraceTest {
 protected:
  static FileVersion version(uint64_t inode) { return {1, inode, 300'000, 17, 18}; }

  std::string onlyFile() const {
    std::vector<std::string> files;
    for (auto& entry : std::filesystem::directory_iterator(path("cache"))) {
      files.push_back(entry.path());
    }
    EXPECT_EQ(files.size(), 1u);
    return files.at(0);
  }

  static void store(const BlobCache& cache, const FileVersion& version, const Digest& sha256,
                    const ByteVector& stored, const std::string& path = {}) {
    BlobCache::Draft draft(cache);
    for (size_t at = 0; at < stored.size(); at += BlobCache::kBlock) {
      draft.append(
          hashed(Bytes(stored).subspan(at, std::min(BlobCache::kBlock, stored.size() - at))));
    }
    draft.commit(version, sha256, path);
  }

  // Whether the cache has the entry whole.
  static bool has(const BlobCache& cache, const FileVersion& version) {
    const auto entry = cache.find(version);
    return entry && readCached(cache, *entry);
  }

  const std::array<uint8_t, 32> key_ = sessionKey().cache;
  const ByteVector stored_ = noise(100'000, 5);
  const Digest digest_ = sha256(stored_);
};

TEST_F(BlobCacheTest, RoundTripAcrossProcesses) {
  store(BlobCache(key_), version(2), digest_, stored_);
  const auto entry = BlobCache(key_).find(version(2));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->sha256, digest_);
  EXPECT_EQ(entry->size, version(2).size);
  std::filesystem::remove(onlyFile());  // evicted by another process
  EXPECT_EQ(readCached(BlobCache(key_), *entry), stored_);
  struct stat status;
  ASSERT_EQ(::stat(path("cache").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

TEST_F(BlobCacheTest, ReadsBlockByBlockUpToABrokenOne) {
  using Result = BlobCache::Reader::Result;
  const BlobCache cache(key_, 100'000'000);
  const ByteVector large = noise(2 * BlobCache::kBlock + 77, 6);
  store(cache, version(2), digest_, large);
  auto entry = cache.find(version(2));
  ASSERT_TRUE(entry);
  EXPECT_EQ(readCached(cache, *entry), large);
  const std::string file = onlyFile();
  ByteVector altered = readFile(file);
  const size_t data = altered.size() - large.size() - 3 * (BlobCache::kTag + sizeof(Digest));
  altered[data + BlobCache::kBlock + 1000] ^= 1;
  writeFile(file, altered);
  entry = cache.find(version(2));
  ASSERT_TRUE(entry);
  std::vector<uint8_t> buffer(BlobCache::kBlock);
  BlobCache::Reader reader(cache, *entry, buffer);
  HashedBytes block;
  EXPECT_EQ(reader.next(block), Result::kBlock);
  EXPECT_TRUE(std::equal(block.bytes.begin(), block.bytes.end(), large.begin()));
  EXPECT_EQ(reader.next(block), Result::kBroken);
}

TEST_F(BlobCacheTest, AnyOtherVersionIsUnknown) {
  const BlobCache cache(key_);
  store(cache, version(2), digest_, stored_);
  for (auto change : {+[](FileVersion& v) { ++v.device; }, +[](FileVersion& v) { ++v.inode; },
                      +[](FileVersion& v) { ++v.size; }, +[](FileVersion& v) { ++v.modified; },
                      +[](FileVersion& v) { ++v.changed; }}) {
    FileVersion other = version(2);
    change(other);
    EXPECT_FALSE(has(cache, other));
  }
  EXPECT_TRUE(has(cache, version(2)));
}

TEST_F(BlobCacheTest, TornOrAlteredEntriesAreUnknown) {
  const BlobCache cache(key_);
  store(cache, version(2), digest_, stored_);
  const std::string file = onlyFile();
  const ByteVector whole = readFile(file);
  for (size_t size : {size_t{0}, size_t{7}, size_t{100}, whole.size() - 1}) {
    writeFile(file, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    EXPECT_FALSE(has(cache, version(2))) << size;
  }
  const size_t header = whole.size() - stored_.size() - BlobCache::kTag - sizeof(Digest);
  for (size_t at = 0; at < whole.size(); at += at < header ? 1 : 9973) {
    ByteVector altered = whole;
    altered[at] ^= 1;
    writeFile(file, altered);
    EXPECT_FALSE(has(cache, version(2))) << at;
  }
  writeFile(file, whole);
  EXPECT_TRUE(has(cache, version(2)));
}

TEST_F(BlobCacheTest, DraftThatIsNotCommittedLeavesNothing) {
  const BlobCache cache(key_, 1'000'000);
  {
    BlobCache::Draft draft(cache);
    draft.append(hashed(stored_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
  store(cache, version(2), digest_, noise(300'000, 1));  // more than a quarter of the capacity
  EXPECT_TRUE(std::filesystem::is_empty(path("cache")));
}

TEST_F(BlobCacheTest, EntriesUnderAnotherKeyAreUnknown) {
  store(BlobCache(std::array<uint8_t, 32>{1}), version(2), digest_, stored_);
  EXPECT_FALSE(has(BlobCache(key_), version(2)));
}

TEST_F(BlobCacheTest, KnowsWhereAContentIs) {
  const BlobCache cache(key_);
  const auto keep = [&](const std::string& name, const ByteVector& content) {
    writeFile(path(name), content);
    settle();
    struct stat status;
    EXPECT_EQ(::stat(path(name).c_str(), &status), 0);
    store(cache, FileVersion::of(status), sha256(content), content, path(name));
  };
  keep("file", stored_);
  keep("other", noise(50'000, 6));
  const auto original = cache.findOriginal(digest_);
  ASSERT_TRUE(original);
  EXPECT_EQ(original->path, path("file"));
  EXPECT_TRUE(original->isUnchanged());
  EXPECT_FALSE(cache.findOriginal(sha256(noise(10, 1))));
  EXPECT_FALSE(BlobCache(std::array<uint8_t, 32>{1}).findOriginal(digest_));

  // Whoever writes to the cache cannot pass another file off as it.
  const std::string name = path("cache/" + hex(digest_));
  const ByteVector text = readFile(name);
  const std::string other = path("other");
  writeFile(name, {other.begin(), other.end()});
  EXPECT_FALSE(cache.findOriginal(digest_));
  for (const std::string& nonsense : {std::string(), std::string("file"), std::string(100'000, '/'), directory_}) {
    writeFile(name, {nonsense.begin(), nonsense.end()});
    EXPECT_FALSE(cache.findOriginal(digest_));
  }
  writeFile(name, text);
  EXPECT_TRUE(cache.findOriginal(digest_));

  writeFile(path("file"), stored_);
  EXPECT_FALSE(original->isUnchanged());
  settle();
  EXPECT_FALSE(cache.findOriginal(digest_));
  std::filesystem::remove(path("file"));
  std::filesystem::create_symlink(path("other"), path("file"));
  EXPECT_FALSE(cache.findOriginal(digest_));
}

TEST_F(BlobCacheTest, HoldsNothingWithoutAPrivateDirectory) {
  auto holds = [&] {
    const BlobCache cache(key_);
    store(cache, version(2), digest_, stored_);
    return has(cache, version(2));
  };
  EXPECT_TRUE(holds());
  ::chmod(path("cache").c_str(), 0750);
  EXPECT_FALSE(holds());
  ::setenv("AIRR_CACHE_DIR", path("key/below").c_str(), 1);  // cannot exist: `key` is a file
  EXPECT_FALSE(holds());
}

TEST_F(BlobCacheTest, EvictsTheLeastRecentlyUsed) {
  const BlobCache cache(key_, 450'000);
  for (uint64_t inode : {1, 2, 3}) {
    store(cache, version(inode), digest_, stored_);
    settle();
  }
  EXPECT_TRUE(has(cache, version(1)));
  settle();
  store(cache, version(4), digest_, stored_);
  settle();
  store(cache, version(5), digest_, stored_);
  EXPECT_FALSE(has(cache, version(2)));
  EXPECT_TRUE(has(cache, version(1)));
  EXPECT_TRUE(has(cache, version(5)));
}

}  // namespace
}  // namespace airr
