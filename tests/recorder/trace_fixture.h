// What the tests of the trace share: a directory of their own, a key, and small traces in it.
//
// Not thread-safe: sets AIRR_CACHE_DIR for the process.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <schema/airr.capnp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "recorder/blob_cache.h"
#include "recorder/keys.h"
#include "recorder/trace_writer.h"
#include "replayer/trace_reader.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

using ByteVector = std::vector<uint8_t>;

inline ByteVector readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void writeFile(const std::string& path, const ByteVector& bytes, mode_t mode = 0600) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  ASSERT_TRUE(file) << path;
  ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

// What the cache has for an entry, if it is whole.
inline std::optional<ByteVector> readCached(const BlobCache& cache, const BlobCache::Entry& entry) {
  using Result = BlobCache::Reader::Result;
  std::vector<uint8_t> buffer(BlobCache::kBlock);
  BlobCache::Reader reader(cache, entry, buffer);
  ByteVector whole;
  HashedBytes block;
  Result result;
  while ((result = reader.next(block)) == Result::kBlock)
    whole.insert(whole.end(), block.bytes.begin(), block.bytes.end());
  return result == Result::kEnd ? std::optional(whole) : std::nullopt;
}

// Bytes that do not compress and are the same for the same seed.
inline ByteVector noise(size_t size, uint64_t seed) {
  ByteVector bytes(size);
  uint64_t state = seed * 2 + 1;
  for (uint8_t& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56);
  }
  return bytes;
}

// Waits until a file's stamps are older than the clock tick within which they cannot be relied on.
inline void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(80)); }

// Runs an action that must throw an Error, and returns it.
template <class Action>
Error errorOf(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return Error(ExitCode::kSuccess, "");
}

class TraceTest : public testing::Test {
 protected:
  TraceTest() {
    std::string name = testing::TempDir() + "airr-trace-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    ::setenv("AIRR_CACHE_DIR", (directory_ + "/cache").c_str(), 1);
    ByteVector root(32);
    for (size_t i = 0; i < root.size(); ++i) root[i] = static_cast<uint8_t>(i);
    writeFile(path("key"), root);
    keys_ = KeyStore::load(path("key"), false);
  }
  ~TraceTest() override {
    ::unsetenv("AIRR_CACHE_DIR");
    std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  SessionKey sessionKey() const { return keys_.sessionKey(kSessionId); }

  static void fillHeader(capnp::MallocMessageBuilder& message) {
    auto header = message.initRoot<schema::Header>();
    header.setAirrVersion("0.1.0");
    header.setSessionId(kj::arrayPtr(kSessionId.data(), kSessionId.size()));
    header.setStartedAt(1'700'000'000'000'000'000);
  }

  TraceWriter create(const std::string& file) const {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    return TraceWriter(file, sessionKey(), header);
  }

  // A whole event, by which its number can be told.
  static void writeNote(TraceWriter& writer, uint32_t task, const std::string& text) {
    auto event = writer.begin();
    event.setTask(task);
    auto note = event.initNote();
    note.setKind("test");
    note.setText(text);
    writer.commit();
  }

  static ByteVector canonical(schema::Event::Reader event) {
    const auto words = capnp::canonicalize(event);
    const auto bytes = words.asBytes();
    return {bytes.begin(), bytes.end()};
  }

  static inline const ByteVector kSessionId = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                               0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
  std::string directory_;
  KeyStore keys_;
};

}  // namespace airr
