// Why an action got its verdict: every rule that could have mattered, and how its tests came out.
//
// Pure; any thread; nothing fails.
#pragma once

#include <string>

#include "policies/policy.h"

namespace airr::policies {

// Several lines for people; names come from the action and may hold anything.
std::string explain(const Policy& policy, const Action& action);

}  // namespace airr::policies
