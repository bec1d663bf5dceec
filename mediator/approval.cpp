#include "mediator/approval.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "mediator/own_time.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

bool put(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

Answer askAtTerminal(const std::string& question, std::chrono::seconds timeout) {
  const UniqueFd terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) return Answer::kNone;
  tcflush(terminal.get(), TCIFLUSH);
  if (!put(terminal.get(), "airr: " + question + "\nairr: allow it? [y/N] ")) return Answer::kNone;
  const SteadyTime end = steadyNow() + timeout;
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < 256) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - steadyNow()).count();
    pollfd ready{terminal.get(), POLLIN, 0};
    const int n = left <= 0 ? 0 : poll(&ready, 1, static_cast<int>(left));
    if (n < 0 && errno == EINTR) continue;
    char text[64];
    const ssize_t got = n <= 0 ? -1 : read(terminal.get(), text, sizeof text);
    if (got <= 0) {
      put(terminal.get(), "\nairr: no answer: denied\n");
      return Answer::kNone;
    }
    line.append(text, static_cast<size_t>(got));
  }
  return line == "y\n" || line == "Y\n" || line == "yes\n" ? Answer::kYes : Answer::kNo;
}

}  // namespace airr
