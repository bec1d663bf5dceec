// The heap of a process that controls tracees, in a few large pages: on a virtual machine the first touch of each
// small page can cost as much as a stop of a tracee.
//
// To be called once, by the first thread, before there are others. Never fails: where the kernel has no large
// pages to give, the heap is an ordinary one.
#pragma once

namespace airr {

// From here on all threads allocate from one heap, which begins in a huge page.
void useHugePages();

}  // namespace airr
