// Where the host's cache of contents is: $AIRR_CACHE_DIR, else $XDG_CACHE_HOME/airr, else
// ~/.cache/airr. Stateless. Empty if there is no place for it.
#pragma once

#include <string>

namespace airr {

std::string cachePath();

}  // namespace airr
