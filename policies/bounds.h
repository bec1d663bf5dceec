// Outside of which places a policy permits nothing, whatever the facts are: for enforcement by the
// kernel as a second line, which must forbid nothing that the policy could permit.
//
// Pure functions; any thread; nothing fails.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policies/policy.h"

namespace airr::policies {

// Trees (and single files) such that no action of this kind on a path outside of them can run; sorted,
// none inside another. Nothing: no such trees are known.
std::optional<std::vector<std::string>> boundsOf(const Policy&, ActionKind);

// Whether an action can run that has these facts, and otherwise any.
bool canPermit(const Policy&, Action);

}  // namespace airr::policies
