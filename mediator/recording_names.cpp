// Names of hosts: what the session learns while it runs, and the server that the first bytes on a
// connection ask for.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <optional>

#include "mediator/facts/client_hello.h"
#include "mediator/recording.h"
#include "mediator/recording_subject.h"
#include "mediator/socket_address.h"
#include "mediator/syscalls/extents.h"
#include "recorder/files.h"

namespace airr {
namespace {

using facts::HostNames;
using policies::Action;
using policies::ActionKind;
using policies::Fact;

// "socket:[123]"
std::optional<uint64_t> socketInode(std::string_view link) {
  constexpr std::string_view kStart = "socket:[";
  if (!link.starts_with(kStart)) return std::nullopt;
  uint64_t inode = 0;
  const char* end = link.data() + link.size();
  if (std::from_chars(link.data() + kStart.size(), end, inode).ec != std::errc{})
    return std::nullopt;
  return inode;
}

int optionOf(int socket, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

std::string peerOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return {reinterpret_cast<const char*>(&address), std::min<size_t>(size, sizeof address)};
}

// Of a call that sends without an address: where its descriptor stands, if it is such a call.
std::optional<int> sendsOn(const syscalls::Call& call) {
  const uint64_t* a = call.arguments;
  switch (call.number) {
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
      return static_cast<int>(a[0]);
    case SYS_splice:
      return static_cast<int>(a[2]);
    default:
      return std::nullopt;
  }
}

// The first bytes that the call sends. Nothing: they are not in its memory, or cannot be read.
std::optional<std::string> firstBytes(Tracee& tracee, const syscalls::Call& call) {
  constexpr uint64_t kMostBytes = 64 << 10;
  const uint64_t* a = call.arguments;
  std::string bytes;
  auto add = [&](uint64_t at, uint64_t size) {
    const size_t before = bytes.size();
    bytes.resize(before + std::min(size, kMostBytes - before));
    return bytes.size() == before ||
           tracee.read({at}, bytes.data() + before, bytes.size() - before);
  };
  uint64_t vectors = a[1], count = a[2];
  switch (call.number) {
    case SYS_write:
    case SYS_sendto:
      return add(a[1], a[2]) ? std::optional(std::move(bytes)) : std::nullopt;
    case SYS_writev:
      break;
    case SYS_sendmsg: {
      msghdr message{};
      if (!tracee.readValue({a[1]}, message)) return std::nullopt;
      vectors = reinterpret_cast<uint64_t>(message.msg_iov), count = message.msg_iovlen;
      break;
    }
    default:
      return std::nullopt;
  }
  iovec list[syscalls::kMaxVectors];
  if (!syscalls::readVectors({vectors}, count, list, tracee)) return std::nullopt;
  for (uint64_t i = 0; i < count; ++i)
    if (!add(reinterpret_cast<uint64_t>(list[i].iov_base), list[i].iov_len)) return std::nullopt;
  return bytes;
}

}  // namespace

// Of a call whose event is about to be written.
void Recording::noteNames(Task& task, schema::Syscall::Reader call) {
  const uint64_t number = task.outputCall.number;
  if (!enforcement_->uses(Fact::kHostNames) || !facts::receivesNames(number) ||
      !task.process->plain)
    return;
  const facts::ReceivedNames received = facts::receivedNames(number, call);
  if (received.pieces.empty()) return;
  auto noteAnswers = [&] {
    for (const std::string_view piece : received.pieces) hostNames_.noteAnswer(piece);
  };
  // The kernel's word on where it came from.
  if (!received.sender.empty()) {
    if (hostNames_.isServer(received.sender)) noteAnswers();
    return;
  }
  // Another task could have put something else at the descriptor's number, had it been able to run.
  if (task.entered || task.process->sharesFiles) return;
  const auto fd = static_cast<int>(task.outputCall.arguments[0]);
  const std::string link = linkTarget(descriptorLink(task.tracee.tid(), fd));
  if (const HostNames::File file = HostNames::fileOf(link); file != HostNames::File::kNone) {
    const bool atStart = filePosition(task.tracee.tid(), fd) == call.getResult();
    for (const std::string_view piece : received.pieces) hostNames_.noteFile(file, piece, atStart);
    return;
  }
  const auto inode = socketInode(link);
  if (!inode) return;
  const UniqueFd own = task.process->files.borrow(task.process->pid, fd);
  struct stat status {};
  if (!own || fstat(own.get(), &status) != 0 || status.st_ino != *inode ||
      !hostNames_.isServer(peerOf(own.get())))
    return;
  if (optionOf(own.get(), SO_TYPE) == SOCK_STREAM || nameSockets_.isOnlyServers(*inode))
    noteAnswers();
}

void Recording::addHostNames(const Task& task, Action& action) const {
  if (!action.has(Fact::kHost) || !enforcement_->uses(Fact::kHostNames)) return;
  if (!task.process->plain) return action.setUnknown(Fact::kHostNames);
  action.hostNames = hostNames_.namesOf(action.host);
  if (!action.hostNames.empty()) action.set(Fact::kHostNames);
}

// Before a call that gives a socket a port or a peer. `action`: a connect's, if it is one. False:
// it does not happen, and the task has its answer.
bool Recording::noteSocketUse(Task& task, const Action* action) {
  if (!enforcement_->uses(Fact::kHostNames) && !enforcement_->uses(Fact::kServerName)) return true;
  const auto fd = static_cast<int>(task.call.arguments[0]);
  const auto inode = socketInode(linkTarget(descriptorLink(task.tracee.tid(), fd)));
  if (!inode) return true;
  // Else what was decided on the first bytes would go elsewhere.
  if (task.call.number == SYS_connect && greeted_.contains(*inode)) {
    refuse(task, EISCONN, "a connection that was decided on by its first bytes is not made anew");
    return false;
  }
  const UniqueFd own = task.process->files.borrow(task.process->pid, fd);
  struct stat status {};
  const bool same = own && fstat(own.get(), &status) == 0 && status.st_ino == *inode;
  if (same && optionOf(own.get(), SO_TYPE) != SOCK_DGRAM) return true;
  if (same && action != nullptr && action->kind == ActionKind::kConnect &&
      action->has(Fact::kHost) && hostNames_.isServer(action->host, action->port)) {
    nameSockets_.connects(own.get());
  } else {
    nameSockets_.opens(*inode);
  }
  return true;
}

// Before the first bytes on a TCP connection, where the policy looks at them. False: they are not
// sent, and the task has its answer.
bool Recording::decideGreeting(Task& task) {
  constexpr size_t kMostConnections = 1 << 20;
  if (!enforcement_->uses(Fact::kServerName)) return true;
  const auto fd = sendsOn(task.call);
  if (!fd) return true;
  const auto inode = socketInode(linkTarget(descriptorLink(task.tracee.tid(), *fd)));
  if (!inode || greeted_.contains(*inode)) return true;
  const UniqueFd own = task.process->files.borrow(task.process->pid, *fd);
  struct stat status {};
  const bool known = own && fstat(own.get(), &status) == 0 && status.st_ino == *inode;
  std::string peer;
  Subject subject;
  Action& action = subject.actions.action[0];
  action.kind = ActionKind::kSend;
  action.syscall = task.model->name;
  action.set(Fact::kSyscall);
  subject.actions.count = 1;
  if (known) {
    const int domain = optionOf(own.get(), SO_DOMAIN);
    if (optionOf(own.get(), SO_TYPE) != SOCK_STREAM || (domain != AF_INET && domain != AF_INET6))
      return true;
    peer = peerOf(own.get());
    subject.address = describeAddress(peer.data(), peer.size());
  }
  facts::setConnection(action, subject.address);
  const auto bytes = firstBytes(task.tracee, task.call);
  if (bytes && bytes->empty()) return true;
  const auto hello = bytes ? facts::parseClientHello(*bytes)
                           : facts::ClientHello{facts::ClientHello::Kind::kUnclear, {}};
  if (hello.kind == facts::ClientHello::Kind::kUnclear) {
    action.setUnknown(Fact::kServerName);
  } else if (!hello.server.empty()) {
    action.serverName = hello.server;
    action.set(Fact::kServerName);
  }
  addProcessFacts(task, subject);
  task.greets = true;
  if (!judge(task, subject)) return false;
  if (!peer.empty() && greeted_.size() < kMostConnections) greeted_.insert(*inode);
  return true;
}

}  // namespace airr
