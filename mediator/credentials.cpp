#include "mediator/credentials.h"

#include <string>

#include "mediator/process_status.h"

namespace airr {
namespace {

// The lines of /proc/PID/status that are credentials (proc(5)); empty if they are not all there.
std::string credentialsOf(const std::string& process) {
  const std::string status = statusOf(process);
  std::string result;
  for (const char* name : {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    const auto field = fieldOf(status, name);
    if (!field) return {};
    result.append(*field) += '\n';
  }
  return result;
}

}  // namespace

bool hasOwnCredentials(Tid tid) {
  const std::string own = credentialsOf("thread-self");
  return !own.empty() && own == credentialsOf(std::to_string(raw(tid)));
}

}  // namespace airr
