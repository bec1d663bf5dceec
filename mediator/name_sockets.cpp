#include "mediator/name_sockets.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <optional>

namespace airr {
namespace {

constexpr size_t kMost = 1 << 16;

std::optional<uint64_t> inodeOf(int socket) {
  struct stat status {};
  if (fstat(socket, &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return status.st_ino;
}

// Without a port it receives nothing.
bool isUntouched(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  in_port_t port = 1;
  if (address.ss_family == AF_INET) port = reinterpret_cast<const sockaddr_in&>(address).sin_port;
  if (address.ss_family == AF_INET6)
    port = reinterpret_cast<const sockaddr_in6&>(address).sin6_port;
  pollfd ready{socket, POLLIN, 0};
  return port == 0 && poll(&ready, 1, 0) == 0;
}

}  // namespace

void NameSockets::connects(int socket) {
  const auto inode = inodeOf(socket);
  if (!inode || unsure_.contains(*inode) || sure_.contains(*inode)) return;
  if (isUntouched(socket) && sure_.size() < kMost) {
    sure_.insert(*inode);
  } else {
    opens(*inode);
  }
}

void NameSockets::opens(uint64_t inode) {
  sure_.erase(inode);
  // Inodes of sockets are not used again before 2^32 others were. Should there be too many to
  // remember, none counts any more.
  if (unsure_.size() < kMost) {
    unsure_.insert(inode);
  } else {
    sure_.clear();
  }
}

bool NameSockets::isOnlyServers(uint64_t inode) const {
  return unsure_.size() < kMost && sure_.contains(inode);
}

}  // namespace airr
