#include "replayer/judge.h"

#include <capnp/serialize.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "mediator/facts/invocation.h"
#include "mediator/facts/session_facts.h"
#include "mediator/facts/step.h"
#include "policies/action_text.h"
#include "policies/session_state.h"
#include "recorder/digest.h"
#include "replayer/judge_index.h"
#include "replayer/open_trace.h"
#include "replayer/step_stream.h"
#include "replayer/trace_reader_file.h"

namespace airr {
namespace {

using facts::Deed;
using facts::SessionFacts;
using facts::Step;
using policies::Decision;
using policies::Policy;
using policies::SessionState;
using policies::Verdict;

// What the policies' variables stand for: as recorded, else from the environment of the first program.
SessionOrigin originOf(const TraceReader::EventFrame& frame, schema::Header::Reader header) {
  SessionOrigin origin;
  origin.bindings = {header.getDirectory().cStr(), std::nullopt, "/tmp"};
  kj::ArrayPtr<const capnp::word> rest(
      reinterpret_cast<const capnp::word*>(frame.words.data()), frame.words.size());
  for (uint32_t i = 0; i < frame.count; ++i) {
    const size_t words = messageSize(rest);
    capnp::FlatArrayMessageReader message(rest.slice(0, words), limitsFor(words));
    const auto event = message.getRoot<schema::Event>();
    if (event.isPolicy()) {
      const auto policy = event.getPolicy();
      auto value = [](capnp::Text::Reader text) {
        return text.size() == 0 ? std::nullopt : std::optional<std::string>(text.cStr());
      };
      origin.policyName = policy.getName().cStr();
      origin.policyText = policy.getText().cStr();
      origin.bindings = {value(policy.getWorkspace()), value(policy.getHome()),
                         value(policy.getTemporary())};
      break;
    }
    if (event.isExec()) {
      for (auto variable : event.getExec().getEnvironment()) {
        const std::string_view text(variable.begin(), variable.size());
        if (text.starts_with("HOME=/")) origin.bindings.home = text.substr(5);
        if (text.starts_with("TMPDIR=/")) origin.bindings.temporary = text.substr(7);
      }
    }
    rest = rest.slice(words, rest.size());
  }
  return origin;
}

// One policy over one session.
struct Side {
  explicit Side(Policy chosen) : policy(std::move(chosen)), state(policy) {}
  const Policy policy;
  SessionState state;
  std::vector<Decision> decisions;  // of the deed's actions
  size_t strictestAt = 0;

  const Decision& strictest() const { return decisions[strictestAt]; }

  void decide(Deed& deed) {
    strictestAt = 0;
    if (decisions.size() < deed.actions.size()) decisions.resize(deed.actions.size());
    for (size_t i = 0; i < deed.actions.size(); ++i) {
      state.prepare(deed.process, *deed.actions[i]);
      policy.evaluate(*deed.actions[i], decisions[i]);
      if (decisions[i].isStricterThan(decisions[strictestAt])) strictestAt = i;
    }
    // Whoever is asked is taken to agree, where the record does not say otherwise.
    const bool happens = deed.permitted && !deed.byFloor && strictest().runs();
    for (size_t i = 0; i < deed.actions.size(); ++i)
      state.apply(deed.process, *deed.actions[i], decisions[i], happens);
  }
};

class Judge {
 public:
  Judge(const std::string& trace, const JudgeOptions& options)
      : options_(options), trace_(openAuthenticated(trace, options.identities)) {
    result_.trace = trace;
  }

  Judgement run() {
    SessionFacts session;
    SessionFacts::Observer observer;
    observer.deed = [this](Deed& deed) { onDeed(deed); };
    observer.spawned = [this](uint32_t parent, uint32_t child) {
      forEachSide([&](Side& side) { side.state.spawned(parent, child); });
    };
    observer.ended = [this](uint32_t process) {
      forEachSide([&](Side& side) { side.state.ended(process); });
    };
    observer.digestOf = [this](uint32_t blob) { return digestOf(blob); };
    std::optional<JudgeIndex> index;
    if (options_.index && !trace_.reader->recipients().empty())
      throw Error(ExitCode::kFailure,
                  "an index would hold in the clear what '" + result_.trace + "' encrypts",
                  "judge without --index");
    if (options_.index) index = JudgeIndex::open(result_.trace, *trace_.keys);
    if (index) {
      begin(index->origin(), observer);
      StepStream stream(*index, options_.threads > 1);
      while (const StepPiece* piece = stream.next())
        for (const Step& step : piece->list.steps()) session.observe(step, observer);
      result_.events = index->events();
      result_.sealed = index->end() == TraceEnd::kSealed;
    } else {
      readTrace(session, observer);
    }
    session.finish(observer);
    result_.fromIndex = index.has_value();
    for (const policies::FactInfo& fact : policies::allFacts())
      if (missing_ & only(fact.fact))
        result_.missing += (result_.missing.empty() ? "" : ", ") + std::string(fact.name);
    if (!after_) throw Error(ExitCode::kUnreadable, "'" + result_.trace + "' has no events");
    countRules();
    return std::move(result_);
  }

 private:
  template <class Do>
  void forEachSide(Do act) {
    if (after_) act(*after_);
    if (before_) act(*before_);
  }

  void readTrace(SessionFacts& session, SessionFacts::Observer& observer) {
    std::optional<JudgeIndexWriter> writer;
    if (options_.index) writer.emplace(result_.trace);
    std::optional<SessionOrigin> origin;
    TraceSteps steps(*trace_.reader);
    {
      StepStream stream(steps, options_.threads > 1);
      while (const StepPiece* piece = stream.next()) {
        result_.events = piece->lastEvent;
        if (!origin) {
          origin = originOf(piece->frames.front(), trace_.reader->header());
          begin(*origin, observer);
        }
        if (writer) writer->add(*piece);
        for (const Step& step : piece->list.steps()) session.observe(step, observer);
      }
    }
    const TraceHead head = trace_.reader->head();
    result_.sealed = head.end == TraceEnd::kSealed;
    if (!writer || !origin) return;
    const auto sessionId = trace_.reader->header().getSessionId();
    writer->finish(*origin, head, trace_.keys->sessionKey({sessionId.begin(), sessionId.size()}));
  }

  void begin(const SessionOrigin& origin, SessionFacts::Observer& observer) {
    bindings_ = origin.bindings;
    recordedName_ = origin.policyName;
    const std::optional<std::string>& recorded = origin.policyText;
    after_.emplace(load(options_.policy, recorded));
    if (!options_.against.empty()) before_.emplace(load(options_.against, recorded));
    result_.policyName = after_->policy.name();
    result_.policyFile = after_->policy.source().name;
    result_.policySha256 = after_->policy.sha256();
    result_.againstName = before_ ? before_->policy.name() : "";
    counts_.resize(after_->policy.rules().size());
    policies::FactSet used = after_->policy.factsUsed();
    if (before_) used |= before_->policy.factsUsed();
    observer.wantDigests = (used & only(policies::Fact::kDigest)) != 0;
    observer.wantClasses = (used & facts::kInvocationFacts) != 0;
  }

  Policy load(const std::string& name, const std::optional<std::string>& recorded) const {
    if (name != "recorded") return Policy::load(name, bindings_);
    if (!recorded)
      throw Error(ExitCode::kPolicy,
                  "'" + result_.trace + "' does not say which policy was in force",
                  "name a policy");
    return Policy::parse({recordedName_ + " (recorded)", *recorded}, bindings_);
  }

  std::string digestOf(uint32_t blob) {
    try {
      // The other one may be in use.
      if (!blobs_) blobs_ = openAuthenticated(result_.trace, options_.identities);
      return hex(blobs_->reader->sha256Of(blob));
    } catch (const Error&) {
      return {};  // not in the trace: the fact stays unknown
    }
  }

  void onDeed(Deed& deed) {
    Side& side = *after_;
    side.decide(deed);
    const Verdict after = deed.byFloor ? Verdict::kBlocked : side.strictest().verdict;
    Verdict before = deed.recorded.value_or(Verdict::kAllow);
    // What a mediator could not find out, it blocked.
    const bool unanswered = deed.derived && side.strictest().ground == Decision::Ground::kUnanswered;
    if (before_) {
      before_->decide(deed);
      before = deed.byFloor ? Verdict::kBlocked : before_->strictest().verdict;
    }
    result_.actions += deed.actions.size();
    if (deed.byFloor) ++result_.byFloor;
    if (deed.derived) result_.derived += deed.actions.size();
    ++result_.before[static_cast<size_t>(before)];
    ++result_.after[static_cast<size_t>(after)];
    for (uint32_t rule : side.strictest().rules) ++counts_[rule].decided;
    if (unanswered) {
      ++result_.undecidable;
      missing_ |= side.strictest().missing;
    }
    if (after == before) return;

    for (uint32_t rule : side.strictest().rules) ++counts_[rule].changed;
    const bool counterfactual = result_.firstDivergence.has_value();
    if (!unanswered) {
      ++(after == Verdict::kBlocked    ? result_.newlyBlocked
         : before == Verdict::kBlocked ? result_.newlyAllowed
                                       : result_.otherwise);
      if (!counterfactual) ++result_.beforeFirst;
      if (!counterfactual && goesAnotherWay(before, after, deed))
        result_.firstDivergence = deed.event;
    }
    if (result_.changes.size() == kMaxChanges) return;
    JudgedChange change;
    change.event = deed.event;
    change.task = deed.task;
    change.process = deed.process;
    // The action that the stricter of the two is about.
    size_t which = side.strictestAt;
    if (before > after) which = before_ ? before_->strictestAt : deed.strictestRecorded;
    policies::Action* about = deed.actions[which];
    if (before_) side.state.prepare(deed.process, *about);
    change.action = policies::describe(*about, side.policy);
    change.before = before;
    change.after = after;
    change.reason = side.policy.reason(side.strictest());
    for (uint32_t rule : side.strictest().rules) {
      change.rules.push_back(side.policy.rules()[rule].name);
      if (change.line == 0) change.line = side.policy.rules()[rule].place.line;
    }
    change.counterfactual = counterfactual;
    change.undecidable = unanswered;
    result_.changes.push_back(std::move(change));
  }

  // Whether the task would have got another result: not if the call failed with the very errno that
  // the policy now gives, and not if it runs under both.
  bool goesAnotherWay(Verdict before, Verdict after, const Deed& deed) const {
    auto runs = [](Verdict verdict) {
      return verdict == Verdict::kAllow || verdict == Verdict::kRestricted;
    };
    if (runs(before) && runs(after)) return false;
    return after != Verdict::kBlocked || deed.result != -after_->strictest().error;
  }

  void countRules() {
    for (size_t i = 0; i < counts_.size(); ++i)
      if (counts_[i].decided != 0) result_.rules[after_->policy.rules()[i].name] = counts_[i];
  }

  const JudgeOptions options_;
  OpenTrace trace_;
  std::optional<OpenTrace> blobs_;
  policies::Bindings bindings_;
  std::string recordedName_;
  Judgement result_;
  std::optional<Side> after_, before_;
  std::vector<RuleCount> counts_;
  policies::FactSet missing_ = 0;
};

}  // namespace

policies::Bindings learn(const std::string& trace, policies::Learner& learner,
                         const std::vector<std::string>& identities) {
  OpenTrace open = openAuthenticated(trace, identities);
  SessionFacts session;
  SessionFacts::Observer observer;
  observer.deed = [&](Deed& deed) {
    if (deed.byFloor || !deed.permitted) return;
    for (const policies::Action* action : deed.actions) learner.add(*action);
  };
  TraceSteps steps(*open.reader);
  StepStream stream(steps, false);
  std::optional<SessionOrigin> origin;
  while (const StepPiece* piece = stream.next()) {
    if (!origin) origin = originOf(piece->frames.front(), open.reader->header());
    for (const Step& step : piece->list.steps()) session.observe(step, observer);
  }
  session.finish(observer);
  return origin ? origin->bindings : policies::Bindings{};
}

Judgement judge(const std::string& trace, const JudgeOptions& options) {
  return Judge(trace, options).run();
}

}  // namespace airr
