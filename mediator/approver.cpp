#include "mediator/approver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "mediator/approval_socket.h"
#include "mediator/own_time.h"
#include "recorder/files.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

constexpr long kPidfdOpen = 434;

bool put(int fd, std::string_view text) {
  return writeWhole(fd, {{reinterpret_cast<const uint8_t*>(text.data()), text.size()}});
}

class Terminal {
 public:
  explicit Terminal(const ApprovalRequest& request)
      : terminal_(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
    if (!terminal_) return;
    std::string question = "airr: " + escaped(request.reason) + "\n";
    for (const std::string& action : request.actions) question += "airr: " + action + "\n";
    tcflush(terminal_.get(), TCIFLUSH);
    if (!put(terminal_.get(), question + "airr: allow it? [y/N] ")) terminal_.reset();
  }
  bool isThere() const { return static_cast<bool>(terminal_); }
  int fd() const { return terminal_.get(); }
  void say(std::string_view text) {
    if (terminal_) put(terminal_.get(), text);
  }

  std::optional<bool> read() {
    char text[64];
    const ssize_t n = ::read(terminal_.get(), text, sizeof text);
    if (n < 0 && errno == EINTR) return std::nullopt;
    if (n <= 0) {
      terminal_.reset();
      return std::nullopt;
    }
    line_.append(text, static_cast<size_t>(n));
    constexpr size_t kLongest = 256;
    if (line_.find('\n') == std::string::npos && line_.size() < kLongest) return std::nullopt;
    return line_ == "y\n" || line_ == "Y\n" || line_ == "yes\n";
  }

 private:
  UniqueFd terminal_;
  std::string line_;
};

// A command that decides. It and what it started end with this.
class Command {
 public:
  Command(const std::string& command, const ApprovalRequest& request) {
    const UniqueFd input(memfd_create("airr approval", MFD_CLOEXEC));
    if (!input || !put(input.get(), toJson(request) + "\n") || lseek(input.get(), 0, SEEK_SET) != 0)
      return;
    const char* words[] = {"/bin/sh", "-c", command.c_str(), nullptr};
    process_ = fork();
    if (process_ == 0) run(input.get(), words);
    if (process_ > 0) ended_.reset(static_cast<int>(syscall(kPidfdOpen, process_, 0)));
  }
  ~Command() {
    if (process_ <= 0) return;
    kill(-process_, SIGKILL);
    kill(process_, SIGKILL);  // before it has its group
    waitpid(process_, nullptr, 0);
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  int fd() const { return ended_.get(); }
  // Once it has ended, or could not be started.
  bool saysYes() {
    int status = 0;
    if (process_ <= 0 || waitpid(process_, &status, 0) != process_) return false;
    kill(-process_, SIGKILL);
    process_ = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  // In the child of a process with threads: system calls only.
  [[noreturn]] static void run(int input, const char* const* words) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TSC, PR_TSC_ENABLE);  // trapOwnCounter()
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(input, 0);
    dup2(2, 1);  // standard output is the session's
    execv(words[0], const_cast<char* const*>(words));
    _exit(127);
  }

  pid_t process_ = 0;
  UniqueFd ended_;
};

}  // namespace

Approver::Approver(ApproverOptions options, IsTracee isTracee)
    : options_(std::move(options)), isTracee_(std::move(isTracee)) {}

Answered Approver::ask(const ApprovalRequest& request) const {
  const SteadyTime end = steadyNow() + request.timeout;
  size_t length = request.reason.size();
  for (const std::string& action : request.actions) length += action.size();
  if (length > kMostRequestText) {
    fprintf(stderr, "airr: denied: what is asked is too long to be read by anybody (%zu bytes)\n",
            length);
    return {};
  }
  Terminal terminal(request);
  std::optional<Command> command;
  if (!options_.command.empty()) command.emplace(options_.command, request);
  if (!terminal.isThere() && !command && !options_.waits) return {};
  std::unique_ptr<ApprovalSocket> socket;
  if (!options_.directory.empty())
    socket = ApprovalSocket::make(options_.directory, request, isTracee_);
  if (!terminal.isThere() && !command && socket)
    fprintf(stderr, "airr: waits at most %lld s for an answer: airr approve\n",
            static_cast<long long>(request.timeout.count()));

  auto answered = [&](bool yes, const char* by) {
    if (by != std::string_view("terminal"))
      terminal.say(std::string("\nairr: answered by ") + by + (yes ? ": yes\n" : ": no\n"));
    return Answered{yes ? Answer::kYes : Answer::kNo, by};
  };
  for (;;) {
    if (!terminal.isThere() && !command && !socket) return {};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - steadyNow()).count();
    if (left <= 0) break;
    std::vector<pollfd> waits = {{terminal.isThere() ? terminal.fd() : -1, POLLIN, 0},
                                 {command ? command->fd() : -1, POLLIN, 0}};
    if (socket) socket->addTo(waits);
    if (command && command->fd() < 0) return answered(false, "command");
    const int n =
        poll(waits.data(), waits.size(), static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (n < 0 && errno != EINTR) break;
    if (n <= 0) continue;
    if (waits[1].revents != 0) return answered(command->saysYes(), "command");
    if (socket)
      if (const auto answer = socket->serve()) return answered(*answer, "airr approve");
    if (waits[0].revents != 0)
      if (const auto answer = terminal.read()) return answered(*answer, "terminal");
  }
  terminal.say("\nairr: no answer: denied\n");
  return {};
}

}  // namespace airr
