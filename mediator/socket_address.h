// A socket address in words: "inet 127.0.0.1:80", "inet6 [::1]:80", "unix /run/x", "unix @name" for
// an abstract one, "netlink 0" with the port, else "family 17".
//
// Pure function of the bytes of a struct sockaddr, which may be hostile; any thread; nothing fails.
// What comes back has no NUL in it, but is otherwise as printable as the address was.
#pragma once

#include <cstddef>
#include <string>

namespace airr {

// Empty if there are too few bytes for an address of their family.
std::string describeAddress(const void* address, size_t size);

}  // namespace airr
