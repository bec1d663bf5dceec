#include "mediator/facts/host_names.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "mediator/facts/name_answers.h"

namespace airr::facts {
namespace {

using policies::IpAddress;

constexpr uint16_t kDomain = 53;
constexpr size_t kMaxHosts = 100'000;  // addresses
constexpr size_t kMaxNames = 64;       // of one
constexpr size_t kMaxPieces = 64;      // of one call

policies::IpAddress addressOf(const uint8_t* bytes) {
  IpAddress address;
  for (unsigned i = 0; i < 8; ++i) {
    address.high = address.high << 8 | bytes[i];
    address.low = address.low << 8 | bytes[8 + i];
  }
  return address;
}

}  // namespace

bool receivesNames(uint64_t number) {
  switch (number) {
    case SYS_read:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
      return true;
    default:
      return false;
  }
}

ReceivedNames receivedNames(uint64_t number, schema::Syscall::Reader call) {
  constexpr int64_t kLeast = 9;  // of a hosts file: "::1 host\n"
  ReceivedNames result;
  const bool many = number == SYS_recvmmsg;  // its result is a number of messages
  if (call.getResult() < (many ? 1 : kLeast)) return result;
  const auto writes = call.getWrites();
  auto bytesOf = [&](unsigned i) -> std::string_view {
    if (!writes[i].isBytes()) return {};
    const auto bytes = writes[i].getBytes();
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  };
  for (unsigned i = 0; i < writes.size() && result.pieces.size() < kMaxPieces; ++i) {
    const std::string_view bytes = bytesOf(i);
    if (bytes.size() <= kMostNamePiece && mayNameHosts(bytes)) result.pieces.push_back(bytes);
    if (number == SYS_read || number == SYS_recvfrom) break;  // the rest is about the sender
  }
  if (result.pieces.empty() || number != SYS_recvfrom || writes.size() < 2) return result;
  // buf, src_addr, addrlen: the outputs in the order of the arguments.
  if (const std::string_view sender = bytesOf(1); sender.size() >= sizeof(sockaddr_in))
    result.sender = sender;
  return result;
}

HostNames::File HostNames::fileOf(std::string_view path) {
  if (path == "/etc/hosts") return File::kHosts;
  // Where resolv.conf is, or leads to, on the systems that make it themselves. Only root writes
  // there.
  static constexpr std::string_view kServers[] = {
      "/etc/resolv.conf",
      "/run/NetworkManager/resolv.conf",
      "/run/resolvconf/resolv.conf",
      "/run/systemd/resolve/resolv.conf",
      "/run/systemd/resolve/stub-resolv.conf",
      "/mnt/wsl/resolv.conf",
  };
  return std::ranges::find(kServers, path) != std::end(kServers) ? File::kServers : File::kNone;
}

void HostNames::noteFile(File file, std::string_view piece, bool atStart) {
  constexpr size_t kMaxServers = 256;
  if (file == File::kServers) {
    for (const IpAddress& server : parseNameServers(piece))
      if (servers_.size() < kMaxServers) servers_.insert(server);
  } else if (file == File::kHosts) {
    if (!atStart) piece.remove_prefix(std::min(piece.find('\n'), piece.size()));
    for (const NameAnswer& host : parseHosts(piece))
      for (const IpAddress& address : host.addresses) add(address, host.name);
  }
}

bool HostNames::isServer(const IpAddress& address, uint16_t port) const {
  return port == kDomain && servers_.contains(address);
}

bool HostNames::isServer(std::string_view address) const {
  sa_family_t family;
  if (address.size() < sizeof family) return false;
  std::memcpy(&family, address.data(), sizeof family);
  if (family == AF_INET && address.size() >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address.data(), sizeof in);
    uint8_t bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(bytes + 12, &in.sin_addr, 4);
    return isServer(addressOf(bytes), ntohs(in.sin_port));
  }
  if (family == AF_INET6 && address.size() >= offsetof(sockaddr_in6, sin6_scope_id)) {
    sockaddr_in6 in{};
    std::memcpy(&in, address.data(), std::min(address.size(), sizeof in));
    return isServer(addressOf(in.sin6_addr.s6_addr), ntohs(in.sin6_port));
  }
  return false;
}

void HostNames::noteAnswer(std::string_view message) {
  NameAnswer answer = parseNameAnswer(message);
  constexpr size_t kLength = 2;
  if (answer.name.empty() && message.size() > kLength)
    answer = parseNameAnswer(message.substr(kLength));
  for (const IpAddress& address : answer.addresses) add(address, answer.name);
}

void HostNames::add(const IpAddress& address, std::string_view name) {
  auto found = hosts_.find(address);
  if (found == hosts_.end()) {
    if (hosts_.size() >= kMaxHosts) return;
    found = hosts_.try_emplace(address).first;
  }
  auto& names = found->second;
  if (names.size() >= kMaxNames || std::ranges::find(names, name) != names.end()) return;
  const auto known = names_.find(name);
  names.push_back(known != names_.end() ? *known : *names_.emplace(name).first);
}

std::span<const std::string_view> HostNames::namesOf(const IpAddress& address) const {
  const auto found = hosts_.find(address);
  return found == hosts_.end() ? std::span<const std::string_view>() : found->second;
}

}  // namespace airr::facts
