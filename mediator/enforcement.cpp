#include "mediator/enforcement.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "schema/error.h"

namespace airr {
namespace {

using policies::Action;
using policies::ActionKind;
using policies::Fact;

void note(const std::string& path, std::set<std::pair<uint64_t, uint64_t>>& objects) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) objects.emplace(status.st_dev, status.st_ino);
}

bool changes(ActionKind kind) {
  return (policies::kWritingActions & policies::only(kind)) != 0;
}

}  // namespace

Floor::Floor(std::vector<std::string> secret, std::vector<std::string> kept)
    : secret_(std::move(secret)), kept_(std::move(kept)), ownProc_("/proc/" + std::to_string(getpid())) {
  for (const std::string& path : secret_) note(path, secretObjects_);
  for (const std::string& path : kept_) note(path, keptObjects_);
}

bool Floor::isSecret(const struct stat& object) const {
  return secretObjects_.contains({object.st_dev, object.st_ino});
}

const char* Floor::forbids(const Action& action, const struct stat* object) const {
  const bool opens = action.kind == ActionKind::kOpenRead || action.kind == ActionKind::kLoad ||
                     action.kind == ActionKind::kExec;
  if (!opens && !changes(action.kind) && action.kind != ActionKind::kConnect) return nullptr;
  const bool named = action.has(Fact::kPath);
  const std::string_view path = action.path;
  auto reaches = [&](const std::vector<std::string>& guarded,
                     const std::set<std::pair<uint64_t, uint64_t>>& objects, bool above) {
    if (object != nullptr && objects.contains({object->st_dev, object->st_ino})) return true;
    return named && std::any_of(guarded.begin(), guarded.end(), [&](const std::string& tree) {
             // Taking away what the guarded lies in takes it away too.
             return policies::isUnder(path, tree) || (above && policies::isUnder(tree, path));
           });
  };
  const bool moves = action.kind == ActionKind::kRename || action.kind == ActionKind::kUnlink;
  if (reaches(secret_, secretObjects_, moves)) return kSecret;
  if (!opens && reaches(kept_, keptObjects_, moves))
    return "the trace is being written, and is out of the session's reach";
  if (!named) return nullptr;
  if (policies::isUnder(path, ownProc_) && path.size() > ownProc_.size()) {
    static constexpr std::string_view kHarmless[] = {"/stat", "/status", "/cmdline", "/comm", "/statm"};
    const std::string_view rest = path.substr(ownProc_.size());
    if (changes(action.kind) || std::find(std::begin(kHarmless), std::end(kHarmless), rest) == std::end(kHarmless))
      return "the mediator is out of a session's reach";
  }
  // Memory that is written through a file would change code and data unseen.
  if (changes(action.kind) && path.starts_with("/proc/") && path.ends_with("/mem"))
    return "writes to a process's memory through procfs are not mediated";
  return nullptr;
}

Enforcement::Enforcement(policies::Policy policy, Floor floor, bool overlay)
    : policy_(std::move(policy)), state_(policy_), floor_(std::move(floor)), decides_(overlay) {
  // Rules that bind a process to something, which what it does later is held against.
  const bool binds = std::any_of(policy_.rules().begin(), policy_.rules().end(), [](const auto& rule) {
    return rule.verdict == policies::Verdict::kReadOnly || rule.verdict == policies::Verdict::kRestricted;
  });
  for (unsigned kind = 0; kind < policies::kActionKinds; ++kind) {
    const auto which = static_cast<ActionKind>(kind);
    const bool bound = binds && (which == ActionKind::kExec || changes(which));
    free_[kind] = !bound && policies::allowsEverywhere(policy_, which);
    decides_ = decides_ || !free_[kind];
  }
  for (const policies::Rule& rule : policy_.rules()) {
    if (overlay || rule.verdict != policies::Verdict::kReadOnly || rule.readOnly != policies::ReadOnlyMode::kOverlay)
      continue;
    throw Error(ExitCode::kPolicy,
                "rule '" + rule.name + "' of policy '" + policy_.name() +
                    "' sends writes to an overlay, and the session has none",
                "say with --overlay DIR over which tree; without `read-only: overlay` writes fail with EROFS");
  }
}

void Enforcement::report(const std::string& text) {
  if (reported_.size() >= kMostReports || !reported_.insert(text).second) return;
  fprintf(stderr, "airr: %s\n", text.c_str());
  if (reported_.size() == kMostReports) fprintf(stderr, "airr: further decisions are in the trace only\n");
}

bool Enforcement::mayAlwaysRead(const std::string& path, const struct stat& object) const {
  Action action;
  action.kind = ActionKind::kOpenRead;
  action.setPath(path);
  return !state_.carriesLabels(path) && floor_.forbids(action, &object) == nullptr && policy_.alwaysAllows(action);
}

}  // namespace airr
