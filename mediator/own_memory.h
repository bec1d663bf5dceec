// Fewer page faults of airr itself: on a virtual machine the first touch of a small page can cost as much as a stop
// of a tracee, and more where several threads touch new ones.
//
// To be called once, by the first thread, before there are others. Never fails: what the kernel does not give is
// taken as it comes.
#pragma once

namespace airr {

// For a session that may be short: what follows, if a fault is dear on this machine. Where it is not (0.5 µs), that
// would be two thirds of a millisecond more of each start, as huge pages have to be cleared and all pages mapped.
void saveFaults();

// From here on all threads allocate from one heap, which begins in huge pages; each is taken when it is first touched.
void useHugePages();

// Maps all of the program's own file at once (0.2 ms), of which a session touches a part here and a part there: the
// kernel maps 64 KiB at a fault, for 27 µs, and a session has a hundred of them.
void mapWholeProgram();

}  // namespace airr
