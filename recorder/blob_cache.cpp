#include "recorder/blob_cache.h"

#include <dirent.h>
#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

// The beginning of a cache file; `storedSize` bytes of zstd data follow, then a trailer
// for each block: its tag, its SHA-256.
struct CacheHeader {
  char magic[8] = {'A', 'I', 'R', 'R', 'B', 'L', 'B', '5'};
  FileVersion version;
  Digest sha256{};
  uint64_t storedSize = 0;
  uint64_t nonce = 0;  // of no other entry under this key
  Digest mac{};
};
static_assert(sizeof(CacheHeader) == 8 + 40 + 32 + 8 + 8 + 32, "written as it lies in memory");

constexpr size_t kTrailer = BlobCache::kTag + sizeof(Digest);

uint64_t trailersSize(uint64_t storedSize) {
  return (storedSize + BlobCache::kBlock - 1) / BlobCache::kBlock * kTrailer;
}

void require(bool ok) {
  if (!ok) throw Error(ExitCode::kFailure, "OpenSSL cannot compute GMAC with AES-256");
}

uint64_t freshNonce() {
  uint64_t nonce = 0;
  if (::getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) throw systemError("getrandom");
  return nonce;
}

Bytes bytesOf(const CacheHeader& header) {
  return {reinterpret_cast<const uint8_t*>(&header), sizeof header};
}

Bytes authenticatedOf(const CacheHeader& header) {
  return bytesOf(header).first(offsetof(CacheHeader, mac));
}

std::string cachePath() {
  if (std::string own = pathFromEnvironment("AIRR_CACHE_DIR"); !own.empty()) return own;
  if (std::string cache = pathFromEnvironment("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/airr";
  }
  if (std::string home = pathFromEnvironment("HOME"); !home.empty()) return home + "/.cache/airr";
  return {};
}

constexpr uint64_t kMaxFile = 1ull << 40;

constexpr int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileVersion FileVersion::of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

int64_t FileVersion::age() const {
  timespec now;
  // Not through the vDSO: the calling thread may have RDTSC trapped (mediator/own_time.h).
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return nanoseconds(now) - changed;
}

bool FileVersion::isSettled() const {
  constexpr int64_t kTick = 50'000'000;
  return size > 0 && age() > kTick;
}

bool BlobCache::Original::isUnchanged() const {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0 && FileVersion::of(status) == version;
}

std::string FileVersion::cacheName() const {
  char name[48];
  std::snprintf(name, sizeof name, "%llx-%llx", static_cast<unsigned long long>(device),
                static_cast<unsigned long long>(inode));
  return name;
}

UniqueFd openCacheDirectory() {
  const std::string path = cachePath();
  if (path.empty() || !makePrivateDirectory(path)) return {};
  UniqueFd directory = openOwn(path, O_RDONLY | O_DIRECTORY);
  struct stat status;
  if (!directory || ::fstat(directory.get(), &status) != 0) return {};
  if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) return {};
  return directory;
}

std::string BlobCache::defaultPath() { return cachePath(); }

BlobCache::BlobCache(const std::array<uint8_t, 32>& key, uint64_t capacity)
    : key_(key), capacity_(capacity), directory_(openCacheDirectory()) {
  constexpr std::string_view kPurpose = "blocks";
  blockKey_ =
      Hmac(key_).tag({{reinterpret_cast<const uint8_t*>(kPurpose.data()), kPurpose.size()}});
}

std::optional<BlobCache::Entry> BlobCache::find(const FileVersion& version) const {
  if (!directory_) return std::nullopt;
  UniqueFd file =
      openOwn(directory_.get(), version.cacheName(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;

  CacheHeader header;
  const std::span<uint8_t> raw(reinterpret_cast<uint8_t*>(&header), sizeof header);
  if (readWhole(file.get(), raw, 0) != static_cast<ssize_t>(sizeof header)) return std::nullopt;
  if (std::memcmp(header.magic, CacheHeader{}.magic, sizeof header.magic) != 0 ||
      header.version != version || !equal(header.mac, Hmac(key_).tag({authenticatedOf(header)})) ||
      header.storedSize > kMaxFile ||
      static_cast<uint64_t>(status.st_size) !=
          sizeof header + header.storedSize + trailersSize(header.storedSize)) {
    return std::nullopt;
  }
  ::futimens(file.get(), nullptr);  // used just now: last to be evicted
  return Entry{header.sha256, version.size, std::move(file), header.storedSize, header.nonce};
}

// A content's file needs no tag: what it names counts only if it has an entry that says the same.
std::optional<BlobCache::Original> BlobCache::findOriginal(const Digest& sha256) const {
  if (!directory_) return std::nullopt;
  UniqueFd file = openOwn(directory_.get(), hex(sha256), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  char path[PATH_MAX];
  const ssize_t length = file ? readWhole(file.get(), {reinterpret_cast<uint8_t*>(path), sizeof path}, 0) : 0;
  if (length <= 0) return std::nullopt;
  Original original{{path, static_cast<size_t>(length)}, {}};
  struct stat status;
  if (original.path[0] != '/' || ::lstat(original.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
      ::access(original.path.c_str(), R_OK) != 0)
    return std::nullopt;
  original.version = FileVersion::of(status);
  const auto entry = original.version.isSettled() ? find(original.version) : std::nullopt;
  if (!entry || entry->sha256 != sha256) return std::nullopt;
  ::futimens(file.get(), nullptr);  // as find() does
  return original;
}

void BlobCache::keepPath(const Digest& sha256, const std::string& path) const {
  if (path.empty() || path.size() > PATH_MAX) return;
  replaceFile(directory_.get(), hex(sha256), {{reinterpret_cast<const uint8_t*>(path.data()), path.size()}});
}

BlobCache::BlockTags::BlockTags(const BlobCache& cache, uint64_t nonce)
    : context_(EVP_CIPHER_CTX_new()), nonce_(nonce) {
  // Fetching takes longer than a small file does.
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  require(context_ && cipher != nullptr &&
          EVP_EncryptInit_ex2(context_.get(), cipher,
                                          cache.blockKey_.data(), nullptr, nullptr) == 1);
  begin();
}

void BlobCache::BlockTags::begin() {
  uint8_t iv[sizeof nonce_ + sizeof block_];
  std::memcpy(iv, &nonce_, sizeof nonce_);
  std::memcpy(iv + sizeof nonce_, &block_, sizeof block_);
  require(EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, iv, nullptr) == 1);
}

void BlobCache::BlockTags::update(Bytes bytes) {
  int ignored = 0;
  require(EVP_EncryptUpdate(context_.get(), nullptr, &ignored, bytes.data(),
                            static_cast<int>(bytes.size())) == 1);
}

std::array<uint8_t, BlobCache::kTag> BlobCache::BlockTags::next(const HashedBytes& block) {
  update(block.bytes);
  update(block.sha256);
  std::array<uint8_t, kTag> tag;
  int ignored = 0;
  require(EVP_EncryptFinal_ex(context_.get(), tag.data(), &ignored) == 1 &&
          EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kTag, tag.data()) == 1);
  ++block_;
  begin();
  return tag;
}

BlobCache::Reader::Reader(const BlobCache& cache, const Entry& entry, std::span<uint8_t> buffer)
    : entry_(entry), tags_(cache, entry.nonce), buffer_(buffer) {}

BlobCache::Reader::Result BlobCache::Reader::next(HashedBytes& block) {
  if (at_ == entry_.storedSize) return Result::kEnd;
  const std::span<uint8_t> bytes =
      buffer_.first(std::min<uint64_t>(kBlock, entry_.storedSize - at_));
  std::array<uint8_t, kTrailer> trailer;
  const uint64_t trailerAt = sizeof(CacheHeader) + entry_.storedSize + at_ / kBlock * kTrailer;
  if (readWhole(entry_.file.get(), bytes, sizeof(CacheHeader) + at_) !=
          static_cast<ssize_t>(bytes.size()) ||
      readWhole(entry_.file.get(), trailer, trailerAt) != static_cast<ssize_t>(trailer.size())) {
    return Result::kBroken;
  }
  block.bytes = bytes;
  std::copy(trailer.begin() + kTag, trailer.end(), block.sha256.begin());
  const auto expected = tags_.next(block);
  if (CRYPTO_memcmp(expected.data(), trailer.data(), expected.size()) != 0) return Result::kBroken;
  at_ += bytes.size();
  return Result::kBlock;
}

BlobCache::Draft::Draft(const BlobCache& cache)
    : cache_(cache),
      name_("new." + std::to_string(::gettid())),
      nonce_(freshNonce()),
      tagger_(cache, nonce_) {
  if (!cache_.directory_) return;
  ::unlinkat(cache_.directory_.get(), name_.c_str(), 0);
  file_ = openOwn(cache_.directory_.get(), name_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  const CacheHeader none{};  // the true one comes last
  if (file_ && !writeWhole(file_.get(), {bytesOf(none)})) drop();
}

BlobCache::Draft::~Draft() { drop(); }

void BlobCache::Draft::drop() {
  if (file_) ::unlinkat(cache_.directory_.get(), name_.c_str(), 0);
  file_.reset();
}

void BlobCache::Draft::append(const HashedBytes& block) {
  if (!file_) return;
  const auto tag = tagger_.next(block);
  trailers_.insert(trailers_.end(), tag.begin(), tag.end());
  trailers_.insert(trailers_.end(), block.sha256.begin(), block.sha256.end());
  storedSize_ += block.bytes.size();
  if (storedSize_ > cache_.capacity_ / 4 || !writeWhole(file_.get(), {block.bytes})) drop();
}

void BlobCache::Draft::commit(const FileVersion& version, const Digest& sha256, const std::string& path) {
  if (!file_) return;
  if (!writeWhole(file_.get(), {trailers_})) return drop();
  CacheHeader header;
  header.version = version;
  header.sha256 = sha256;
  header.storedSize = storedSize_;
  header.nonce = nonce_;
  header.mac = Hmac(cache_.key_).tag({authenticatedOf(header)});
  const int directory = cache_.directory_.get();
  if (::pwrite(file_.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
      ::renameat(directory, name_.c_str(), directory, version.cacheName().c_str()) != 0) {
    return drop();
  }
  file_.reset();
  cache_.keepPath(sha256, path);
  if (cache_.untilEviction_ > storedSize_) {
    cache_.untilEviction_ -= storedSize_;
  } else {
    cache_.evict();
    cache_.untilEviction_ = cache_.capacity_ / 64;
  }
}

void BlobCache::evict() const {
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  UniqueFd fd = openOwn(directory_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return;
  // fdopendir(3) takes the descriptor over, so it gets one of its own.
  std::unique_ptr<DIR, Close> listing(::fdopendir(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstOwnFd)));
  if (!listing) return;

  struct Held {
    timespec used;
    uint64_t bytes;
    std::string name;
  };
  std::vector<Held> held;
  uint64_t total = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    struct stat status;
    if (::fstatat(fd.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(status.st_mode)) continue;
    held.push_back({status.st_mtim, static_cast<uint64_t>(status.st_blocks) * 512, entry->d_name});
    total += held.back().bytes;
  }
  if (total <= capacity_) return;
  std::sort(held.begin(), held.end(), [](const Held& a, const Held& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Held& file : held) {
    if (total <= capacity_) break;
    if (::unlinkat(fd.get(), file.name.c_str(), 0) == 0) total -= file.bytes;
  }
}

}  // namespace airr
