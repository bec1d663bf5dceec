// What recording and reading a trace cost: an event, a frame, a blob; and reading it all again.

#include <benchmark/benchmark.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <schema/airr.capnp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "recorder/digest.h"
#include "recorder/epoch.h"
#include "recorder/frame.h"
#include "recorder/trace_writer.h"
#include "replayer/trace_reader.h"
#include "replayer/trace_verifier.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

const std::vector<uint8_t> kSessionId(16, 7);

// A directory with a key and an empty cache, for the time of one benchmark.
class Place {
 public:
  Place() {
    std::string name = std::filesystem::temp_directory_path() / "airr-bench-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    ::setenv("AIRR_CACHE_DIR", (directory_ + "/cache").c_str(), 1);
    keys_ = KeyStore::load(directory_ + "/key", true);
  }
  ~Place() { std::filesystem::remove_all(directory_); }

  std::string trace() const { return directory_ + "/trace.cap"; }
  const KeyStore& keys() const { return keys_; }
  TraceWriter create(const std::string& path) const {
    capnp::MallocMessageBuilder header;
    header.initRoot<schema::Header>().setSessionId(
        kj::arrayPtr(kSessionId.data(), kSessionId.size()));
    return TraceWriter(path, keys_.sessionKey(kSessionId), header);
  }

 private:
  std::string directory_;
  KeyStore keys_;
};

// A read(2) of a few bytes: what most events look like.
void writeCall(TraceWriter& writer, uint64_t i) {
  auto event = writer.begin();
  event.setTask(1 + i % 4);
  event.setTime(i * 13);
  auto call = event.initSyscall();
  call.setResult(static_cast<int64_t>(i % 32));
  call.setInputHash(i * 0x9e3779b97f4a7c15);
  auto arguments = call.initArguments(3);
  arguments.set(0, 3 + i % 7);
  arguments.set(1, 0x7ffc12340000 + i % 4096);
  arguments.set(2, 4096);
  auto bytes = call.initWrites(1)[0].initBytes(i % 32);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(i);
  writer.commit();
}

// begin() and commit() alone, without what a full frame costs: the file is /dev/null.
void BM_SmallestEvent(benchmark::State& state) {
  Place place;
  TraceWriter writer = place.create("/dev/null");
  for (auto _ : state) {
    auto event = writer.begin();
    event.setTask(1);
    event.setGateYield(7);
    writer.commit();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SmallestEvent);

void BM_SyscallEvent(benchmark::State& state) {
  Place place;
  TraceWriter writer = place.create("/dev/null");
  uint64_t i = 0;
  for (auto _ : state) writeCall(writer, ++i);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SyscallEvent);

// The worst case: every event must be in the file before the next.
void BM_EventAndFlush(benchmark::State& state) {
  Place place;
  TraceWriter writer = place.create(place.trace());
  uint64_t i = 0;
  for (auto _ : state) {
    writeCall(writer, ++i);
    writer.flush();
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["bytes/event"] =
      static_cast<double>(std::filesystem::file_size(place.trace())) / static_cast<double>(i);
}
BENCHMARK(BM_EventAndFlush);

// Compression and authentication of one frame of the usual size, taken from a real stream of
// events.
void BM_FrameEncode(benchmark::State& state) {
  Place place;
  {
    TraceWriter writer = place.create(place.trace());
    for (uint64_t i = 0; i < 20'000; ++i) writeCall(writer, i);
    writer.seal();
  }
  std::vector<std::vector<uint8_t>> frames(1);
  {
    TraceReader reader(place.trace(), &place.keys());
    while (auto event = reader.next()) {
      capnp::MallocMessageBuilder message;
      message.setRoot(*event);
      const auto words = capnp::messageToFlatArray(message);
      const auto bytes = words.asBytes();
      if (frames.back().size() + bytes.size() > 128 << 10) frames.emplace_back();
      frames.back().insert(frames.back().end(), bytes.begin(), bytes.end());
    }
  }
  EventCompressor compressor;
  EpochKey key(place.keys().sessionKey(kSessionId).hmac);
  FrameHash hash;
  Digest tag{};
  uint64_t raw = 0, stored = 0, i = 0;
  for (auto _ : state) {
    const auto& frame = frames[i++ % frames.size()];
    FrameHeader header;
    std::vector<uint8_t> directory;
    for (Bytes rest = frame; !rest.empty();
         rest = rest.subspan(std::min<size_t>(16 << 10, rest.size()))) {
      const Digest leaf = sha256(rest.first(std::min<size_t>(16 << 10, rest.size())));
      directory.insert(directory.end(), leaf.begin(), leaf.end());
    }
    const Bytes body = compressor.compress(frame, header.encoding);
    stored += body.size();
    std::array<uint8_t, kFrameHeaderSize> bytes;
    header.encode(bytes);
    tag = key.tag(hash.frame(bytes, tag, directory, body));
    raw += frame.size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(raw));
  state.counters["ratio"] = static_cast<double>(raw) / static_cast<double>(stored);
}
BENCHMARK(BM_FrameEncode);

void BM_Read(benchmark::State& state) {
  Place place;
  constexpr int kEvents = 500'000;
  {
    TraceWriter writer = place.create(place.trace());
    for (uint64_t i = 0; i < kEvents; ++i) writeCall(writer, i);
    writer.seal();
  }
  uint64_t sum = 0;
  for (auto _ : state) {
    TraceReader reader(place.trace(), state.range(0) != 0 ? &place.keys() : nullptr);
    while (auto event = reader.next()) sum += event->getTask();
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(BM_Read)->ArgName("key")->Arg(1)->Arg(0)->Unit(benchmark::kMillisecond);

// Seconds of CPU time that all threads of this process have taken.
double processTime() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Bytes a second of CPU time, as `openssl speed -bytes 65536 -evp sha256` measures it, now and
// here; with a file, as much again when the bytes must be read from it first.
double hashRate(std::optional<std::string> path = {}) {
  static std::vector<uint8_t> buffer(1 << 20, 1);
  constexpr size_t kBlock = 64 << 10;
  constexpr size_t kPieces = 32;
  const UniqueFd file(path ? ::open(path->c_str(), O_RDONLY | O_CLOEXEC) : -1);
  Sha256 hash;
  const double start = processTime();
  for (size_t piece = 0; piece < kPieces; ++piece) {
    if (file && ::read(file.get(), buffer.data(), buffer.size()) <= 0) std::abort();
    for (size_t at = 0; at < buffer.size(); at += kBlock) {
      hash.update({buffer.data() + at, kBlock});
      benchmark::DoNotOptimize(hash.finish());
    }
  }
  return static_cast<double>(kPieces * buffer.size()) / (processTime() - start);
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// What `airr verify` does, on frames of 64 KiB that do not compress. By CPU time, and measured in
// turns, `of_sha256` compares it with nothing but the hash, `of_reading` with reading the file and
// hashing it: medians of the rounds.
void BM_Verify(benchmark::State& state) {
  Place place;
  {
    TraceWriter writer = place.create(place.trace());
    std::vector<uint8_t> noise(64 << 10);
    uint64_t random = 1;
    for (int i = 0; i < 2000; ++i) {
      for (uint8_t& byte : noise) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<uint8_t>(random >> 56);
      }
      writer.begin().setClocks(kj::arrayPtr(noise.data(), noise.size()));
      writer.commit();
    }
    writer.seal();
  }
  const bool root = state.range(0) != 0;
  VerifyWith with{.threads = static_cast<unsigned>(state.range(1))};
  if (root) {
    with.keys = &place.keys();
  } else {
    with.publicKey = place.keys().publicKey();
  }
  const auto size = std::filesystem::file_size(place.trace());
  std::vector<double> ofHashing, ofReading;
  for (auto _ : state) {
    state.PauseTiming();
    const double hashing = hashRate();
    const double reading = hashRate(place.trace());
    state.ResumeTiming();
    const double start = processTime();
    if (verifyTrace(place.trace(), with).verdict != ExitCode::kSuccess) state.SkipWithError("?");
    const double rate = static_cast<double>(size) / (processTime() - start);
    ofHashing.push_back(rate / hashing);
    ofReading.push_back(rate / reading);
  }
  state.counters["of_sha256"] = median(ofHashing);
  state.counters["of_reading"] = median(ofReading);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}
BENCHMARK(BM_Verify)
    ->ArgNames({"root", "threads"})
    ->ArgsProduct({{1, 0}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// Embedding this benchmark's own executable; with `cached`, after a session that did it before.
void BM_AddFile(benchmark::State& state) {
  Place place;
  UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto size = std::filesystem::file_size("/proc/self/exe");
  const bool cached = state.range(0) != 0;
  auto record = [&] {
    TraceWriter writer = place.create(place.trace());
    writer.addFile(file.get());
    writer.seal();
  };
  if (cached) record();
  for (auto _ : state) {
    if (!cached) std::filesystem::remove_all(std::getenv("AIRR_CACHE_DIR"));
    record();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}
BENCHMARK(BM_AddFile)->ArgName("cached")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace airr
