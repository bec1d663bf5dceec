// A directory tree seen from a descriptor of its root, for trees that a session filled: nothing here
// follows a link or leaves the tree, whatever its names are.
//
// Names are relative to the root: "" is the root itself, no name begins or ends with '/'. Functions of
// descriptors; any thread. Failure: Error (kFailure), except where a function says otherwise.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recorder/digest.h"
#include "schema/unique_fd.h"

namespace airr::overlay {

std::string parentOf(std::string_view name);
std::string lastOf(std::string_view name);
std::string join(std::string_view directory, std::string_view name);

// As openat2(2) with O_CLOEXEC. Empty on failure, with errno set.
UniqueFd openIn(int root, const std::string& name, int flags);
// Of the entry itself. Nothing if it is not there.
std::optional<struct stat> statIn(int root, const std::string& name);
// An extended attribute's value; nothing if there is none.
std::optional<std::string> attributeIn(int root, const std::string& name, const char* attribute);
std::string linkTargetIn(int root, const std::string& name);
// Names in a directory, sorted.
std::vector<std::string> entriesIn(int root, const std::string& directory);
// All entries beneath an entry, parents first; not the entry itself.
void walk(int root, const std::string& name,
          const std::function<void(const std::string&, const struct stat&)>& visit);

// SHA-256 of what an entry is: kind, permissions, content; of a directory all beneath it as well. Not
// the owner and the times.
Digest stateOf(int root, const std::string& name);
bool sameContent(int rootA, const std::string& a, int rootB, const std::string& b);

// Takes an entry away with all that is in it. An errno, or 0.
int removeAll(const std::string& path);

}  // namespace airr::overlay
