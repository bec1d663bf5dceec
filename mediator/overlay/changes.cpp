#include "mediator/overlay/changes.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "mediator/overlay/tree_walk.h"
#include "schema/error.h"

namespace airr::overlay {
namespace {

constexpr size_t kMostChanges = 1'000'000;

// "trusted." if mounted by root of the host, "user." in a user namespace.
bool hasMark(int upper, const std::string& name, const std::string& mark, char value) {
  for (const char* space : {"trusted.overlay.", "user.overlay."})
    if (const auto found = attributeIn(upper, name, (space + mark).c_str()); found && found->starts_with(value))
      return true;
  return false;
}

bool isWhiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0); }

bool sameKind(const struct stat& a, const struct stat& b) { return (a.st_mode & S_IFMT) == (b.st_mode & S_IFMT); }

class Comparison {
 public:
  Comparison(int tree, int upper) : tree_(tree), upper_(upper) {}

  std::vector<Change> run() {
    left_.push_back({"", false});
    while (!left_.empty()) {
      const Directory directory = std::move(left_.back());
      left_.pop_back();
      compare(directory);
    }
    std::ranges::stable_sort(changes_, [](const Change& a, const Change& b) {
      return std::pair(a.kind, std::string_view(a.name)) < std::pair(b.kind, std::string_view(b.name));
    });
    return std::move(changes_);
  }

 private:
  struct Directory {
    std::string name;
    bool opaque;  // nothing of the tree's own is seen in it
  };

  void compare(const Directory& directory) {
    const std::vector<std::string> entries = entriesIn(upper_, directory.name);
    for (const std::string& entry : entries) compareEntry(join(directory.name, entry), directory.opaque);
    if (!directory.opaque) return;
    const auto own = statIn(tree_, directory.name);
    if (!own || !S_ISDIR(own->st_mode)) return;
    for (const std::string& entry : entriesIn(tree_, directory.name))
      if (!std::ranges::binary_search(entries, entry)) deleted(join(directory.name, entry));
  }

  void compareEntry(const std::string& name, bool opaque) {
    const auto after = statIn(upper_, name);
    if (!after) return;
    if (isWhiteout(*after)) return deleted(name);
    const auto before = statIn(tree_, name);
    const bool isDirectory = S_ISDIR(after->st_mode);
    if (isDirectory) left_.push_back({name, opaque || hasMark(upper_, name, "opaque", 'y')});
    if (!before) return add({Change::Kind::kAdded, name, {}, *after});
    if (!sameKind(*before, *after))
      return add({Change::Kind::kReplaced, name, *before, *after, entriesWithin(name, *before)});
    if (!isDirectory && !sameValue(name, *before, *after))
      return add({Change::Kind::kChanged, name, *before, *after});
    if (before->st_mode != after->st_mode || before->st_uid != after->st_uid || before->st_gid != after->st_gid)
      add({Change::Kind::kAttributes, name, *before, *after});
  }

  bool sameValue(const std::string& name, const struct stat& before, const struct stat& after) const {
    if (S_ISLNK(after.st_mode)) return linkTargetIn(tree_, name) == linkTargetIn(upper_, name);
    if (S_ISREG(after.st_mode))
      return before.st_size == after.st_size && sameContent(tree_, name, upper_, name);
    return before.st_rdev == after.st_rdev;
  }

  void deleted(const std::string& name) {
    if (const auto before = statIn(tree_, name))
      add({Change::Kind::kDeleted, name, *before, {}, entriesWithin(name, *before)});
  }

  uint64_t entriesWithin(const std::string& name, const struct stat& status) const {
    uint64_t count = 0;
    if (S_ISDIR(status.st_mode)) walk(tree_, name, [&](const std::string&, const struct stat&) { ++count; });
    return count;
  }

  void add(Change change) {
    if (changes_.size() == kMostChanges)
      throw Error(ExitCode::kFailure, "the session changed more than " + std::to_string(kMostChanges) +
                                          " files: that is more than can be looked at");
    changes_.push_back(std::move(change));
  }

  int tree_, upper_;
  std::vector<Directory> left_;
  std::vector<Change> changes_;
};

}  // namespace

const char* toString(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::kDeleted: return "deleted";
    case Change::Kind::kReplaced: return "replaced";
    case Change::Kind::kChanged: return "changed";
    case Change::Kind::kAttributes: return "attributes";
    case Change::Kind::kAdded: return "added";
  }
  return "?";
}

std::vector<Change> changesOf(int tree, int upper) { return Comparison(tree, upper).run(); }

}  // namespace airr::overlay
