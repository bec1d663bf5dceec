#include "policies/session_state.h"

namespace airr::policies {
namespace {

constexpr ActionSet kReads = anyOf(ActionKind::kOpenRead, ActionKind::kExec, ActionKind::kLoad);
constexpr ActionSet kMoves = anyOf(ActionKind::kRename, ActionKind::kLink);
constexpr ActionSet kFills = anyOf(ActionKind::kOpenWrite, ActionKind::kCreate);

}  // namespace

void SessionState::spawned(uint32_t parent, uint32_t child) {
  const auto found = processes_.find(parent);
  if (found != processes_.end()) processes_[child] = found->second;
}

void SessionState::ended(uint32_t process) { processes_.erase(process); }

void SessionState::prepare(uint32_t process, Action& action) const {
  action.sessionLabels = labels_;
  action.degraded = degraded_;
  action.objectLabels = labelsOf(action.path);
  const auto found = processes_.find(process);
  if (found == processes_.end()) return;
  action.labels = found->second.labels;
  action.restrictions = found->second.restrictions;
  action.readOnlyProcess = found->second.readOnly;
  action.overlayProcess = found->second.overlay;
}

void SessionState::apply(uint32_t process, const Action& action, const Decision& decision,
                         bool happens) {
  degraded_ |= decision.degrade;
  if (!happens || decision.verdict == Verdict::kBlocked) return;
  const ActionSet kind = only(action.kind);
  const NameSet object = decision.labels | action.objectLabels;
  // A write of the read-only kind does not reach the object itself.
  const bool reachesObject = decision.verdict != Verdict::kReadOnly;

  if (decision.labels != 0 && reachesObject) label(action.path, decision.labels);
  if ((kind & kMoves) != 0 && object != 0 && action.has(Fact::kOtherPath))
    label(action.otherPath, object);
  if ((kind & kFills) != 0 && action.labels != 0) label(action.path, action.labels);

  const NameSet carried = (kind & kReads) != 0 ? object : decision.labels;
  const bool binds = decision.verdict == Verdict::kReadOnly && action.kind == ActionKind::kExec;
  if (carried == 0 && decision.restrictions == 0 && !binds) return;
  Process& state = processes_[process];
  state.labels |= carried;
  state.restrictions |= decision.restrictions;
  if (binds) {
    state.overlay =
        decision.readOnly == ReadOnlyMode::kOverlay && (!state.readOnly || state.overlay);
    state.readOnly = true;
  }
  labels_ |= carried;
}

void SessionState::label(std::string_view path, NameSet labels) {
  if (path.empty()) return;
  if ((labels & ~labelsOf(path)) == 0) return;
  const auto found = objects_.find(path);
  bool every = false;
  if (found != objects_.end()) {
    found->second |= labels;
  } else if (objects_.size() < kMaxObjects) {
    objects_.emplace(path, labels);
  } else {
    everyObject_ |= labels;
    every = true;
  }
  if (onLabel) onLabel(every ? std::string_view() : path);
}

NameSet SessionState::labelsOf(std::string_view path) const {
  if (objects_.empty() || path.empty()) return everyObject_;
  const auto found = objects_.find(path);
  return everyObject_ | (found == objects_.end() ? 0 : found->second);
}

}  // namespace airr::policies
