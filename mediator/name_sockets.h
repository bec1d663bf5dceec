// Which datagram sockets can have received nothing but from one name server.
//
// A connected datagram socket hands out what its peer sent, and what anybody sent before it was
// connected. So a socket counts only if it was connected to a server while it had no port and
// nothing waited in it, and if it was never bound, connected elsewhere or used to send elsewhere,
// through any descriptor in any process. Sockets are known by their inode.
//
// The controlling thread only. Nothing fails: what is not sure does not count.
#pragma once

#include <cstdint>
#include <unordered_set>

namespace airr {

class NameSockets {
 public:
  // Before a connect to a name server goes on.
  void connects(int socket);
  // Before any other call on it that gives it a port or a peer.
  void opens(uint64_t inode);
  bool isOnlyServers(uint64_t inode) const;

 private:
  std::unordered_set<uint64_t> sure_, unsure_;
};

}  // namespace airr
