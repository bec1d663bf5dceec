// The names in a name server's answer and in a hosts file, and the servers in resolv.conf.
//
// Pure functions of hostile bytes; any thread; nothing fails: what is malformed says nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/facts.h"

namespace airr::facts {

struct NameAnswer {
  std::string name;  // that was asked for or is given, in lower case, without the last dot
  std::vector<policies::IpAddress> addresses;
};

// A DNS message (RFC 1035) with one question. Empty name: it is none.
NameAnswer parseNameAnswer(std::string_view message);

// The lines of a hosts file (hosts(5)) that end with a newline; one entry a name.
std::vector<NameAnswer> parseHosts(std::string_view text);

// Whether bytes that came from somewhere are worth being looked at for any of these.
bool mayNameHosts(std::string_view bytes);

// The addresses on the `nameserver` lines (resolv.conf(5)).
std::vector<policies::IpAddress> parseNameServers(std::string_view configuration);

}  // namespace airr::facts
