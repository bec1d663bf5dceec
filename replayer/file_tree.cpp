#include "replayer/file_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <utility>

#include "schema/error.h"

namespace airr {
namespace {

constexpr int kMaxLinks = 40;  // as in the kernel (MAXSYMLINKS)

std::deque<std::string> split(const std::string& path) {
  std::deque<std::string> parts;
  for (size_t start = 0; start < path.size();) {
    size_t end = std::min(path.find('/', start), path.size());
    if (end > start) parts.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// Puts nodes beneath one directory, walking component by component without following links.
class Placer {
 public:
  Placer(const std::string& directory, const Spool& spool, const ReadBlob& readBlob)
      : spool_(spool), readBlob_(readBlob) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    root_ = UniqueFd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root_) throw systemError("cannot open the directory " + directory);
  }

  void place(const std::string& path, const FileNode& node) {
    Place to = parentOf(path);
    if (!to.directory) {
      note(path, "its directory cannot be made: " + std::string(strerror(errno)));
      return;
    }
    if (node.kind == FileNode::Kind::kDirectory) {
      placeDirectory(path, to, node);
      return;
    }
    if (unlinkat(to.directory.get(), to.name.c_str(), 0) != 0 && errno != ENOENT) {
      note(path, std::string("its place is taken: ") + strerror(errno));
      return;
    }
    if (node.kind == FileNode::Kind::kLink) {
      placeLink(path, to, node);
    } else {
      placeFile(path, to, node);
    }
  }

  void note(const std::string& path, const std::string& why) {
    result_.notes.push_back(path + ": " + why);
  }

  MaterializeResult take() { return std::move(result_); }

 private:
  struct Place {
    UniqueFd directory;  // none: errno says why
    std::string name;
  };

  Place parentOf(const std::string& path) const {
    std::deque<std::string> parts = split(path);
    if (parts.empty()) {
      errno = EINVAL;
      return {};
    }
    Place place{UniqueFd(fcntl(root_.get(), F_DUPFD_CLOEXEC, 0)), parts.back()};
    parts.pop_back();
    if (place.name == "." || place.name == "..") parts.assign(1, "..");
    for (const std::string& part : parts) {
      if (part == "." || part == "..") {
        errno = EINVAL;
        return {};
      }
      if (mkdirat(place.directory.get(), part.c_str(), 0777) != 0 && errno != EEXIST) return {};
      place.directory.reset(openat(place.directory.get(), part.c_str(),
                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!place.directory) return {};
    }
    return place;
  }

  void placeDirectory(const std::string& path, const Place& to, const FileNode& node) {
    if (mkdirat(to.directory.get(), to.name.c_str(), 0777) != 0 && errno != EEXIST) {
      note(path, strerror(errno));
      return;
    }
    UniqueFd made(openat(to.directory.get(), to.name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made) {
      note(path, strerror(errno));
      return;
    }
    fchmod(made.get(), (node.mode & 0777) | S_IRWXU);  // what lies in it is still to be written
    ++result_.directories;
  }

  void placeLink(const std::string& path, const Place& to, const FileNode& node) {
    if (symlinkat(node.target.c_str(), to.directory.get(), to.name.c_str()) != 0) {
      note(path, strerror(errno));
      return;
    }
    ++result_.links;
  }

  void placeFile(const std::string& path, const Place& to, const FileNode& node) {
    auto [first, isFirst] = firstNames_.try_emplace(&node, path);
    if (!isFirst) {
      Place from = parentOf(first->second);
      if (from.directory && linkat(from.directory.get(), from.name.c_str(), to.directory.get(),
                                   to.name.c_str(), 0) == 0) {
        ++result_.files;
        return;
      }
    }
    UniqueFd file(openat(to.directory.get(), to.name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) {
      note(path, strerror(errno));
      return;
    }
    node.content.writeTo(file.get(), spool_, readBlob_);
    fchmod(file.get(), node.mode & 0777);  // no set-user-ID bit: these files are evidence
    ++result_.files;
    if (node.inexact) note(path, "a part of its content is not in the trace");
  }

  const Spool& spool_;
  const ReadBlob& readBlob_;
  UniqueFd root_;
  std::map<const FileNode*, std::string> firstNames_;
  MaterializeResult result_;
};

}  // namespace

std::string FileTree::resolve(const std::string& absolutePath) const {
  std::deque<std::string> rest = split(absolutePath);
  std::string done;
  for (int links = 0; !rest.empty();) {
    std::string part = std::move(rest.front());
    rest.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      done.resize(done.empty() ? 0 : done.rfind('/'));
      continue;
    }
    std::string next = done + '/' + part;
    auto node = rest.empty() ? nullptr : find(next);
    if (!node || node->kind != FileNode::Kind::kLink || ++links > kMaxLinks) {
      done = std::move(next);
      continue;
    }
    if (node->target.starts_with('/')) done.clear();
    std::deque<std::string> target = split(node->target);
    rest.insert(rest.begin(), target.begin(), target.end());
  }
  return done.empty() ? "/" : done;
}

std::shared_ptr<FileNode> FileTree::find(const std::string& path) const {
  auto found = nodes_.find(path);
  return found == nodes_.end() ? nullptr : found->second;
}

void FileTree::put(const std::string& path, std::shared_ptr<FileNode> node) {
  missing_.erase(path);
  nodes_[path] = std::move(node);
}

template <typename Value>
std::map<std::string, Value> FileTree::take(std::map<std::string, Value>& from,
                                            const std::string& path) {
  std::map<std::string, Value> taken;
  if (auto exact = from.extract(path)) taken.emplace("", std::move(exact.mapped()));
  std::string below = path + '/';
  for (auto at = from.lower_bound(below); at != from.end() && at->first.starts_with(below);) {
    taken.emplace(at->first.substr(path.size()), std::move(at->second));
    at = from.erase(at);
  }
  return taken;
}

void FileTree::remove(const std::string& path) {
  take(nodes_, path);
  take(missing_, path);
}

void FileTree::rename(const std::string& from, const std::string& to, bool exchange) {
  if (from == to) return;
  if (find(from) && find(from) == find(to))
    return;  // two names of one file: rename(2) does nothing
  auto nodes = take(nodes_, from);
  auto missing = take(missing_, from);
  auto otherNodes = take(nodes_, to);
  auto otherMissing = take(missing_, to);
  auto give = [this](const std::string& path, auto& someNodes, auto& someMissing,
                     const std::string& formerly) {
    if (!someNodes.contains("") && !someMissing.contains("")) {
      someMissing.emplace("", "it is older than the session, and was named " + formerly);
    }
    for (auto& [rest, node] : someNodes) nodes_[path + rest] = std::move(node);
    for (auto& [rest, why] : someMissing) missing_[path + rest] = std::move(why);
  };
  give(to, nodes, missing, from);
  if (exchange) give(from, otherNodes, otherMissing, to);
}

void FileTree::markMissing(const std::string& path, const std::string& why) {
  remove(path);
  missing_[path] = why;
}

MaterializeResult FileTree::writeTo(const std::string& directory, const Spool& spool,
                                    const ReadBlob& readBlob) const {
  Placer placer(directory, spool, readBlob);
  for (auto& [path, node] : nodes_) {
    if (node->changed) placer.place(path, *node);
  }
  for (auto& [path, why] : missing_) placer.note(path, why);
  return placer.take();
}

}  // namespace airr
