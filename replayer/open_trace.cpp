#include "replayer/open_trace.h"

#include <unistd.h>

#include "schema/error.h"

namespace airr {
namespace {

constexpr const char* kRemedy = "Set AIRR_KEY_FILE to the root key of whoever recorded the trace";

std::vector<Identity> load(const std::vector<std::string>& files) {
  std::vector<Identity> identities;
  for (const std::string& file : files) identities.push_back(Identity::load(file));
  return identities;
}

OpenTrace openWithKey(const std::string& path, const std::vector<std::string>& identityFiles) {
  std::string keyPath = KeyStore::defaultPath();
  const TraceReader unchecked(path, nullptr);  // what is no trace at all is reported as that first
  if (access(keyPath.c_str(), F_OK) != 0) {
    throw Error(ExitCode::kWrongKey,
                "there is no key at " + keyPath + " to check " + path + " with", kRemedy);
  }
  OpenTrace trace;
  const auto keyId = unchecked.header().getKeyId();
  trace.keys = std::make_unique<KeyStore>(KeyStore::load(keyPath, {keyId.begin(), keyId.size()}));
  trace.identities = load(identityFiles);
  trace.identities.push_back(trace.keys->identity());
  trace.reader = std::make_unique<TraceReader>(path, trace.keys.get(), trace.identities);
  return trace;
}

OpenTrace openWithOrWithoutKey(const std::string& path,
                               const std::vector<std::string>& identityFiles) {
  OpenTrace trace;
  try {
    return openWithKey(path, identityFiles);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kWrongKey && error.code() != ExitCode::kFailure) throw;
    trace.notAuthenticated = error.what();
  }
  trace.identities = identitiesFor(path, identityFiles);
  trace.reader = std::make_unique<TraceReader>(path, nullptr, trace.identities);
  return trace;
}

}  // namespace

std::vector<Identity> identitiesFor(const std::string& path,
                                    const std::vector<std::string>& identityFiles) {
  std::vector<Identity> identities = load(identityFiles);
  const std::string keyPath = KeyStore::defaultPath();
  // A protected key store is not opened for nothing: it may ask for a passphrase.
  if (!identities.empty() || TraceReader(path, nullptr).recipients().empty() ||
      access(keyPath.c_str(), F_OK) != 0) {
    return identities;
  }
  identities.push_back(KeyStore::load(keyPath, false).identity());
  return identities;
}

OpenTrace openAuthenticated(const std::string& path,
                            const std::vector<std::string>& identityFiles) {
  OpenTrace trace = openWithKey(path, identityFiles);
  trace.reader->requireContents();
  return trace;
}

OpenTrace openForReading(const std::string& path, const std::vector<std::string>& identityFiles) {
  OpenTrace trace = openWithOrWithoutKey(path, identityFiles);
  if (trace.reader->hidesMetadata()) trace.reader->requireContents();
  return trace;
}

OpenTrace openForVerifying(const std::string& path,
                           const std::vector<std::string>& identityFiles) {
  return openWithKey(path, identityFiles);
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
