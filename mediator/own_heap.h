// The heap of a recording mediator, in a few large pages: on a virtual machine the first touch of each
// small page can cost as much as a stop of a tracee.
//
// To be called once, by the first thread, before there are others, and after the first tracee is forked:
// what is in memory then is copied as each side writes to it. Never fails: where the kernel has no large
// pages to give, the heap is an ordinary one.
#pragma once

namespace airr {

// From here on all threads allocate from one heap, which begins in a huge page.
void useHugePages();

}  // namespace airr
