// An overlay for a whole session: what it writes in the chosen trees goes to a directory of the user's
// (overlay/store.h), and the trees stay as they are.
//
// The calling process moves into a mount namespace of its own (without the right to mount: into a user
// namespace with its own identity first), and mounts an overlay over each tree. So it must have one thread;
// its children see the overlays too, and names that the mediator resolves are resolved in the same
// namespace as the session's. Its own files beneath a tree it reaches by realPath().
//
// Owns descriptors and the store's lock. The controlling thread only. Failure: Error (kFailure), and nothing
// may be run then.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "mediator/overlay/merge.h"
#include "mediator/overlay/store.h"
#include "mediator/resolved_name.h"
#include "policies/facts.h"

namespace airr::overlay {

class SessionOverlay {
 public:
  // `trees`: existing directories, none in another; `record`: all but trees and began.
  SessionOverlay(const std::vector<std::string>& trees, Record record);

  // Without finish(): what was changed is kept, without a word on what the trees held.
  ~SessionOverlay();

  const std::vector<std::string>& trees() const { return store_.record().trees; }
  bool covers(std::string_view path) const;
  // Another name for the path's directory, beneath the overlay if it is in a covered tree.
  std::string realPath(const std::string& path) const;

  // Why an action may not happen, as it could change what the overlays cover; null if it may. The mediator
  // asks before it allows. `name`: what the action names, if it could be found out.
  const char* forbids(const policies::Action&, const ResolvedName* name) const;
  // The same for what a descriptor leads to, as a link in procfs.
  const char* forbids(const policies::Action&, const std::string& descriptorLink) const;
  // Of a call that changes something the mediator cannot resolve, or that no action has names for.
  static constexpr const char* kUnresolved =
      "a process that left the session's namespaces or identity changes no files while there is an overlay";

  // At the session's end: notes what the trees held, for the merge. Returns how many changes there are; if
  // there are none, nothing is kept.
  size_t finish();

 private:
  struct Covered {
    UniqueFd below, upper;
    uint64_t mount = 0;  // of the overlay
    int64_t type = 0;    // of the file system below
    uint64_t device = 0;
  };
  Sides sidesOf(size_t tree) const;
  const char* forbids(const policies::Action&, int fd, const std::string& path) const;

  Store store_;
  std::vector<Covered> covered_;
  bool finished_ = false;
  std::set<uint64_t> mounts_;  // of the namespace
};

// Whether this host has what it takes: empty, or why not. Tries in a child process.
std::string overlayFault();

}  // namespace airr::overlay
