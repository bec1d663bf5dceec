// Where the threads of a trace's writer run: beside the session, whose core they would take time of.
//
// Any thread; nothing fails: without the right to choose, a thread only runs where it is slower.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace airr {

// Masks have 64 cores a word, as for sched_setaffinity(2). The mask without the core that the calling thread is
// pinned to, unless nothing else is left.
std::vector<uint64_t> coresBesideOwn(std::span<const uint64_t> mask);

// The calling thread runs there from now on; where it is, if the mask is empty.
void runOn(std::span<const uint64_t> mask);

}  // namespace airr
