#include "schema/error.h"

#include <cstring>
#include <utility>

namespace airr {

Error::Error(ExitCode code, const std::string& what, std::string remedy,
             std::vector<std::string> details)
    : std::runtime_error(what),
      code_(code),
      remedy_(std::move(remedy)),
      details_(std::move(details)) {}

Error systemError(const std::string& what, int error, std::string remedy) {
  return Error(ExitCode::kFailure, what + ": " + std::strerror(error), std::move(remedy));
}

}  // namespace airr
