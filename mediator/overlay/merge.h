// Brings what a session changed under an overlay into the tree itself.
//
// All or nothing: first everything new is written beside the tree's files, in a directory of the merge's
// own at the tree's root; then each change is one rename, and what it replaces is put aside there. An error
// takes back what was done. Only being killed, or a crash, can leave a part of it, and the directory with
// what was put aside.
//
// Functions; one thread; the store's lock is held by the caller. Failure: Error; the trees are as before
// then, or the message says what is not.
#pragma once

#include <string>
#include <vector>

#include "mediator/overlay/changes.h"
#include "mediator/overlay/store.h"
#include "schema/unique_fd.h"

namespace airr::overlay {

// The two sides of one overlay.
struct Sides {
  std::string path;  // of the tree
  UniqueFd tree, upper;
};
Sides sidesOf(const Store&, size_t tree);

// What the changed entries of the tree are now; `touched` if they changed since `began`.
Baselines baselinesOf(const Sides&, const std::vector<Change>&, int64_t began);

struct Conflict {
  std::string tree, name, why;
};
// Entries that are not what they were when the session ran.
std::vector<Conflict> conflictsOf(const Store&, const std::vector<Sides>&,
                                  const std::vector<std::vector<Change>>&);

// Sockets are left out. Returns how many changes were made.
size_t merge(const Store&, const std::vector<Sides>&, const std::vector<std::vector<Change>>&);

}  // namespace airr::overlay
