// What the path in a unix socket's address leads to.
//
// Stateless; any thread. Nothing fails: what is not found keeps the name that it has.
#pragma once

#include <string>

#include "schema/types.h"

namespace airr {

// `address`: as describeAddress() says it. A unix socket's gets the path of what its name leads to
// for the tracee, links in the last place followed if the call follows them (connect does, bind
// does not). A name that leads nowhere stays what it is: then the kernel finds nothing either.
// Other addresses are not changed.
std::string resolveSocketPath(Tid tracee, const std::string& address, bool follow);
// The same for a tracee whose names are not the mediator's to look up: with no path.
std::string withoutSocketPath(const std::string& address);

}  // namespace airr
