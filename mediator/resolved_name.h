// Finds what a tracee's path name leads to, without the race between a decision and its use: the
// result is descriptors of the objects themselves, which no link or rename changes any more.
//
// The mediator resolves for tasks whose root, mounts, credentials and pid namespace are its own
// (Process::plain). What /proc/self and magic links mean to the tracee is found for the tracee.
//
// A ResolvedName owns its descriptors (O_PATH). Any thread. resolveName() does not throw: `error`
// says what the kernel would.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "schema/types.h"
#include "schema/unique_fd.h"

namespace airr {

struct ResolvedName {
  // errno of the search for the directory (ENOENT, ENOTDIR, EACCES, ELOOP, …); 0: it was found.
  int error = 0;
  UniqueFd directory;   // in which `last` is looked up
  std::string last;     // one component, perhaps "." or ".."; "" if `object` was reached otherwise
  UniqueFd object;      // what is there, a link itself unless it was to be followed; none: nothing is
  struct stat status {};  // of the object
  bool trailingSlash = false;  // it says that it means a directory
  std::string path;     // canonical, as the tracee's root has it

  bool exists() const { return static_cast<bool>(object); }
  // A name for open(2) and its kin by which the kernel reaches exactly the object.
  std::string objectLink() const;
};

// Opens (O_PATH, and `flags`) what a name leads to by no magic link, as openat2(2) does with `resolve`. `from`: as
// there; negative: the name is absolute. errno says why nothing was found.
UniqueFd searchName(int from, const std::string& name, int flags, uint64_t resolve);
// The path of what is in a directory.
std::string pathIn(const std::string& directory, const std::string& name);

// `from`: where relative names begin, a descriptor of the caller; -1: the name has to be absolute.
// `follow`: a link in the last place is followed, also one that leads to nothing.
ResolvedName resolveName(Tid tracee, int from, const std::string& name, bool follow);
// The same for who only wants the object, if there is one: often in one call. `directory` may be
// missing.
ResolvedName resolveObject(Tid tracee, int from, const std::string& name, bool follow);

}  // namespace airr
