#include "mediator/socket_path.h"

#include <fcntl.h>

#include <string_view>

#include "mediator/resolved_name.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

constexpr std::string_view kUnix = "unix ";

// After '@' comes an abstract name.
bool hasPath(const std::string& address) {
  return address.starts_with(kUnix) && !address.substr(kUnix.size()).starts_with('@');
}

}  // namespace

std::string resolveSocketPath(Tid tracee, const std::string& address, bool follow) {
  if (!hasPath(address)) return address;
  const std::string directory = "/proc/" + std::to_string(raw(tracee)) + "/cwd";
  const UniqueFd from(open(directory.c_str(), O_PATH | O_CLOEXEC));
  const ResolvedName found = resolveName(tracee, from.get(), address.substr(kUnix.size()), follow);
  return found.error == 0 ? std::string(kUnix) + found.path : address;
}

std::string withoutSocketPath(const std::string& address) {
  return hasPath(address) ? std::string(kUnix) : address;
}

}  // namespace airr
