// Fields of /proc/PID/status (proc_pid_status(5)).
//
// Any thread. Nothing fails: what cannot be read is empty.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/types.h"

namespace airr {

// `process`: its number, or "thread-self".
std::string statusOf(const std::string& process);
inline std::string statusOf(Tid tid) { return statusOf(std::to_string(raw(tid))); }
// What stands behind "NAME:\t", to the end of the line; nothing if there is no such line.
std::optional<std::string_view> fieldOf(std::string_view status, std::string_view name);

}  // namespace airr
