// A second line behind the mediator: what a policy cannot permit, the kernel forbids (landlock(7)).
//
// The mediator opens files and changes names for the session itself; Landlock binds the session's own
// calls. So it never says what may happen, only where nothing can: it is compiled from the trees outside
// of which the policy permits nothing (policies/bounds.h).
//
// Values and pure functions but landlockAbi() and makeRuleset(); any thread. makeRuleset() throws Error.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "policies/policy.h"
#include "schema/unique_fd.h"

namespace airr {

struct LandlockRules {
  uint64_t files = 0;   // rights that are forbidden but where `trees` has them (LANDLOCK_ACCESS_FS_*)
  uint64_t scoped = 0;  // LANDLOCK_SCOPE_*
  std::map<std::string, uint64_t> trees;

  bool empty() const { return files == 0 && scoped == 0; }
};

// Of this kernel; 0: it has no Landlock, or it is off.
int landlockAbi();

// What `abi` can enforce of the policy.
LandlockRules compileLandlock(const policies::Policy&, int abi);

// To be given to landlock_restrict_self(2). A tree that is not there stands for the nearest directory
// above it, in which it could be made. The system's dynamic loaders may always be executed.
UniqueFd makeRuleset(const LandlockRules&);
// In the process that is to be bound, which has NO_NEW_PRIVS: async-signal-safe. An errno, or 0.
int restrictSelf(int ruleset);

// One line a right, for people: "writing: /home/u/work, /tmp"; empty if nothing is enforced.
std::string describe(const LandlockRules&);

}  // namespace airr
