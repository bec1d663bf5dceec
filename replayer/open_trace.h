// Opening a trace with the key at hand.
//
// The caller owns what is returned; not thread-safe. Throws Error as TraceReader does, and kWrongKey
// when there is no key.
#pragma once

#include <memory>
#include <string>

#include "replayer/trace_reader.h"

namespace airr {

struct OpenTrace {
  std::unique_ptr<KeyStore> keys;  // null when the trace is read without a key
  std::unique_ptr<TraceReader> reader;
  std::string notAuthenticated;  // why no key was used; empty when the tags are checked
};

// With the user's key, or Error kWrongKey if there is none.
OpenTrace openAuthenticated(const std::string& path);
// The same, but a missing, unreadable or other key leaves the tags unchecked and is explained.
OpenTrace openForReading(const std::string& path);

const char* toString(TraceEnd end);

}  // namespace airr
