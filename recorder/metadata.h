// The part of an event that --clear-metadata leaves in the clear: who called what, on which names,
// with which result, and what was decided; not what was read, sent or held in memory.
//
// Stateless; any thread.
#pragma once

#include <schema/airr.capnp.h>

namespace airr {

// Fills `to`, which is empty.
void copyMetadata(schema::Event::Reader from, schema::Event::Builder to);

}  // namespace airr
