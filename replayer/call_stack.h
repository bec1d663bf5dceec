// The call stack of a stopped tracee, by libunwind, for divergence reports.
//
// Only from the thread that traces it, while it is stopped. Never throws: what cannot be unwound is
// left out.
#pragma once

#include <string>
#include <vector>

#include "schema/types.h"

namespace airr {

// Innermost first: "0x55… function+0x12".
std::vector<std::string> callStack(Tid, size_t limit = 32);

}  // namespace airr
