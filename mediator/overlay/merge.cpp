#include "mediator/overlay/merge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "mediator/overlay/tree_walk.h"
#include "recorder/files.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

constexpr mode_t kPermissions = 07777;

int64_t changedAt(const struct stat& status) { return status.st_ctim.tv_sec * 1'000'000'000ll + status.st_ctim.tv_nsec; }

bool touchedSince(int tree, const Change& change, int64_t began) {
  bool touched = changedAt(change.before) >= began;
  if (change.within != 0)
    walk(tree, change.name, [&](const std::string&, const struct stat& entry) {
      touched = touched || changedAt(entry) >= began;
    });
  return touched;
}

// What must not have changed for the change to be the one that was reviewed.
std::string stateFor(int tree, const Change& change) {
  if (change.kind == Change::Kind::kAttributes && S_ISDIR(change.before.st_mode))
    return "mode " + std::to_string(change.before.st_mode);
  const Digest state = stateOf(tree, change.name);
  return hex(state);
}

// Extended attributes: those of a user ("user.", what a session may have set), or all that are not, which
// give rights and so stay what they were.
void copyAttributes(int from, int to, const std::string& name, bool ofUser) {
  std::string names(64 << 10, '\0');
  const ssize_t size = flistxattr(from, names.data(), names.size());
  if (size < 0 && errno != ENOTSUP) throw systemError("cannot copy the attributes of '" + name + "'");
  for (ssize_t at = 0; at < size;) {
    const std::string attribute = names.c_str() + at;
    at += static_cast<ssize_t>(attribute.size()) + 1;
    if (attribute.starts_with("trusted.") || attribute.starts_with("user.overlay.") ||
        attribute.starts_with("user.") != ofUser)
      continue;
    std::string value(64 << 10, '\0');
    const ssize_t length = fgetxattr(from, attribute.c_str(), value.data(), value.size());
    if (length < 0 || fsetxattr(to, attribute.c_str(), value.data(), static_cast<size_t>(length), 0) != 0)
      throw systemError("cannot copy attribute " + attribute + " of '" + name + "'");
  }
}

void copyBytes(int from, int to, const std::string& name) {
  std::vector<uint8_t> chunk(1 << 20);
  for (;;) {
    ssize_t n = copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
    if (n == 0) return;
    if (n > 0) continue;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) break;
    n = read(from, chunk.data(), chunk.size());  // another file system, which cannot copy by itself
    if (n == 0) return;
    if (n < 0) break;
    if (!writeWhole(to, {{chunk.data(), static_cast<size_t>(n)}})) throw systemError("cannot write '" + name + "'");
  }
  throw systemError("cannot copy '" + name + "'");
}

// The changes of one tree.
class TreeMerge {
 public:
  TreeMerge(const Sides& sides, const std::vector<Change>& changes, const std::string& session)
      : sides_(sides), changes_(changes), place_(".airr-merge-" + session.substr(0, 16)) {}
  ~TreeMerge() {
    if (done_ || !staging_) return;
    removeAll(sides_.path + "/" + place_);
  }

  void stage() {
    if (mkdirat(sides_.tree.get(), place_.c_str(), 0700) != 0)
      throw systemError("cannot make '" + sides_.path + "/" + place_ + "'", errno,
                        errno == EEXIST ? "a merge was cut short: it has what was put aside (old-N) and what was to be "
                                          "put in its place (new-N); look at it and remove it"
                                        : "");
    staging_ = openIn(sides_.tree.get(), place_, O_PATH | O_DIRECTORY);
    if (!staging_) throw systemError("cannot open '" + sides_.path + "/" + place_ + "'");
    for (size_t i = 0; i < changes_.size(); ++i)
      if (makes(changes_[i])) stageEntry(changes_[i], newName(i));
  }

  size_t apply() {
    size_t made = 0;
    for (size_t i = 0; i < changes_.size(); ++i) made += applyOne(changes_[i], i) ? 1 : 0;
    // Directories last, the deepest first: they may end up without the right to be written.
    for (size_t i = changes_.size(); i-- > 0;)
      if (S_ISDIR(changes_[i].after.st_mode)) finishDirectory(changes_[i]);
    return made;
  }

  void undo() {
    std::string left;
    for (; !undo_.empty(); undo_.pop_back())
      if (const int error = undo_.back().second(); error != 0 && left.empty())
        left = sides_.path + "/" + undo_.back().first + ": " + strerror(error);
    if (left.empty()) return;
    done_ = true;  // what was put aside must stay
    throw Error(ExitCode::kFailure, "the merge failed, and could not be taken back: " + left,
                "'" + sides_.path + "/" + place_ + "' has what was put aside");
  }

  void finish() {
    syncfs(staging_.get());
    done_ = true;
    const std::string path = sides_.path + "/" + place_;
    if (const int error = removeAll(path); error != 0)
      throw systemError("all was merged, but '" + path + "' cannot be removed", error);
  }

 private:
  static bool makes(const Change& change) {
    return change.kind != Change::Kind::kDeleted && change.kind != Change::Kind::kAttributes &&
           !S_ISSOCK(change.after.st_mode);
  }
  static std::string newName(size_t i) { return "new-" + std::to_string(i); }

  Error failed(const char* what, const Change& change) const {
    return systemError("cannot " + std::string(what) + " '" + sides_.path + "/" + change.name + "'");
  }

  void stageEntry(const Change& change, const std::string& to) {
    const struct stat& status = change.after;
    const int staging = staging_.get();
    if (S_ISREG(status.st_mode)) return stageFile(change, to);
    int result = 0;
    if (S_ISDIR(status.st_mode)) {
      result = mkdirat(staging, to.c_str(), 0700);
    } else if (S_ISLNK(status.st_mode)) {
      result = symlinkat(linkTargetIn(sides_.upper.get(), change.name).c_str(), staging, to.c_str());
    } else {
      result = mknodat(staging, to.c_str(), status.st_mode & ~kPermissions, status.st_rdev);
    }
    if (result != 0) throw failed("make", change);
    own(change, UniqueFd(openat(staging, to.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)));
    if (S_ISLNK(status.st_mode) || S_ISDIR(status.st_mode)) return;
    if (fchmodat(staging, to.c_str(), status.st_mode & kPermissions, 0) != 0) throw failed("make", change);
  }

  void stageFile(const Change& change, const std::string& to) {
    const UniqueFd from = openIn(sides_.upper.get(), change.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const UniqueFd file(
        openat(staging_.get(), to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!from || !file) throw failed("copy", change);
    copyBytes(from.get(), file.get(), change.name);
    own(change, UniqueFd(openat(staging_.get(), to.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)));
    copyAttributes(from.get(), file.get(), change.name, true);
    if (change.kind == Change::Kind::kChanged) {
      const UniqueFd before = openIn(sides_.tree.get(), change.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      if (!before) throw failed("open", change);
      copyAttributes(before.get(), file.get(), change.name, false);
    }
    const timespec times[] = {change.after.st_atim, change.after.st_mtim};
    if (fchmod(file.get(), change.after.st_mode & kPermissions) != 0 || futimens(file.get(), times) != 0)
      throw failed("copy", change);
  }

  void own(const Change& change, const UniqueFd& entry) const {
    struct stat status {};
    if (!entry || fstat(entry.get(), &status) != 0) throw failed("make", change);
    if (status.st_uid == change.after.st_uid && status.st_gid == change.after.st_gid) return;
    if (fchownat(entry.get(), "", change.after.st_uid, change.after.st_gid, AT_EMPTY_PATH) != 0)
      throw failed("give its owner to", change);
  }

  // False: there was nothing to do.
  bool applyOne(const Change& change, size_t i) {
    if (change.kind == Change::Kind::kAttributes) return applyAttributes(change);
    if (S_ISSOCK(change.after.st_mode)) return false;
    using Kind = Change::Kind;
    const std::string place = place_ + "/" + (change.kind == Kind::kDeleted ? "old-" : "new-") + std::to_string(i);
    int error = 0;
    std::function<int()> back;
    // A descriptor for each change would be too many: names are opened again if it is to be taken back.
    switch (change.kind) {
      case Kind::kDeleted:
        error = move(change.name, place, RENAME_NOREPLACE);
        back = [=, this] { return move(place, change.name, RENAME_NOREPLACE); };
        break;
      case Kind::kAdded:
        error = move(place, change.name, RENAME_NOREPLACE);
        back = [=, this] { return move(change.name, place, RENAME_NOREPLACE); };
        break;
      default:
        error = move(place, change.name, RENAME_EXCHANGE);
        back = [=, this] { return move(place, change.name, RENAME_EXCHANGE); };
    }
    if (error != 0) {
      errno = error;
      throw failed(change.kind == Kind::kDeleted ? "remove" : "put in place", change);
    }
    undo_.emplace_back(change.name, std::move(back));
    return true;
  }

  // Between two names in the tree. An errno, or 0.
  int move(const std::string& from, const std::string& to, unsigned flags) const {
    const UniqueFd a = openIn(sides_.tree.get(), parentOf(from), O_PATH | O_DIRECTORY);
    if (!a) return errno;
    const UniqueFd b = openIn(sides_.tree.get(), parentOf(to), O_PATH | O_DIRECTORY);
    if (!b) return errno;
    return renameat2(a.get(), lastOf(from).c_str(), b.get(), lastOf(to).c_str(), flags) == 0 ? 0 : errno;
  }

  bool applyAttributes(const Change& change) {
    // Until the end a directory has to be writable.
    const mode_t more = S_ISDIR(change.after.st_mode) ? 0700 : 0;
    setAttributes(change, change.after.st_mode | more);
    return true;
  }

  void finishDirectory(const Change& change) { setAttributes(change, change.after.st_mode); }

  void setAttributes(const Change& change, mode_t mode) {
    const auto was = statIn(sides_.tree.get(), change.name);
    if (!was) throw failed("find", change);
    undo_.emplace_back(change.name, [this, name = change.name, was = *was] {
      return set(name, was.st_uid, was.st_gid, was.st_mode);
    });
    if (const int error = set(change.name, change.after.st_uid, change.after.st_gid, mode); error != 0) {
      errno = error;
      throw failed("set the attributes of", change);
    }
  }

  // An errno, or 0.
  int set(const std::string& name, uid_t user, gid_t group, mode_t mode) const {
    const UniqueFd entry = openIn(sides_.tree.get(), name, O_PATH | O_NOFOLLOW);
    struct stat now {};
    if (!entry || fstat(entry.get(), &now) != 0) return errno;
    if ((user != now.st_uid || group != now.st_gid) && fchownat(entry.get(), "", user, group, AT_EMPTY_PATH) != 0)
      return errno;
    // A link has no permissions of its own.
    if (S_ISLNK(now.st_mode) || (now.st_mode & kPermissions) == (mode & kPermissions)) return 0;
    return chmod(ownLink(entry.get()).c_str(), mode & kPermissions) == 0 ? 0 : errno;
  }

  const Sides& sides_;
  const std::vector<Change>& changes_;
  const std::string place_;
  UniqueFd staging_;
  std::vector<std::pair<std::string, std::function<int()>>> undo_;
  bool done_ = false;
};

}  // namespace

Sides sidesOf(const Store& store, size_t tree) {
  const std::string& path = store.record().trees.at(tree);
  auto open = [](const std::string& directory) {
    UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) throw systemError("cannot open '" + directory + "'");
    return fd;
  };
  return {path, open(path), open(store.upperOf(tree))};
}

Baselines baselinesOf(const Sides& sides, const std::vector<Change>& changes, int64_t began) {
  Baselines result;
  for (const Change& change : changes)
    if (change.kind != Change::Kind::kAdded)
      result[change.name] = {stateFor(sides.tree.get(), change), touchedSince(sides.tree.get(), change, began)};
  return result;
}

std::vector<Conflict> conflictsOf(const Store& store, const std::vector<Sides>& sides,
                                  const std::vector<std::vector<Change>>& changes) {
  std::vector<Conflict> conflicts;
  const std::vector<Baselines> baselines = store.baselines();
  for (size_t i = 0; i < sides.size(); ++i) {
    for (const Change& change : changes[i]) {
      auto note = [&](const char* why) { conflicts.push_back({sides[i].path, change.name, why}); };
      const bool isThere = change.kind != Change::Kind::kAdded;
      if (baselines.empty()) {
        if (isThere && touchedSince(sides[i].tree.get(), change, store.record().began))
          note("was changed since the session began");
        continue;
      }
      const auto found = baselines[i].find(change.name);
      if (found == baselines[i].end()) {
        if (isThere) note("was made since the session ended");
      } else if (!isThere) {
        note("was removed since the session ended");
      } else if (found->second.touched) {
        note("was changed while the session ran");
      } else if (found->second.state != stateFor(sides[i].tree.get(), change)) {
        note("was changed since the session ended");
      }
    }
  }
  return conflicts;
}

size_t merge(const Store& store, const std::vector<Sides>& sides, const std::vector<std::vector<Change>>& changes) {
  std::vector<std::unique_ptr<TreeMerge>> merges;
  for (size_t i = 0; i < sides.size(); ++i)
    merges.push_back(std::make_unique<TreeMerge>(sides[i], changes[i], store.record().session));
  for (auto& one : merges) one->stage();
  size_t made = 0;
  try {
    for (auto& one : merges) made += one->apply();
  } catch (...) {
    for (auto one = merges.rbegin(); one != merges.rend(); ++one) (*one)->undo();
    throw;
  }
  for (auto& one : merges) one->finish();
  return made;
}

}  // namespace airr::overlay
