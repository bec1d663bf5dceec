// Whether a task may do what the mediator may: its user and group numbers, its groups and capabilities.
//
// Any thread. Nothing fails: what cannot be read is taken for other credentials.
#pragma once

#include "schema/types.h"

namespace airr {

bool hasOwnCredentials(Tid);

}  // namespace airr
