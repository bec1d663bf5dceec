// Opening a trace with the key at hand.
//
// The caller owns what is returned; not thread-safe. Throws Error as TraceReader does, kWrongKey
// when there is no key, and kEncrypted when it is encrypted to none of the identities at hand: those
// of `identityFiles`, and the key store's own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "replayer/trace_reader.h"

namespace airr {

struct OpenTrace {
  std::unique_ptr<KeyStore> keys;  // null when the trace is read without a key
  std::vector<Identity> identities;
  std::unique_ptr<TraceReader> reader;
  std::string notAuthenticated;  // why no key was used; empty when the tags are checked
};

// With the user's key, or Error kWrongKey if there is none.
OpenTrace openAuthenticated(const std::string& path,
                            const std::vector<std::string>& identityFiles = {});
// The same, but a missing, unreadable or other key leaves the tags unchecked and is explained, and
// metadata that is in the clear will do.
OpenTrace openForReading(const std::string& path,
                         const std::vector<std::string>& identityFiles = {});
// Only to be verified: what is encrypted may stay so.
OpenTrace openForVerifying(const std::string& path,
                           const std::vector<std::string>& identityFiles = {});
// Those of the files; if there are none, and the trace is encrypted, the key store's own.
std::vector<Identity> identitiesFor(const std::string& path,
                                    const std::vector<std::string>& identityFiles);

const char* toString(TraceEnd end);

}  // namespace airr
