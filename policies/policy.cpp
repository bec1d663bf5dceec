#include "policies/policy.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>

#include "policies/action_text.h"
#include "policies/policy_parser.h"
#include "policies/stock.h"
#include "recorder/files.h"
#include "schema/unique_fd.h"

namespace airr::policies {
namespace {

Source readSource(const std::string& path) {
  const UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    throw Error(ExitCode::kPolicy,
                "cannot read the policy '" + path + "': " + std::string(::strerror(errno)));
  if (!S_ISREG(status.st_mode))
    throw Error(ExitCode::kPolicy, "'" + path + "' is not a policy: not a regular file");
  if (status.st_size > static_cast<off_t>(kMaxPolicyBytes))
    throw Error(ExitCode::kPolicy, "'" + path + "': a policy has at most 10 MiB");
  Source source{path, std::string(static_cast<size_t>(status.st_size), '\0')};
  const ssize_t size = readWhole(
      file.get(), {reinterpret_cast<uint8_t*>(source.text.data()), source.text.size()}, 0);
  if (size < 0) throw Error(ExitCode::kPolicy, "cannot read the policy '" + path + "'");
  source.text.resize(static_cast<size_t>(size));
  return source;
}

bool isTool(const std::vector<std::string>& tools, std::string_view path) {
  return std::ranges::any_of(tools, [&](std::string_view tool) {
    if (tool.ends_with("/**")) return isUnder(path, tool.substr(0, tool.size() - 3));
    return path == tool;
  });
}

std::string example(const Example& example, const Rule& rule) {
  return "an example that must " + std::string(example.matches ? "" : "not ") + "match rule '" +
         rule.name + "' " + (example.matches ? "does not" : "does");
}

void checkExamples(const Policy& policy) {
  std::string scratch;
  for (const Example& one : policy.examples()) {
    const OwnedAction owned =
        OwnedAction::parse(one.action, policy.source(), exampleBindings(), policy);
    const Rule& rule = policy.rules()[one.rule];
    scratch.clear();
    const Truth truth = rule.condition->evaluate(owned.action(), scratch);
    const bool indexed = truth == Truth::kFalse || (rule.kinds & only(owned.action().kind)) != 0;
    if (truth == (one.matches ? Truth::kTrue : Truth::kFalse) && indexed) continue;
    throw policy.source().error(
        one.action.place,
        truth == Truth::kUnknown
            ? "it is unknown whether this example matches rule '" + rule.name + "'"
            : example(one, rule),
        "'airr policy explain' shows how each test came out");
  }
}

}  // namespace

void Decision::clear() {
  verdict = Verdict::kBlocked;
  ground = Ground::kNoRule;
  error = EPERM;
  readOnly = ReadOnlyMode::kRefuse;
  approval = {};
  killSession = false;
  missing = 0;
  rules.clear();
  labels = degrade = restrictions = 0;
}

Policy Policy::load(const std::string& nameOrPath, const Bindings& bindings) {
  if (nameOrPath.find_first_of("/.") != std::string::npos)
    return parse(readSource(nameOrPath), bindings);
  const auto stock = std::ranges::find(stockPolicies(), nameOrPath, &StockPolicy::name);
  if (stock != stockPolicies().end())
    return PolicyParser::parse(
        std::make_shared<const Source>(Source{nameOrPath, std::string(stock->text), stock->tree}),
        bindings);  // its examples are checked by our tests, not at every start
  const std::string_view near = nearest(nameOrPath, stockPolicyNames());
  std::string names;
  for (std::string_view name : stockPolicyNames())
    names += (names.empty() ? "" : ", ") + std::string(name);
  throw Error(ExitCode::kPolicy, "there is no stock policy '" + nameOrPath + "'",
              near.empty() ? "there are " + names + "; a file's name needs a '/' or a '.'"
                           : "did you mean '" + std::string(near) + "'?");
}

Policy Policy::parse(const Source& source, const Bindings& bindings) {
  auto shared = std::make_shared<const Source>(source);
  Policy policy = PolicyParser::parse(shared, bindings);
  if (!policy.examples().empty()) checkExamples(PolicyParser::parse(shared, exampleBindings()));
  return policy;
}

void Policy::compile() {
  for (uint32_t i = 0; i < rules_.size(); ++i) {
    index_.add(i, *rules_[i].condition, rules_[i].kinds);
    if (rules_[i].restriction != 0) restrictedRules_.push_back(i);
  }
}

Decision Policy::evaluate(const Action& action) const {
  Decision decision;
  evaluate(action, decision);
  return decision;
}

void Policy::evaluate(const Action& action, Decision& decision) const {
  decision.clear();
  const ActionSet kind = only(action.kind);
  std::string commandLine;
  std::vector<uint32_t> unanswered;
  bool permitted = false;  // by a rule that does more than tighten
  Verdict verdict = Verdict::kAllow;
  index_.forEach(action, [&](uint32_t number) {
    const Rule& rule = rules_[number];
    if ((rule.kinds & kind) == 0) return;
    const Truth truth = rule.remainder->evaluate(action, commandLine);
    if (truth == Truth::kFalse) return;
    if (truth == Truth::kUnknown) {
      unanswered.push_back(number);
      return;
    }
    decision.labels |= rule.labels;
    decision.degrade |= rule.degrade;
    decision.restrictions |= rule.restriction;
    decision.killSession |= rule.killSession;
    if (!rule.verdict) return;
    permitted |= !rule.onlyTightens;
    if (*rule.verdict > verdict || decision.rules.empty()) {
      verdict = *rule.verdict;
      decision.rules.assign(1, number);
    } else if (*rule.verdict == verdict) {
      decision.rules.push_back(number);
    }
  });

  // What is unknown matters only if it could make a difference.
  if (verdict != Verdict::kBlocked || decision.rules.empty()) {
    std::erase_if(unanswered, [&](uint32_t number) {
      const Rule& rule = rules_[number];
      return permitted && !rule.hasEffects() && rule.verdict <= verdict && rule.restriction == 0;
    });
    if (!unanswered.empty()) {
      decision.ground = Decision::Ground::kUnanswered;
      decision.verdict = Verdict::kBlocked;
      decision.missing = action.unknown & factsUsed_;
      decision.rules = std::move(unanswered);
    } else if (!permitted) {
      decision.rules.clear();
      decision.error = error_;
      return;
    }
  }
  if (decision.rules.size() > 1) {
    std::ranges::sort(decision.rules);
    decision.rules.erase(std::unique(decision.rules.begin(), decision.rules.end()), decision.rules.end());
  }
  if (decision.ground == Decision::Ground::kUnanswered) {
    decision.error = error_;
    return;
  }
  decision.ground = Decision::Ground::kRule;
  decision.verdict = verdict;
  decision.error = rules_[decision.rules[0]].error;
  bool first = true;
  for (uint32_t number : decision.rules) {
    const Rule& rule = rules_[number];
    decision.error = std::min(decision.error, rule.error);
    // Of several, what grants less.
    if (verdict == Verdict::kReadOnly)
      decision.readOnly = first ? rule.readOnly : std::min(decision.readOnly, rule.readOnly);
    if (verdict == Verdict::kApprove) {
      decision.approval.timeout = first
                                      ? rule.approval.timeout
                                      : std::min(decision.approval.timeout, rule.approval.timeout);
      decision.approval.expires = first
                                      ? rule.approval.expires
                                      : std::min(decision.approval.expires, rule.approval.expires);
    }
    first = false;
  }

  if (verdict == Verdict::kBlocked) return;
  if (action.kind == ActionKind::kExec && action.restrictions != 0) {
    std::vector<uint32_t> by;
    if (!mayStart(action.restrictions, action, by)) {
      decision.verdict = Verdict::kBlocked;
      decision.ground = Decision::Ground::kRestriction;
      decision.rules = std::move(by);
      decision.error = rules_[decision.rules[0]].error;
    }
  } else if (verdict == Verdict::kAllow && action.readOnlyProcess &&
             (kind & kWritingActions) != 0) {
    decision.verdict = Verdict::kReadOnly;
    decision.ground = Decision::Ground::kReadOnlyProcess;
    decision.readOnly = action.overlayProcess ? ReadOnlyMode::kOverlay : ReadOnlyMode::kRefuse;
    decision.error = EROFS;
  }
}

bool Policy::mayStart(NameSet restrictions, const Action& action, std::vector<uint32_t>& by) const {
  for (size_t bit = 0; bit < restrictedRules_.size(); ++bit) {
    if ((restrictions >> bit & 1) == 0) continue;
    const uint32_t number = restrictedRules_[bit];
    if (!action.has(Fact::kPath) || !isTool(rules_[number].tools, action.path))
      by.push_back(number);
  }
  return by.empty();
}

std::string Policy::namesOf(NameSet set, const std::vector<std::string>& names) const {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    if (set >> i & 1) text += (text.empty() ? "" : ", ") + names[i];
  return text;
}

std::string Policy::reason(const Decision& decision) const {
  std::string by;
  for (size_t i = 0; i < decision.rules.size(); ++i) {
    const Rule& rule = rules_[decision.rules[i]];
    if (i == 3) {
      by += " and " + std::to_string(decision.rules.size() - i) + " more";
      break;
    }
    by += (i ? ", " : "") + ("'" + rule.name) + "' (" + source_->name + ":" +
          std::to_string(rule.place.line) + ")";
  }
  const std::string verdict = toString(decision.verdict);
  switch (decision.ground) {
    case Decision::Ground::kNoRule:
      return verdict + ": no rule of policy '" + name_ + "' matches";
    case Decision::Ground::kUnanswered: {
      std::string facts;
      for (const FactInfo& fact : allFacts())
        if (decision.missing & only(fact.fact))
          facts += (facts.empty() ? "" : ", ") + std::string(fact.name);
      return verdict + ": unknown is " + facts + ", which " + by + " would have to know";
    }
    case Decision::Ground::kRestriction:
      return verdict + ": not a tool that " + by + " leaves it";
    case Decision::Ground::kReadOnlyProcess:
      return verdict + ": the process runs read-only";
    case Decision::Ground::kRule:
      break;
  }
  std::string text = verdict + " by " + by;
  for (uint32_t number : decision.rules)
    if (!rules_[number].reason.empty()) return text + ": " + rules_[number].reason;
  return text;
}

std::vector<std::string> Policy::treesOfAllowing(ActionKind kind) const {
  std::vector<std::string> trees;
  for (const Rule& rule : rules_) {
    if (rule.verdict != Verdict::kAllow || rule.hasEffects() || rule.onlyTightens) continue;
    const auto found = staticSubtrees(*rule.condition);
    if (found && (found->kinds & only(kind)) != 0)
      trees.insert(trees.end(), found->trees.begin(), found->trees.end());
  }
  return trees;
}

bool Policy::canDifferIn(ActionKind kind, std::string_view tree) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    const bool differs = rule.hasEffects() || (rule.verdict && rule.verdict != Verdict::kAllow);
    return differs && (rule.kinds & only(kind)) != 0 && canMatchIn(*rule.condition, tree);
  });
}

std::vector<std::string> Policy::allowedSubtrees(ActionKind kind) const {
  std::vector<std::string> trees = treesOfAllowing(kind);
  std::ranges::sort(trees);
  trees.erase(std::unique(trees.begin(), trees.end()), trees.end());
  std::erase_if(trees, [&](const std::string& tree) { return !tree.starts_with('/') || canDifferIn(kind, tree); });
  return trees;
}

bool Policy::allowsIn(ActionKind kind, std::string_view tree) const {
  return std::ranges::any_of(treesOfAllowing(kind), [&](const std::string& allowed) { return isUnder(tree, allowed); }) &&
         !canDifferIn(kind, tree);
}

bool Policy::alwaysAllows(Action action) const {
  for (const FactInfo& fact : allFacts())
    if ((fact.kinds & only(action.kind)) != 0 && !action.has(fact.fact)) action.setUnknown(fact.fact);
  const Decision decision = evaluate(action);
  return decision.verdict == Verdict::kAllow && decision.ground == Decision::Ground::kRule && decision.labels == 0 &&
         decision.degrade == 0 && decision.restrictions == 0 && !decision.killSession;
}

bool letsLoad(const Policy& policy, const std::string& path) {
  for (const ActionKind kind : {ActionKind::kOpenRead, ActionKind::kLoad}) {
    const auto trees = policy.allowedSubtrees(kind);
    if (std::ranges::none_of(trees, [&](const std::string& tree) { return isUnder(path, tree); })) {
      Action action;
      action.kind = kind;
      action.setPath(path);
      if (policy.evaluate(action).verdict != Verdict::kAllow) return false;
    }
  }
  return true;
}

bool allowsEverywhere(const Policy& policy, ActionKind kind) { return policy.allowsIn(kind, "/"); }

bool decidesAnything(const Policy& policy) {
  for (unsigned kind = 0; kind < kActionKinds; ++kind)
    if (!allowsEverywhere(policy, static_cast<ActionKind>(kind))) return true;
  return false;
}

std::string failureOf(const Policy& policy, const PolicyTest& test) {
  const OwnedAction owned =
      OwnedAction::parse(test.action, policy.source(), exampleBindings(), policy);
  const Decision decision = policy.evaluate(owned.action());
  if (decision.verdict != test.verdict)
    return std::string("wants ") + toString(test.verdict) + ", but is " + policy.reason(decision);
  if (test.rule.empty() || std::ranges::any_of(decision.rules, [&](uint32_t number) {
        return policy.rules()[number].name == test.rule;
      }))
    return {};
  return "wants rule '" + test.rule + "' to decide, but is " + policy.reason(decision);
}

}  // namespace airr::policies
