// Traces of some epochs for the tests of what proves them.
#pragma once

#include <functional>
#include <string>

#include "replayer/trace_verifier.h"
#include "tests/recorder/raw_trace.h"

namespace airr {

class EvidenceTest : public TraceTest {
 protected:
  // Three epochs and the seal: events, a blob in parts, one that repeats it.
  void writeSmall(const std::string& file, const TraceOptions& options = {}) const {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    RawTrace trace(file, sessionKey(), header, options);
    trace.events({RawTrace::note(1, "first"), RawTrace::reference(0)});
    trace.frames().checkpoint();
    const ByteVector content = noise(60, 1);
    trace.blob(content, {10, 20}, [&] { trace.events({RawTrace::note(2, "between")}); });
    trace.frames().checkpoint();
    trace.frames().sameBlob(sha256(content), content.size());
    trace.events({RawTrace::note(3, "last")});
    trace.frames().seal();
  }

  // Thousands of frames in dozens of epochs, with blobs among them.
  void writeLarge(const std::string& file, uint64_t seed, const SessionKey& key) const {
    capnp::MallocMessageBuilder header;
    fillHeader(header);
    RawTrace trace(file, key, header);
    for (uint64_t i = 0; i < 3000; ++i) {
      trace.events({RawTrace::note(static_cast<uint32_t>(i), "note " + std::to_string(seed)),
                    RawTrace::note(7, std::string(i % 50, 'x'))});
      if (i % 100 == 50) trace.blob(noise(3000, seed + i), {1000, 2000});
      if (i % 90 == 89) trace.frames().checkpoint();
    }
    trace.frames().seal();
  }

  Verification withRootKey(const std::string& file, unsigned threads = 1) const {
    return verifyTrace(file, {.keys = &keys_, .threads = threads});
  }
  Verification withPublicKey(const std::string& file, unsigned threads = 1) const {
    return verifyTrace(file, {.publicKey = keys_.publicKey(), .threads = threads});
  }

  // The verdict, also if it is an Error.
  static ExitCode verdict(const std::function<Verification()>& verify) {
    try {
      return verify().verdict;
    } catch (const Error& error) {
      return error.code();
    }
  }
};

}  // namespace airr
