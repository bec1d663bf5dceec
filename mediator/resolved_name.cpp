#include "mediator/resolved_name.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <string_view>

#include "mediator/open_files.h"
#include "mediator/process_status.h"
#include "recorder/files.h"

namespace airr {
namespace {

constexpr int kMostLinks = 40;           // as the kernel follows (path_resolution(7))

std::string targetOf(int directory, const char* name) {
  char target[PATH_MAX];
  const ssize_t n = readlinkat(directory, name, target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : std::string();
}

UniqueFd openPath(int from, const char* name, int flags) {
  return UniqueFd(openat(from, name, O_PATH | O_CLOEXEC | flags));
}

// Walks a name one component at a time, as the kernel does for the tracee.
class Walk {
 public:
  Walk(Tid tracee, int from) : tracee_(tracee) {
    if (from >= 0) at_.reset(fcntl(from, F_DUPFD_CLOEXEC, 3));
  }

  ResolvedName run(const std::string& name, bool follow) {
    ResolvedName result;
    result.error = walk(name, follow, result);
    if (result.error != 0) result.directory.reset(), result.object.reset();
    return result;
  }

 private:
  int walk(const std::string& name, bool follow, ResolvedName& result) {
    if (name.empty()) return ENOENT;
    if (name.size() >= PATH_MAX) return ENAMETOOLONG;
    std::string_view rest = name;
    if (rest.front() == '/') toRoot();
    if (!at_) return EBADF;
    const bool mustBeDirectory = rest.ends_with('/');
    result.trailingSlash = result.trailingSlash || mustBeDirectory;
    while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
    for (;;) {
      while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
      if (rest.empty()) return arrive(std::move(at_), result);  // the root
      const size_t slash = rest.find('/');
      const std::string component(rest.substr(0, slash));
      if (component.size() > NAME_MAX) return ENAMETOOLONG;
      const bool isLast = slash == std::string_view::npos;
      rest.remove_prefix(isLast ? rest.size() : slash);

      UniqueFd next = openPath(at_.get(), component.c_str(), O_NOFOLLOW);
      if (!next) {
        if (!isLast || errno != ENOENT) return errno;
        return stopAt(component, {}, result);
      }
      struct stat status {};
      if (fstat(next.get(), &status) != 0) return errno;
      if (S_ISLNK(status.st_mode) && (!isLast || follow || mustBeDirectory)) {
        if (++links_ > kMostLinks) return ELOOP;
        const bool inProc = isInProc(next.get(), status);
        if (const int error = followLink(component, next, inProc, std::string(rest), follow, mustBeDirectory, result);
            error >= 0)
          return error;
        continue;  // a magic link was passed
      }
      if (isLast) {
        if (mustBeDirectory && !S_ISDIR(status.st_mode)) return ENOTDIR;
        return stopAt(component, std::move(next), result);
      }
      if (!S_ISDIR(status.st_mode)) return ENOTDIR;
      at_ = std::move(next);
    }
  }

  // -1: went through a magic link, and there is more to go.
  int followLink(const std::string& component, const UniqueFd& link, bool inProc, const std::string& rest, bool follow,
                 bool mustBeDirectory, ResolvedName& result) {
    std::string target = targetOf(link.get(), "");
    if (inProc) {
      if (component == "self" || component == "thread-self") {
        const std::string mine = std::to_string(getpid());
        const std::string its = std::to_string(raw(tracee_));
        if (component == "self" && target == mine) target = processOf(tracee_);
        if (component == "thread-self" && target.starts_with(mine + "/task/"))
          target = processOf(tracee_) + "/task/" + its;
      } else if (isMagic(component)) {
        UniqueFd object = openPath(at_.get(), component.c_str(), 0);
        if (!object) return errno;
        if (rest.empty()) return arrive(std::move(object), result);
        at_ = std::move(object);
        return -1;
      }
    }
    if (target.empty()) return ENOENT;
    if (!rest.empty()) target += rest;
    if (mustBeDirectory) target += "/";
    return walk(target, follow, result);
  }

  // Links of procfs that lead to an object whatever their text says (proc(5)): fd/N, root, cwd, exe,
  // map_files/A-B, ns/NAME.
  bool isMagic(const std::string& component) const {
    if (component == "root" || component == "cwd" || component == "exe") return true;
    const std::string directory = linkOf(at_);
    return directory.ends_with("/fd") || directory.ends_with("/map_files") ||
           directory.ends_with("/ns");
  }

  static std::string linkOf(const UniqueFd& fd) { return linkTarget(ownLink(fd.get())); }

  // The process of a thread, as text.
  static std::string processOf(Tid tid) {
    const std::string status = statusOf(tid);
    return std::string(fieldOf(status, "Tgid").value_or(std::to_string(raw(tid))));
  }

  void toRoot() { at_ = openPath(AT_FDCWD, "/", O_DIRECTORY); }

  int arrive(UniqueFd object, ResolvedName& result) {
    result.path = linkOf(object);
    if (fstat(object.get(), &result.status) != 0) return errno;
    result.object = std::move(object);
    return 0;
  }

  int stopAt(const std::string& component, UniqueFd object, ResolvedName& result) {
    result.directory = std::move(at_);
    result.last = component;
    if (object) {
      if (const int error = arrive(std::move(object), result); error != 0) return error;
      if (component == "." || component == "..") return 0;
    }
    result.path = pathIn(linkOf(result.directory), component);
    return 0;
  }

  Tid tracee_;
  UniqueFd at_;
  int links_ = 0;
};

}  // namespace

UniqueFd searchName(int from, const std::string& name, int flags, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_NO_MAGICLINKS | resolve;
  return UniqueFd(
      static_cast<int>(syscall(SYS_openat2, from >= 0 ? from : AT_FDCWD, name.c_str(), &how, sizeof how)));
}

std::string pathIn(const std::string& directory, const std::string& name) {
  return directory + (directory.ends_with('/') ? "" : "/") + name;
}

// Of a name that leads to nothing. False: not sure, or a link is what leads there.
static bool resolveMissing(int from, const std::string& name, ResolvedName& result) {
  const size_t slash = name.rfind('/');
  const std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
  if (last.empty() || last == "." || last == "..") return false;
  const std::string directory = slash == std::string::npos ? "." : name.substr(0, slash + 1);
  UniqueFd parent = searchName(from, directory, O_DIRECTORY, RESOLVE_NO_XDEV);
  struct stat status {};
  if (!parent) {
    // Below /proc, what is missing for the mediator need not be for the tracee.
    if (errno != ENOENT || (from >= 0 && (fstat(from, &status) != 0 || isInProc(from, status)))) return false;
    result.error = ENOENT;
    return true;
  }
  if (fstat(parent.get(), &status) != 0 || isInProc(parent.get(), status) ||
      fstatat(parent.get(), last.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
    return false;
  const std::string path = linkTarget(ownLink(parent.get()));
  if (path.empty()) return false;
  result.path = pathIn(path, last);
  result.last = last;
  result.directory = std::move(parent);
  return true;
}

std::string ResolvedName::objectLink() const { return ownLink(object.get()); }

ResolvedName resolveName(Tid tracee, int from, const std::string& name, bool follow) {
  return Walk(tracee, from).run(name, follow);
}

ResolvedName resolveObject(Tid tracee, int from, const std::string& name, bool follow) {
  if (from < 0 && !name.starts_with('/')) return resolveName(tracee, from, name, follow);
  // Names in /proc mean other things to the tracee, and so does what is not found behind a mount.
  ResolvedName result;
  const int flags = follow ? 0 : O_NOFOLLOW;
  result.object = searchName(from, name, flags, RESOLVE_NO_XDEV);
  const bool missing = !result.object && errno == ENOENT;
  if (!result.object && errno == EXDEV) result.object = searchName(from, name, flags, 0);
  if (result.object && fstat(result.object.get(), &result.status) == 0 &&
      !isInProc(result.object.get(), result.status)) {
    result.path = linkTarget(ownLink(result.object.get()));
    return result;
  }
  if (missing && resolveMissing(from, name, result)) return result;
  return resolveName(tracee, from, name, follow);
}

}  // namespace airr
