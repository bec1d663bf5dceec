// What the gate may open by itself (docs/gate.md): what is in AIRR_GATE_TREE, and the names that are granted to all.
//
// Ownership: owns the descriptors that the session's processes have as AIRR_GATE_OWN_FDS and following. One thread.
// Failure: Error, if memory or descriptors run out.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mediator/open_grants.h"
#include "schema/unique_fd.h"

namespace airr {

class GateOpens {
 public:
  // Nothing: the tree cannot be opened from by a gate.
  static std::unique_ptr<GateOpens> make();

  // AIRR_GATE_TREE_FD, AIRR_GATE_ROOT_FD, AIRR_GATE_GRANTS_FD.
  std::array<int, 3> files() const { return {tree_.get(), root_.get(), grants.memory()}; }
  const UniqueFd& tree() const { return tree_; }
  // Whether /lib and /lib64 lead to the directories of these names in the tree.
  bool merged() const { return merged_; }
  // The path of what the gate opens for `path`.
  std::string pathOf(std::string path) const;
  // Whether the gate opens what has this path, as pathOf() gives it.
  bool has(std::string_view path) const;

  // What was opened is a file in `directory`. True: it is one of so many that the others there are worth granting too;
  // once for each directory.
  bool noteOpened(std::string_view directory);
  // What names lead to has changed in ways that the gate's opens could notice.
  void forget();

  OpenGrants grants;

 private:
  GateOpens() = default;

  UniqueFd tree_, root_;
  bool merged_ = false;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, unsigned, Hash, std::equal_to<>> opened_;  // files, by directory
};

}  // namespace airr
