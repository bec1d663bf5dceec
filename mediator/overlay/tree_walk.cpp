#include "mediator/overlay/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

constexpr size_t kMostEntries = 10'000'000;  // of a tree

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

Error failed(const std::string& what, const std::string& name) {
  return systemError("cannot " + what + " '" + name + "' of an overlay or its tree", errno,
                     errno == ENAMETOOLONG ? "its names are too long to be looked at; drop the overlay" : "");
}

// A file's bytes in pieces.
template <class Use>
void readAll(int root, const std::string& name, Use use) {
  const UniqueFd file = openIn(root, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  if (!file) throw failed("open", name);
  std::vector<uint8_t> chunk(256 << 10);
  for (;;) {
    const ssize_t n = read(file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw failed("read", name);
    if (n == 0) return;
    use(Bytes(chunk.data(), static_cast<size_t>(n)));
  }
}

Digest contentOf(int root, const std::string& name) {
  Sha256 hash;
  readAll(root, name, [&](Bytes bytes) { hash.update(bytes); });
  return hash.finish();
}

// An entry alone: what it is, and its bytes. Text before it makes all of them unambiguous.
void addTo(Sha256& hash, int root, const std::string& shown, const std::string& name, const struct stat& status) {
  std::string text = shown + '\0' + std::to_string(status.st_mode) + '\0';
  if (S_ISLNK(status.st_mode)) text += linkTargetIn(root, name) + '\0';
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) text += std::to_string(status.st_rdev) + '\0';
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  if (S_ISREG(status.st_mode)) hash.update(contentOf(root, name));
}

}  // namespace

std::string parentOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(name.substr(0, slash));
}

std::string lastOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return std::string(slash == std::string_view::npos ? name : name.substr(slash + 1));
}

std::string join(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : std::string(directory) + "/" + std::string(name);
}

UniqueFd openIn(int root, const std::string& name, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(static_cast<int>(
      syscall(SYS_openat2, root, name.empty() ? "." : name.c_str(), &how, sizeof how)));
}

std::optional<struct stat> statIn(int root, const std::string& name) {
  struct stat status {};
  const UniqueFd directory = openIn(root, parentOf(name), O_PATH | O_DIRECTORY);
  const std::string last = name.empty() ? "." : lastOf(name);
  if (directory && fstatat(directory.get(), last.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return status;
  // ELOOP: a link is where a directory was.
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
  throw failed("look at", name);
}

std::optional<std::string> attributeIn(int root, const std::string& name, const char* attribute) {
  const UniqueFd directory = openIn(root, parentOf(name), O_PATH | O_DIRECTORY);
  if (!directory) throw failed("look at", name);
  const std::string path =
      ownLink(directory.get()) + "/" + (name.empty() ? "." : lastOf(name));
  char value[256];
  const ssize_t n = lgetxattr(path.c_str(), attribute, value, sizeof value);
  if (n >= 0) return std::string(value, static_cast<size_t>(n));
  if (errno == ENODATA || errno == ENOTSUP || errno == EPERM || errno == EACCES) return std::nullopt;
  throw failed("look at", name);
}

std::string linkTargetIn(int root, const std::string& name) {
  const UniqueFd directory = openIn(root, parentOf(name), O_PATH | O_DIRECTORY);
  char target[PATH_MAX];
  const ssize_t n =
      directory ? readlinkat(directory.get(), lastOf(name).c_str(), target, sizeof target) : -1;
  if (n < 0) throw failed("read the link", name);
  return {target, static_cast<size_t>(n)};
}

std::vector<std::string> entriesIn(int root, const std::string& directory) {
  const UniqueFd file = openIn(root, directory, O_RDONLY | O_DIRECTORY);
  if (!file) throw failed("open", directory);
  const int own = fcntl(file.get(), F_DUPFD_CLOEXEC, 0);
  const std::unique_ptr<DIR, CloseDirectory> list(own < 0 ? nullptr : fdopendir(own));
  if (!list) {
    if (own >= 0) close(own);
    throw failed("open", directory);
  }
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = readdir(list.get()); errno = 0) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == kMostEntries)
      throw Error(ExitCode::kFailure, "'" + directory + "' has more entries than can be looked at");
    names.push_back(name);
  }
  if (errno != 0) throw failed("list", directory);
  std::ranges::sort(names);
  return names;
}

void walk(int root, const std::string& name,
          const std::function<void(const std::string&, const struct stat&)>& visit) {
  std::vector<std::string> left{name};
  size_t seen = 0;
  while (!left.empty()) {
    const std::string directory = std::move(left.back());
    left.pop_back();
    std::vector<std::string> deeper;
    for (const std::string& entry : entriesIn(root, directory)) {
      if (++seen > kMostEntries)
        throw Error(ExitCode::kFailure, "'" + name + "' has more in it than can be looked at");
      const std::string path = join(directory, entry);
      const auto status = statIn(root, path);
      if (!status) continue;
      visit(path, *status);
      if (S_ISDIR(status->st_mode)) deeper.push_back(path);
    }
    left.insert(left.end(), deeper.rbegin(), deeper.rend());
  }
}

Digest stateOf(int root, const std::string& name) {
  Sha256 hash;
  const auto status = statIn(root, name);
  if (!status) return hash.finish();
  addTo(hash, root, "", name, *status);
  if (S_ISDIR(status->st_mode))
    walk(root, name, [&](const std::string& path, const struct stat& entry) {
      addTo(hash, root, path.substr(name.empty() ? 0 : name.size() + 1), path, entry);
    });
  return hash.finish();
}

bool sameContent(int rootA, const std::string& a, int rootB, const std::string& b) {
  return contentOf(rootA, a) == contentOf(rootB, b);
}

int removeAll(const std::string& path) {
  int error = 0;
  auto note = [&](int result) {
    if (result != 0 && errno != ENOENT && error == 0) error = errno;
  };
  const UniqueFd top(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) {
    note(errno == ENOENT ? 0 : unlink(path.c_str()));
    return error;
  }
  // A session may have locked its directories, and nested them without end: what is in one moves to the top.
  note(chmod(path.c_str(), 0700));
  std::vector<std::string> left = entriesIn(top.get(), "");
  uint64_t moved = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    const std::string name = left[i];
    if (unlinkat(top.get(), name.c_str(), 0) == 0) continue;
    if (errno != EISDIR) {
      note(-1);
      continue;
    }
    note(fchmodat(top.get(), name.c_str(), 0700, 0));
    const UniqueFd directory = openIn(top.get(), name, O_PATH | O_DIRECTORY);
    if (!directory) {
      note(-1);
      continue;
    }
    for (const std::string& entry : entriesIn(directory.get(), "")) {
      if (unlinkat(directory.get(), entry.c_str(), 0) == 0) continue;
      if (errno != EISDIR) {
        note(-1);
        continue;
      }
      note(fchmodat(directory.get(), entry.c_str(), 0700, 0));  // its ".." changes
      int result = 0;
      do {
        left.push_back("airr-" + std::to_string(moved++));
        result = renameat2(directory.get(), entry.c_str(), top.get(), left.back().c_str(), RENAME_NOREPLACE);
      } while (result != 0 && errno == EEXIST);
      note(result);
    }
    note(unlinkat(top.get(), name.c_str(), AT_REMOVEDIR));
  }
  note(rmdir(path.c_str()));
  return error;
}

}  // namespace airr::overlay
