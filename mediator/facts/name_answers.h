// The names in a name server's answer, and the servers in resolv.conf.
//
// Pure functions of hostile bytes; any thread; nothing fails: what is malformed says nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/facts.h"

namespace airr::facts {

struct NameAnswer {
  std::string name;  // that was asked for, in lower case, without the last dot
  std::vector<policies::IpAddress> addresses;
};

// A DNS message (RFC 1035) with one question. Empty name: it is none.
NameAnswer parseNameAnswer(std::string_view message);

// The addresses on the `nameserver` lines (resolv.conf(5)).
std::vector<policies::IpAddress> parseNameServers(std::string_view configuration);

}  // namespace airr::facts
