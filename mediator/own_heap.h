// A heap in a few large pages: on a virtual machine the first touch of each small page can cost as much as a stop of
// a tracee, and more where several threads touch new ones.
//
// To be called once, by the first thread, before there are others. Never fails: where the kernel has no large
// pages to give, the heap is an ordinary one.
#pragma once

namespace airr {

// From here on all threads allocate from one heap, which begins in huge pages; each is taken when it is first touched.
void useHugePages();

}  // namespace airr
