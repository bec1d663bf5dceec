// Who records: this host and this executable, for a trace's header.
//
// Stateless. Any thread. Failure: never; what cannot be found out is left empty.
#pragma once

#include <schema/airr.capnp.h>

#include "recorder/keys.h"

namespace airr {

// Sets hostId and executableHash. The executable is hashed once for each version of it
// (recorder/file_notes.h), which takes 1 ms a megabyte.
void describeRecorder(schema::Header::Builder header, const SessionKey& key);

}  // namespace airr
