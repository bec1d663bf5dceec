#include "mediator/credentials.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "schema/unique_fd.h"

namespace airr {
namespace {

// The lines of /proc/PID/status that are credentials (proc(5)); empty if they are not all there.
std::string credentialsOf(const std::string& process) {
  constexpr std::string_view kLines[] = {"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
  const UniqueFd file(open(("/proc/" + process + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char piece[4096];
  for (ssize_t n; file && (n = read(file.get(), piece, sizeof piece)) > 0;) text.append(piece, static_cast<size_t>(n));
  std::string result;
  for (const std::string_view name : kLines) {
    const size_t start = text.find('\n' + std::string(name));
    if (start == std::string::npos) return {};
    result += text.substr(start, text.find('\n', start + 1) - start);
  }
  return result;
}

}  // namespace

bool hasOwnCredentials(Tid tid) {
  const std::string own = credentialsOf("thread-self");
  return !own.empty() && own == credentialsOf(std::to_string(raw(tid)));
}

}  // namespace airr
