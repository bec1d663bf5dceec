// What a session changed in a tree that lay under an overlay: the difference between the tree and the
// overlay's upper directory (the kernel's Documentation/filesystems/overlayfs.rst).
//
// An upper directory holds what was made or written, whole; a whiteout where something was taken away; and
// directories, opaque where the tree's own is hidden. Renames of directories and copies of attributes alone
// are off (overlay/session_overlay.cpp). Times, and the attributes of the tree's root, are no change.
//
// Functions of descriptors of the two roots; any thread. Failure: Error (kFailure).
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

namespace airr::overlay {

struct Change {
  enum class Kind {
    kDeleted,
    kReplaced,    // by something of another kind, as a file by a directory
    kChanged,     // content, or where a link leads; perhaps attributes too
    kAttributes,  // permissions or owner only
    kAdded,
  };
  Kind kind;
  std::string name;      // relative to the tree
  struct stat before {}, after {};
  uint64_t within = 0;   // entries that went with a directory that was deleted or replaced
};
const char* toString(Change::Kind);

// Deletions first, as Kind has them; then by name, so that directories come before what is in them.
std::vector<Change> changesOf(int tree, int upper);

}  // namespace airr::overlay
