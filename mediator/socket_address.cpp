#include "mediator/socket_address.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace airr {
namespace {

template <class T>
std::optional<T> as(const void* address, size_t size) {
  if (size < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

std::string describeUnix(const char* name, size_t size) {
  std::string path(name, std::min(size, sizeof(sockaddr_un::sun_path)));
  // An abstract name begins with NUL and may hold more of them; a file's ends with it (unix(7)).
  if (!path.empty() && path[0] == '\0') {
    std::replace(path.begin(), path.end(), '\0', '@');
  } else {
    path.resize(std::min(path.find('\0'), path.size()));
  }
  return path.empty() ? "unix, unnamed" : "unix " + path;
}

}  // namespace

std::string describeAddress(const void* address, size_t size) {
  const auto family = as<sa_family_t>(address, size);
  if (!family) return {};
  char text[INET6_ADDRSTRLEN];
  switch (*family) {
    case AF_INET: {
      const auto in = as<sockaddr_in>(address, size);
      if (!in) return {};
      inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
      return std::string("inet ") + text + ":" + std::to_string(ntohs(in->sin_port));
    }
    case AF_INET6: {
      // The scope, last of all, may be missing (net/ipv6/af_inet6.c, SIN6_LEN_RFC2133).
      sockaddr_in6 in{};
      if (size < offsetof(sockaddr_in6, sin6_scope_id)) return {};
      std::memcpy(&in, address, std::min(size, sizeof in));
      inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
      return std::string("inet6 [") + text + "]:" + std::to_string(ntohs(in.sin6_port));
    }
    case AF_UNIX:
      return describeUnix(static_cast<const char*>(address) + offsetof(sockaddr_un, sun_path),
                          size - offsetof(sockaddr_un, sun_path));
    case AF_NETLINK: {
      const auto netlink = as<sockaddr_nl>(address, size);
      if (!netlink) return {};
      return "netlink " + std::to_string(netlink->nl_pid);
    }
    default:
      return "family " + std::to_string(*family);
  }
}

}  // namespace airr
