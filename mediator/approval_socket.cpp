#include "mediator/approval_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "mediator/process_status.h"
#include "recorder/files.h"

namespace airr {
namespace {

constexpr size_t kMostClients = 16;
constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5

// By the directory's descriptor: its own path may be too long for an address.
sockaddr_un addressIn(int directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory,
           name.c_str());
  return address;
}

// A number in /proc/PID/status; -1 if there is none.
pid_t numberIn(std::string_view status, std::string_view name) {
  const auto field = fieldOf(status, name);
  return field ? atoi(std::string(*field).c_str()) : -1;
}

// A process that has ended has given its number away.
bool isAlive(int client) {
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (getsockopt(client, SOL_SOCKET, kPeerPidfd, &pidfd, &size) != 0) return errno == ENOPROTOOPT;
  const UniqueFd own(pidfd);
  pollfd ended{own.get(), POLLIN, 0};
  return poll(&ended, 1, 0) == 0;
}

UniqueFd makeSocket() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

}  // namespace

ApprovalSocket::ApprovalSocket(UniqueFd directory, UniqueFd listener,
                               const ApprovalRequest& request, IsTracee isTracee)
    : directory_(std::move(directory)),
      listener_(std::move(listener)),
      question_(toJson(request)),
      digest_(request.digest()),
      isTracee_(std::move(isTracee)) {}

ApprovalSocket::~ApprovalSocket() {
  unlinkat(directory_.get(), std::to_string(getpid()).c_str(), 0);
}

std::unique_ptr<ApprovalSocket> ApprovalSocket::make(const std::string& path,
                                                     const ApprovalRequest& request,
                                                     IsTracee isTracee) {
  auto refuse = [&](const char* why) {
    fprintf(stderr, "airr: `airr approve` cannot answer: %s: %s\n", escaped(path).c_str(), why);
    return nullptr;
  };
  makePrivateDirectory(path);
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!directory || fstat(directory.get(), &status) != 0) return refuse(strerror(errno));
  if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
    return refuse("it is not this user's alone");
  const std::string name = std::to_string(getpid());
  unlinkat(directory.get(), name.c_str(), 0);
  UniqueFd listener = makeSocket();
  const sockaddr_un address = addressIn(directory.get(), name);
  if (!listener ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), kMostClients) != 0)
    return refuse(strerror(errno));
  return std::unique_ptr<ApprovalSocket>(
      new ApprovalSocket(std::move(directory), std::move(listener), request, std::move(isTracee)));
}

UniqueFd ApprovalSocket::connectTo(const std::string& path, const std::string& process) {
  const UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  UniqueFd client(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = addressIn(directory.get(), process);
  if (!directory || !client ||
      connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return client;
}

// Of this user, and neither of this session nor come from it, nor of another one: all tracees are traced.
bool ApprovalSocket::isTrusted(int client) const {
  constexpr int kMostAncestors = 10'000;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return false;
  if (peer.uid != geteuid() && peer.uid != 0) return false;
  pid_t process = peer.pid;
  for (int i = 0; process > 1; ++i) {
    if (process == getpid() || isTracee_(process) || i == kMostAncestors) return false;
    const std::string status = statusOf(std::to_string(process));
    const pid_t tracer = numberIn(status, "TracerPid"), parent = numberIn(status, "PPid");
    if (tracer < 0 || parent < 0 || tracer == getpid() || (i == 0 && tracer != 0)) return false;
    process = parent;
  }
  return isAlive(client);
}

void ApprovalSocket::accept() {
  for (;;) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    if (clients_.size() >= kMostClients || !isTrusted(client.get())) continue;
    if (send(client.get(), question_.data(), question_.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(question_.size()))
      clients_.push_back(std::move(client));
  }
}

void ApprovalSocket::addTo(std::vector<pollfd>& waits) const {
  waits.push_back({listener_.get(), POLLIN, 0});
  for (const UniqueFd& client : clients_) waits.push_back({client.get(), POLLIN, 0});
}

std::optional<bool> ApprovalSocket::serve() {
  accept();
  const std::string yes = answerText(true, digest_), no = answerText(false, digest_);
  for (size_t i = 0; i < clients_.size();) {
    char text[256];
    const int client = clients_[i].get();
    const ssize_t n = recv(client, text, sizeof text, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      ++i;
      continue;
    }
    const std::string_view answer(text, n > 0 ? static_cast<size_t>(n) : 0);
    const bool fits = (answer == yes || answer == no) && isTrusted(client);
    const std::string_view reply = fits ? "taken" : "this is not the question that stands";
    if (n > 0) send(client, reply.data(), reply.size(), MSG_NOSIGNAL);
    if (fits) return answer == yes;
    clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(i));
  }
  return std::nullopt;
}

}  // namespace airr
