// The one layout of a policy's text. Comments stay with what they stand above; one behind a value
// goes above it.
//
// Pure; throws Error (kPolicy) for what is no YAML of the policy language, and for a file of which
// a comment would be lost.
#pragma once

#include <string>

#include "policies/yaml_tree.h"

namespace airr::policies {

std::string format(const Source& source);

}  // namespace airr::policies
