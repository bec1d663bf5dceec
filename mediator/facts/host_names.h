// The names of hosts that a session learned, and from whom it may learn them: name servers that its
// resolv.conf names, and its hosts file. What anybody else says is not believed: the session could
// ask whom it likes for whatever it would like to hear.
//
// Fed by the mediator while a session runs and by whoever follows its record, in the order of the
// record. Owns the names; what namesOf() gives is valid until the next note. Not thread-safe.
// Nothing fails; bounds hold for everything that is kept.
#pragma once

#include <schema/airr.capnp.h>

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policies/facts.h"

namespace airr::facts {

// What a call that received something put into memory, if it can be about names of hosts. Views
// into the event.
struct ReceivedNames {
  std::vector<std::string_view> pieces;
  std::string_view sender;  // struct sockaddr of whom it came from, if the kernel was asked for it
};
constexpr size_t kMostNamePiece = 64 << 10;  // bytes
// For calls that receivesNames(). No pieces: nothing about names.
ReceivedNames receivedNames(uint64_t number, schema::Syscall::Reader call);
bool receivesNames(uint64_t number);

class HostNames {
 public:
  enum class File { kNone, kServers, kHosts };
  // What the file of this canonical path says about hosts.
  static File fileOf(std::string_view path);

  // A piece of such a file. A hosts file's lines count as far as they are whole.
  void noteFile(File, std::string_view piece, bool atStart);
  bool isServer(const policies::IpAddress&, uint16_t port) const;
  // Of a struct sockaddr.
  bool isServer(std::string_view address) const;
  // From a server; with the length in front of it as TCP has it, or without.
  void noteAnswer(std::string_view message);

  std::span<const std::string_view> namesOf(const policies::IpAddress&) const;

 private:
  void add(const policies::IpAddress&, std::string_view name);

  struct AddressHash {
    size_t operator()(const policies::IpAddress& address) const {
      return (address.high ^ address.low * 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd;
    }
  };
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_set<policies::IpAddress, AddressHash> servers_;
  std::unordered_map<policies::IpAddress, std::vector<std::string_view>, AddressHash> hosts_;
  std::unordered_set<std::string, TextHash, std::equal_to<>> names_;
};

}  // namespace airr::facts
