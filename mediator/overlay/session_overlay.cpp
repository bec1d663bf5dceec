#include "mediator/overlay/session_overlay.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "mediator/overlay/changes.h"
#include "recorder/files.h"
#include "recorder/guarded_places.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

using policies::Action;
using policies::ActionKind;

// One line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct Mount {
  uint64_t id = 0;
  std::string device, root, point;
};

// "\040" is a blank.
std::string unescaped(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>(strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::vector<Mount> mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::vector<Mount> all;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Mount mount;
    uint64_t parent = 0;
    if (fields >> mount.id >> parent >> mount.device >> mount.root >> mount.point) {
      mount.root = unescaped(mount.root), mount.point = unescaped(mount.point);
      all.push_back(std::move(mount));
    }
  }
  if (all.empty()) throw systemError("cannot read /proc/self/mountinfo");
  return all;
}

std::optional<uint64_t> mountOf(int fd, const char* path, int flags) {
  struct statx status {};
  if (statx(fd, path, flags, STATX_MNT_ID, &status) != 0 || (status.stx_mask & STATX_MNT_ID) == 0)
    return std::nullopt;
  return status.stx_mnt_id;
}

std::string below(const std::string& path, const std::string& tree) {
  const std::string rest = tree == "/" ? path : path.substr(tree.size());
  return rest.starts_with('/') ? rest.substr(1) : rest;
}

void checkTree(const std::string& tree, const std::vector<Mount>& all, uint64_t id) {
  const auto own = std::ranges::find(all, id, &Mount::id);
  if (own == all.end()) throw Error(ExitCode::kFailure, "'" + tree + "' is not in a mount of this namespace");
  std::string inside = own->root;
  if (const std::string rest = below(tree, own->point); !rest.empty()) inside += (inside == "/" ? "" : "/") + rest;
  for (const Mount& other : all) {
    if (other.point != tree && policies::isUnder(other.point, tree))
      throw Error(ExitCode::kFailure, "an overlay over '" + tree + "' would hide what is mounted on '" + other.point + "'",
                  "choose a tree without mounts in it");
    if (other.id != id && other.device == own->device && policies::isUnder(inside, other.root) &&
        other.point != own->point)
      throw Error(ExitCode::kFailure, "'" + tree + "' can also be reached through '" + other.point +
                                          "', which an overlay over the one does not cover",
                  "unmount one of them");
  }
}

void checkTrees(const Record& record) {
  for (const std::string& tree : record.trees) {
    for (const std::string& other : record.trees)
      if (&tree != &other && policies::isUnder(tree, other))
        throw Error(ExitCode::kFailure, "'" + tree + "' is in '" + other + "': give the outer one only");
    for (const GuardedPlace& place : guardedPlaces(record.trace, {}))
      if (place.what != std::string_view("the trace") && policies::isUnder(place.path, tree))
        throw Error(ExitCode::kFailure,
                    "'" + tree + "' holds " + place.what + " (" + place.path + "), which no overlay may cover",
                    "choose a smaller tree, or set XDG_DATA_HOME and XDG_CACHE_HOME to directories outside of it");
  }
}

void writeTo(const char* path, const std::string& text) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw systemError(std::string("cannot write ") + path);
}

// Returns whether it is a user namespace's.
bool enterNamespace() {
  if (unshare(CLONE_NEWNS) == 0) {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw systemError("cannot keep mounts apart");
    return false;
  }
  const std::string user = std::to_string(geteuid()), group = std::to_string(getegid());
  if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
    throw systemError("cannot make a mount namespace for the overlay", errno, "`airr doctor` shows what this host allows");
  writeTo("/proc/self/setgroups", "deny");
  writeTo("/proc/self/uid_map", user + " " + user + " 1");
  writeTo("/proc/self/gid_map", group + " " + group + " 1");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw systemError("cannot keep mounts apart");
  return true;
}

// Over `tree`; paths are descriptors, whose names need no quoting. An errno, or 0.
int mountOverlay(int tree, int upper, int work, bool ofUser) {
  std::string options = "lowerdir=" + ownLink(tree) + ",upperdir=" + ownLink(upper) + ",workdir=" + ownLink(work) +
                        ",redirect_dir=nofollow,index=off,metacopy=off";
  if (ofUser) options += ",userxattr";
  return mount("overlay", ownLink(tree).c_str(), "overlay", 0, options.c_str()) == 0 ? 0 : errno;
}

// The root of the overlay shows the upper directory's attributes.
void copyRootAttributes(int from, const std::string& to) {
  struct stat status {};
  if (fstat(from, &status) != 0) throw systemError("cannot look at the tree");
  const timespec times[] = {status.st_atim, status.st_mtim};
  if ((chown(to.c_str(), status.st_uid, status.st_gid) != 0 && errno != EPERM) ||
      chmod(to.c_str(), status.st_mode & 07777) != 0 || utimensat(AT_FDCWD, to.c_str(), times, 0) != 0)
    throw systemError("cannot prepare '" + to + "'");
}

// By the clock of file times, which ticks every few milliseconds, once it has passed this moment. Before, a file that
// was changed just now can have a later time: those times are exact where somebody looks (Linux 6.13, multigrain).
int64_t nextTick() {
  const auto read = [](clockid_t clock) {
    timespec now{};
    syscall(SYS_clock_gettime, clock, &now);
    return now.tv_sec * 1'000'000'000ll + now.tv_nsec;
  };
  const int64_t now = read(CLOCK_REALTIME);
  for (;;) {
    if (const int64_t tick = read(CLOCK_REALTIME_COARSE); tick > now) return tick;
    constexpr timespec kPart{0, 300'000};
    nanosleep(&kPart, nullptr);
  }
}

Record dated(Record record, std::vector<std::string> trees) {
  record.began = nextTick();
  record.trees = std::move(trees);
  checkTrees(record);
  return record;
}

bool changesFiles(const Action& action) {
  return (policies::kWritingActions & policies::only(action.kind)) != 0;
}

}  // namespace

SessionOverlay::SessionOverlay(const std::vector<std::string>& trees, Record record)
    : store_(Store::make(dated(std::move(record), trees))), covered_(trees.size()) {
  try {
    const std::vector<Mount> before = mounts();
    for (size_t i = 0; i < trees.size(); ++i) {
      covered_[i].below = openOwn(trees[i], O_PATH | O_DIRECTORY | O_NOFOLLOW);
      const auto id = mountOf(covered_[i].below.get(), "", AT_EMPTY_PATH);
      if (!covered_[i].below || !id) throw systemError("cannot open '" + trees[i] + "'");
      checkTree(trees[i], before, *id);
    }
    const std::string directory = std::filesystem::current_path();
    const bool ofUser = enterNamespace();
    for (size_t i = 0; i < trees.size(); ++i) {
      Covered& covered = covered_[i];
      struct statfs fileSystem {};
      struct stat status {};
      // In the new namespace a descriptor of the old one's mount would not do.
      covered.below = openOwn(trees[i], O_PATH | O_DIRECTORY | O_NOFOLLOW);
      copyRootAttributes(covered.below.get(), store_.upperOf(i));
      covered.upper = openOwn(store_.upperOf(i), O_PATH | O_DIRECTORY);
      const UniqueFd work = openOwn(store_.workOf(i), O_PATH | O_DIRECTORY);
      if (!covered.below || !covered.upper || !work || fstatfs(covered.below.get(), &fileSystem) != 0 ||
          fstat(covered.below.get(), &status) != 0)
        throw systemError("cannot open '" + trees[i] + "' or its overlay's directories");
      if (const int error = mountOverlay(covered.below.get(), covered.upper.get(), work.get(), ofUser); error != 0)
        throw systemError("cannot mount an overlay over '" + trees[i] + "'", error,
                          "overlays are kept in '" + overlaysPath() +
                              "', which has to be on a file system of a disk or in memory, not itself an overlay or of "
                              "a network; XDG_DATA_HOME chooses another place");
      covered.type = fileSystem.f_type, covered.device = status.st_dev;
      const auto id = mountOf(AT_FDCWD, trees[i].c_str(), 0);
      if (!id || *id == mountOf(covered.below.get(), "", AT_EMPTY_PATH))
        throw Error(ExitCode::kFailure, "the overlay over '" + trees[i] + "' is not where it should be");
      covered.mount = *id;
    }
    for (const Mount& mount : mounts()) mounts_.insert(mount.id);
    if (chdir(directory.c_str()) != 0) throw systemError("cannot go back to '" + directory + "'");
  } catch (...) {
    store_.remove();
    throw;
  }
}

SessionOverlay::~SessionOverlay() {
  if (finished_) return;
  try {
    bool changed = false;
    for (size_t i = 0; i < covered_.size(); ++i) {
      const Sides sides = sidesOf(i);
      changed = changed || !changesOf(sides.tree.get(), sides.upper.get()).empty();
    }
    if (!changed) store_.remove();
  } catch (const Error& error) {
    fprintf(stderr, "airr: the session's overlay is in '%s': %s\n", store_.path().c_str(), error.what());
  }
}

Sides SessionOverlay::sidesOf(size_t tree) const {
  auto copy = [](const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstOwnFd)); };
  return {trees()[tree], copy(covered_[tree].below), copy(covered_[tree].upper)};
}

bool SessionOverlay::covers(std::string_view path) const {
  return std::ranges::any_of(trees(), [&](const std::string& tree) { return policies::isUnder(path, tree); });
}

std::string SessionOverlay::realPath(const std::string& path) const {
  std::error_code failed;
  const auto absolute = std::filesystem::weakly_canonical(std::filesystem::absolute(path), failed);
  if (failed) return path;
  for (size_t i = 0; i < covered_.size(); ++i)
    if (policies::isUnder(absolute.native(), trees()[i]))
      return ownLink(covered_[i].below.get()) + "/" + below(absolute.native(), trees()[i]);
  return path;
}

const char* SessionOverlay::forbids(const Action& action, const ResolvedName* name) const {
  constexpr const char* kMounts = "mounts, roots and namespaces stay as they are while there is an overlay";
  if (action.kind == ActionKind::kSystem) return kMounts;
  if (!changesFiles(action)) return nullptr;
  if (name == nullptr) return nullptr;
  const UniqueFd& fd = name->object ? name->object : name->directory;
  if (!fd) return nullptr;
  if ((action.kind == ActionKind::kRename || action.kind == ActionKind::kUnlink) &&
      std::ranges::any_of(trees(), [&](const std::string& tree) { return policies::isUnder(tree, name->path); }))
    return "what an overlay lies on stays where it is";
  return forbids(action, fd.get(), name->path);
}

const char* SessionOverlay::forbids(const Action& action, const std::string& descriptorLink) const {
  if (!changesFiles(action)) return nullptr;
  const UniqueFd fd(open(descriptorLink.c_str(), O_PATH | O_CLOEXEC));
  return fd ? forbids(action, fd.get(), std::string(action.path)) : nullptr;
}

const char* SessionOverlay::forbids(const Action& action, int fd, const std::string& path) const {
  constexpr const char* kBeneath = "this is a way around the overlay";
  struct stat status {};
  struct statfs fileSystem {};
  const auto mount = mountOf(fd, "", AT_EMPTY_PATH);
  if (!mount || fstat(fd, &status) != 0 || fstatfs(fd, &fileSystem) != 0) return kBeneath;
  if (S_ISBLK(status.st_mode) && action.kind == ActionKind::kOpenWrite) return kBeneath;
  for (size_t i = 0; i < covered_.size(); ++i) {
    const Covered& covered = covered_[i];
    if (policies::isUnder(path, trees()[i]) && *mount != covered.mount) return kBeneath;
    // By a mount of another namespace. Those in memory that no namespace has (memfd) are other devices.
    const bool sameFiles = fileSystem.f_type == covered.type &&
                           (covered.type != TMPFS_MAGIC || status.st_dev == covered.device);
    if (sameFiles && !mounts_.contains(*mount)) return kBeneath;
  }
  return nullptr;
}

size_t SessionOverlay::finish() {
  finished_ = true;
  size_t count = 0;
  std::vector<Baselines> baselines;
  for (size_t i = 0; i < covered_.size(); ++i) {
    const Sides sides = sidesOf(i);
    const std::vector<Change> changes = changesOf(sides.tree.get(), sides.upper.get());
    baselines.push_back(baselinesOf(sides, changes, store_.record().began));
    count += changes.size();
  }
  if (count == 0) {
    store_.remove();
  } else {
    store_.keepBaselines(baselines);
  }
  return count;
}

std::string overlayFault() {
  char base[] = "/tmp/airr-overlay-XXXXXX";
  if (mkdtemp(base) == nullptr) return std::string("/tmp: ") + strerror(errno);
  int report[2];
  std::string fault = "cannot try";
  if (pipe2(report, O_CLOEXEC) == 0) {
    const pid_t child = fork();
    if (child == 0) {
      std::string text;
      try {
        UniqueFd part[3];
        const char* names[] = {"/tree", "/upper", "/work"};
        for (int i = 0; i < 3; ++i)
          if (mkdir((std::string(base) + names[i]).c_str(), 0700) != 0) throw systemError(base);
        const bool ofUser = enterNamespace();
        for (int i = 0; i < 3; ++i) part[i].reset(open((std::string(base) + names[i]).c_str(), O_PATH | O_CLOEXEC));
        if (const int error = mountOverlay(part[0].get(), part[1].get(), part[2].get(), ofUser); error != 0)
          text = strerror(error);
      } catch (const Error& error) {
        text = error.what();
      }
      (void)!write(report[1], text.data(), text.size());
      _exit(0);
    }
    close(report[1]);
    char text[512];
    const ssize_t n = child < 0 ? -1 : read(report[0], text, sizeof text);
    if (n >= 0) fault.assign(text, static_cast<size_t>(n));
    close(report[0]);
    if (child > 0) waitpid(child, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(base, ignored);
  return fault;
}

}  // namespace airr::overlay
