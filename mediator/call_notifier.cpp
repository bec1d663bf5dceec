#include "mediator/call_notifier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "recorder/files.h"
#include "recorder/signals_blocked.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr char kListenerName[] = "anon_inode:seccomp notify";

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

}  // namespace

std::optional<CallNotifier> CallNotifier::ofChild(Tid child) {
  const std::string path = "/proc/" + std::to_string(raw(child)) + "/fd";
  std::unique_ptr<DIR, CloseDirectory> listing(opendir(path.c_str()));
  if (!listing) throw systemError("reading " + path);
  while (const dirent* entry = readdir(listing.get())) {
    char target[sizeof kListenerName] = {};
    const ssize_t n = readlinkat(dirfd(listing.get()), entry->d_name, target, sizeof target);
    if (n != sizeof kListenerName - 1 || memcmp(target, kListenerName, static_cast<size_t>(n)) != 0)
      continue;
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, raw(child), 0)));
    const UniqueFd low(
        static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), atoi(entry->d_name), 0)));
    UniqueFd listener(fcntl(low.get(), F_DUPFD_CLOEXEC, kFirstOwnFd));
    if (!listener) throw systemError("taking over the listener of the seccomp filter");
    return CallNotifier(std::move(listener));
  }
  return std::nullopt;
}

std::optional<NotifiedCall> CallNotifier::receive() {
  seccomp_notif request{};
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
    if (errno == EINTR || errno == ENOENT) return std::nullopt;
    throw systemError("receiving a call from the seccomp filter");
  }
  NotifiedCall result;
  result.id = request.id;
  result.tid = Tid{static_cast<pid_t>(request.pid)};
  result.call.number = static_cast<uint64_t>(static_cast<int64_t>(request.data.nr));
  for (int i = 0; i < 6; ++i) result.call.arguments[i] = request.data.args[i];
  result.instruction = request.data.instruction_pointer;
  return result;
}

bool CallNotifier::answer(uint64_t id, int64_t result) { return send(id, result, 0); }

bool CallNotifier::pass(uint64_t id) { return send(id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }

bool CallNotifier::send(uint64_t id, int64_t result, uint32_t flags) {
  seccomp_notif_resp response{};
  response.id = id;
  response.flags = flags;
  if (result < 0 && result > -4096) {
    response.error = static_cast<int32_t>(result);
  } else {
    response.val = result;
  }
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0) return true;
  if (errno == ENOENT) return false;
  throw systemError("answering a call");
}

std::optional<int> CallNotifier::addDescriptor(uint64_t id, int fd, bool closeOnExec,
                                               bool answerWithIt) {
  seccomp_notif_addfd request{};
  request.id = id;
  request.flags = answerWithIt ? SECCOMP_ADDFD_FLAG_SEND : 0;
  request.srcfd = static_cast<uint32_t>(fd);
  request.newfd_flags = closeOnExec ? O_CLOEXEC : 0;
  // A signal withdraws the request. With an answer the caller would go on all the same, with 0 for it
  // (kernel/seccomp.c, seccomp_notify_addfd: the state is REPLIED before the wait).
  std::optional<SignalsBlocked> quiet;
  if (answerWithIt) quiet.emplace();
  int number;
  do {
    number = ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request);
  } while (number < 0 && errno == EINTR);
  if (number >= 0) return number;
  if (errno == ENOENT) return std::nullopt;
  if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) return -errno;
  throw systemError("giving a descriptor to a task");
}

}  // namespace airr
