// The server that a TLS client asks for (RFC 8446, 4.1.2; RFC 6066, 3).
//
// A pure function of hostile bytes; any thread; nothing fails.
#pragma once

#include <string>
#include <string_view>

namespace airr::facts {

struct ClientHello {
  enum class Kind {
    kOther,    // not TLS
    kUnclear,  // begins like TLS, and is malformed or not all there
    kHello,
  };
  Kind kind = Kind::kOther;
  std::string server;  // in lower case, without the last dot; empty: it names none
};

// The first bytes that a client sends. A hello may be spread over several TLS records.
ClientHello parseClientHello(std::string_view bytes);

}  // namespace airr::facts
