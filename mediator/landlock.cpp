#include "mediator/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "mediator/raw_call.h"
#include "policies/bounds.h"
#include "schema/error.h"

namespace airr {
namespace {

using policies::ActionKind;
using policies::Fact;

// include/uapi/linux/landlock.h of Linux 6.12; Debian 12's header has the first three of these ABIs.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr unsigned kVersion = 1;   // LANDLOCK_CREATE_RULESET_VERSION
constexpr int kPathBeneath = 1;    // LANDLOCK_RULE_PATH_BENEATH
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDirectory = 1 << 3,
                   kRemoveDirectory = 1 << 4, kRemoveFile = 1 << 5, kMakeCharacterDevice = 1 << 6,
                   kMakeDirectory = 1 << 7, kMakeFile = 1 << 8, kMakeFifo = 1 << 10,
                   kMakeBlockDevice = 1 << 11, kMakeLink = 1 << 12, kRefer = 1 << 13, kTruncate = 1 << 14;
// The kernel executes them for every dynamic program (the x86-64 psABI; musl), and no policy decides on them.
constexpr const char* kLoaders[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"};
constexpr uint64_t kScopeSignal = 1 << 1;
constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate;

struct RulesetAttributes {
  uint64_t files = 0, network = 0, scoped = 0;
};
struct __attribute__((packed)) PathBeneath {
  uint64_t allowed;
  int32_t parent;
};

// Rights that a process needs for some kinds of actions only.
struct Right {
  const char* name;
  uint64_t access;
  int abi;
  std::vector<ActionKind> kinds;
};
const Right kRights[] = {
    {"executing", kExecute, 1, {ActionKind::kExec, ActionKind::kLoad}},
    // What is executed is read as well (security/landlock/fs.c, get_required_file_open_access()).
    {"reading", kReadFile | kReadDirectory, 1, {ActionKind::kOpenRead, ActionKind::kLoad, ActionKind::kExec}},
    {"writing", kWriteFile, 1, {ActionKind::kOpenWrite, ActionKind::kCreate}},
    {"truncating", kTruncate, 3, {ActionKind::kOpenWrite, ActionKind::kCreate}},
    {"making", kMakeCharacterDevice | kMakeDirectory | kMakeFile | kMakeFifo | kMakeBlockDevice | kMakeLink, 1,
     {ActionKind::kCreate}},
    {"removing", kRemoveDirectory | kRemoveFile, 1, {ActionKind::kUnlink, ActionKind::kRename, ActionKind::kCreate}},
};

// Whether no process outside of the session can be signalled.
bool keepsSignalsInside(const policies::Policy& policy) {
  policies::Action action;
  action.kind = ActionKind::kSignal;
  action.inside = false;
  action.set(Fact::kInside);
  return !canPermit(policy, action);
}

// Its nearest directory if it is not there.
UniqueFd openNearest(std::string tree) {
  for (;;) {
    UniqueFd found(open(tree.c_str(), O_PATH | O_CLOEXEC));
    if (found || tree == "/") return found;
    const size_t slash = tree.rfind('/');
    tree = slash == 0 || slash == std::string::npos ? "/" : tree.substr(0, slash);
  }
}

}  // namespace

int landlockAbi() { return static_cast<int>(std::max(0l, syscall(kCreateRuleset, nullptr, 0, kVersion))); }

LandlockRules compileLandlock(const policies::Policy& policy, int abi) {
  LandlockRules rules;
  policies::Action mount;
  mount.kind = ActionKind::kSystem;
  // A process under Landlock cannot change mounts at all; and before ABI 2 it cannot move between
  // directories.
  if (abi < 2 || canPermit(policy, mount)) return rules;
  for (const Right& right : kRights) {
    if (abi < right.abi) continue;
    std::vector<std::string> trees;
    bool bounded = true;
    for (const ActionKind kind : right.kinds) {
      const auto more = boundsOf(policy, kind);
      bounded = bounded && more;
      if (more) trees.insert(trees.end(), more->begin(), more->end());
    }
    if (!bounded) continue;
    rules.files |= right.access;
    for (const std::string& tree : trees) rules.trees[tree] |= right.access;
  }
  if (rules.files != 0) {
    rules.files |= kRefer;
    rules.trees["/"] |= kRefer;
  }
  if (abi >= 6 && keepsSignalsInside(policy)) rules.scoped |= kScopeSignal;
  return rules;
}

UniqueFd makeRuleset(const LandlockRules& rules) {
  const RulesetAttributes attributes{rules.files, 0, rules.scoped};
  // Kernels before ABI 4 and 6 take a shorter structure, and a longer one whose rest is zero.
  UniqueFd ruleset(static_cast<int>(syscall(kCreateRuleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) throw systemError("landlock_create_ruleset");
  auto allow = [&](const std::string& tree, const UniqueFd& parent, uint64_t access) {
    struct stat status {};
    if (!parent || fstat(parent.get(), &status) != 0) throw systemError("cannot look at " + tree);
    PathBeneath rule{access, parent.get()};
    if (!S_ISDIR(status.st_mode)) rule.allowed &= kOfFiles;
    if (rule.allowed == 0) return;
    if (syscall(kAddRule, ruleset.get(), kPathBeneath, &rule, 0) != 0)
      throw systemError("landlock_add_rule for " + tree);
  };
  for (const auto& [tree, access] : rules.trees) allow(tree, openNearest(tree), access);
  const uint64_t toLoad = rules.files & (kExecute | kReadFile);
  if (toLoad == 0) return ruleset;
  for (const char* loader : kLoaders)
    if (const UniqueFd file{open(loader, O_PATH | O_CLOEXEC)}) allow(loader, file, toLoad);
  return ruleset;
}

int restrictSelf(int ruleset) { return static_cast<int>(rawCall(kRestrictSelf, ruleset, 0)); }

std::string describe(const LandlockRules& rules) {
  std::vector<std::pair<std::string, std::string>> lines;  // rights, and the trees that they are for
  for (const Right& right : kRights) {
    if ((rules.files & right.access) == 0) continue;
    std::string trees;
    for (const auto& [tree, access] : rules.trees)
      if ((access & right.access) != 0) trees += (trees.empty() ? "" : ", ") + tree;
    if (trees.empty()) trees = "nowhere";
    const auto same = std::ranges::find(lines, trees, &std::pair<std::string, std::string>::second);
    if (same == lines.end()) {
      lines.emplace_back(right.name, trees);
    } else {
      same->first += std::string(", ") + right.name;
    }
  }
  std::string text;
  for (const auto& [rights, trees] : lines) text += rights + ": " + trees + "\n";
  if (rules.scoped != 0) text += "signalling: the session's own processes\n";
  return text;
}

}  // namespace airr
