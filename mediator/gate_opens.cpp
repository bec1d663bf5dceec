#include "mediator/gate_opens.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "mediator/open_files.h"
#include "policies/facts.h"
#include "recorder/files.h"

namespace airr {

std::unique_ptr<GateOpens> GateOpens::make() {
  UniqueFd tree = openOwn(AIRR_GATE_TREE, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  UniqueFd root = openOwn("/", O_PATH | O_DIRECTORY);
  struct stat status {};
  if (!tree || !root || fstat(tree.get(), &status) != 0 || !isOnLocalFileSystem(tree.get(), status)) return nullptr;
  auto opens = std::unique_ptr<GateOpens>(new GateOpens);
  opens->tree_ = std::move(tree), opens->root_ = std::move(root);
  const auto isMerged = [](const std::string& name) {
    const std::string there = AIRR_GATE_TREE + name, target = linkTarget(name);
    return target == there || target == there.substr(1);
  };
  opens->merged_ = isMerged("/lib") && isMerged("/lib64");
  return opens;
}

std::string GateOpens::pathOf(std::string path) const {
  if (merged_ && (path.starts_with("/lib/") || path.starts_with("/lib64/"))) path.insert(0, AIRR_GATE_TREE);
  return path;
}

bool GateOpens::has(std::string_view path) const {
  return policies::isUnder(path, AIRR_GATE_TREE) || grants.contains(path);
}

bool GateOpens::noteOpened(std::string_view directory) {
  constexpr unsigned kSome = 3;
  constexpr size_t kMostDirectories = 10'000;
  const auto found = opened_.find(directory);
  if (found != opened_.end()) return ++found->second == kSome;
  if (opened_.size() < kMostDirectories) opened_.emplace(directory, 1);
  return false;
}

void GateOpens::forget() {
  grants.hide();
  opened_.clear();
}

}  // namespace airr
