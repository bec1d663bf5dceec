// What the variables of a policy stand for in one session.
//
// Value types; any thread; nothing fails.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace airr::policies {

// None: not known; a policy that needs it is refused.
struct Bindings {
  std::optional<std::string> workspace;  // ${workspace}: the directory in which the session began
  std::optional<std::string> home;       // ${home}, and "~/" in paths
  std::optional<std::string> temporary;  // ${tmp}
};

// Those with which examples and tests are checked, so that they hold on every machine.
Bindings exampleBindings();
// Those of a session that this process would start: its directory, HOME, and TMPDIR or /tmp, links
// resolved.
Bindings bindingsHere();

// The canonical form of an absolute path by name alone (".", "..", "//" resolved); nothing if it is
// not absolute.
std::optional<std::string> canonicalPath(std::string_view text);

}  // namespace airr::policies
