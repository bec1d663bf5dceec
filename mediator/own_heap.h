// A heap in a few large pages: on a virtual machine the first touch of each small page can cost as much as a stop of
// a tracee, and more where several threads touch new ones.
//
// To be called once, by the first thread, before there are others. Never fails: where the kernel has no large
// pages to give, the heap is an ordinary one.
#pragma once

#include <cstdint>

namespace airr {

// From here on all threads allocate from one heap, whose beginning is this many huge pages of 2 MiB; one is taken
// when it is first touched.
void useHugePages(uint64_t pages = 16);

}  // namespace airr
