#include "mediator/process_status.h"

#include <fcntl.h>
#include <unistd.h>

#include "schema/unique_fd.h"

namespace airr {

std::string statusOf(const std::string& process) {
  const UniqueFd file(open(("/proc/" + process + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char piece[4096];
  // A piece that is not full is the last one (fs/seq_file.c, seq_read_iter).
  for (ssize_t n = sizeof piece; file && n == sizeof piece;) {
    n = read(file.get(), piece, sizeof piece);
    if (n > 0) text.append(piece, static_cast<size_t>(n));
  }
  return text;
}

std::optional<std::string_view> fieldOf(std::string_view status, std::string_view name) {
  const std::string head = '\n' + std::string(name) + ":\t";
  const size_t at = status.find(head);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t start = at + head.size();
  return status.substr(start, status.find('\n', start) - start);
}

}  // namespace airr
