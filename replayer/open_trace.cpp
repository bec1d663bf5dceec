#include "replayer/open_trace.h"

#include <unistd.h>

#include "schema/error.h"

namespace airr {
namespace {

constexpr const char* kRemedy = "Set AIRR_KEY_FILE to the root key of whoever recorded the trace";

}  // namespace

OpenTrace openAuthenticated(const std::string& path) {
  std::string keyPath = KeyStore::defaultPath();
  if (access(keyPath.c_str(), F_OK) != 0) {
    // What is no trace at all should be reported as that first.
    TraceReader(path, nullptr);
    throw Error(ExitCode::kWrongKey,
                "there is no key at " + keyPath + " to check " + path + " with", kRemedy);
  }
  OpenTrace trace;
  const TraceReader unchecked(path, nullptr);
  const auto keyId = unchecked.header().getKeyId();
  trace.keys = std::make_unique<KeyStore>(KeyStore::load(keyPath, {keyId.begin(), keyId.size()}));
  trace.reader = std::make_unique<TraceReader>(path, trace.keys.get());
  return trace;
}

OpenTrace openForReading(const std::string& path) {
  OpenTrace trace;
  try {
    return openAuthenticated(path);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kWrongKey && error.code() != ExitCode::kFailure) throw;
    trace.notAuthenticated = error.what();
  }
  trace.reader = std::make_unique<TraceReader>(path, nullptr);
  return trace;
}

const char* toString(TraceEnd end) {
  switch (end) {
    case TraceEnd::kSealed:
      return "sealed";
    case TraceEnd::kUnsealed:
      return "unsealed";
    case TraceEnd::kTruncated:
      return "truncated";
  }
  return "unknown";
}

}  // namespace airr
