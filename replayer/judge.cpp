#include "replayer/judge.h"

#include <kj/exception.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "mediator/facts/invocation.h"
#include "mediator/facts/session_facts.h"
#include "mediator/facts/step.h"
#include "policies/action_text.h"
#include "policies/session_state.h"
#include "recorder/digest.h"
#include "replayer/open_trace.h"
#include "replayer/trace_reader_file.h"

namespace airr {
namespace {

using facts::Deed;
using facts::SessionFacts;
using facts::Step;
using facts::StepList;
using policies::Decision;
using policies::Policy;
using policies::SessionState;
using policies::Verdict;

// A frame of events on its way: as it was read, or as steps already.
struct Parcel {
  TraceReader::EventFrame frame;
  StepList steps;
  bool extracted = false;

  void extract() {
    if (extracted) return;
    extracted = true;
    steps.clear();
    kj::ArrayPtr<const capnp::word> rest(reinterpret_cast<const capnp::word*>(frame.words.data()),
                                         frame.words.size());
    for (uint32_t i = 0; i < frame.count; ++i) {
      const size_t words = messageSize(rest);
      if (words == 0) throw malformed(i, "it is not whole");
      try {
        capnp::FlatArrayMessageReader message(rest.slice(0, words), limitsFor(words));
        steps.add(frame.firstEvent + i, message.getRoot<schema::Event>());
      } catch (const kj::Exception& exception) {
        throw malformed(i, exception.getDescription().cStr());
      }
      rest = rest.slice(words, rest.size());
    }
    if (rest.size() != 0) throw malformed(frame.count, "its frame has more than it says");
  }
  Error malformed(uint32_t i, const std::string& why) const {
    return Error(ExitCode::kTampered,
                 "event " + std::to_string(frame.firstEvent + i) + " is malformed: " + why);
  }
};

// Frames in their order, read and verified by a thread of its own if there is one. That thread also
// takes the steps out of frames, as soon as it is ahead of who uses them.
class Parcels {
 public:
  Parcels(TraceReader& reader, bool ahead) : reader_(reader) {
    if (ahead) thread_ = std::thread([this] { run(); });
  }
  ~Parcels() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // The next one, with its steps; null at the end. Valid until the next call.
  Parcel* next() {
    if (!thread_.joinable()) {
      if (!reader_.nextFrame(own_.frame)) return nullptr;
      own_.extracted = false;
      own_.extract();
      return &own_;
    }
    {
      std::unique_lock lock(mutex_);
      if (current_) free_.push_back(std::move(current_));
      changed_.notify_all();
      changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
      if (ready_.empty()) {
        if (failure_) std::rethrow_exception(failure_);
        return nullptr;
      }
      current_ = std::move(ready_.front());
      ready_.pop_front();
    }
    current_->extract();
    return current_.get();
  }

 private:
  static constexpr size_t kMost = 32;  // parcels in all
  static constexpr size_t kAhead = 4;  // from this many on, the reader extracts as well

  void run() {
    try {
      while (auto parcel = take()) {
        if (!reader_.nextFrame(parcel->frame)) break;
        parcel->extracted = false;
        size_t waiting;
        {
          const std::lock_guard lock(mutex_);
          waiting = ready_.size();
        }
        if (waiting >= kAhead) parcel->extract();
        {
          const std::lock_guard lock(mutex_);
          ready_.push_back(std::move(parcel));
        }
        changed_.notify_all();
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
  }

  std::unique_ptr<Parcel> take() {
    std::unique_lock lock(mutex_);
    if (free_.empty() && made_ < kMost) {
      ++made_;
      return std::make_unique<Parcel>();
    }
    changed_.wait(lock, [this] { return stop_ || !free_.empty(); });
    if (stop_) return nullptr;
    auto parcel = std::move(free_.back());
    free_.pop_back();
    return parcel;
  }

  TraceReader& reader_;
  Parcel own_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Parcel>> ready_;
  std::vector<std::unique_ptr<Parcel>> free_;
  std::unique_ptr<Parcel> current_;
  std::exception_ptr failure_;
  size_t made_ = 0;
  bool stop_ = false, ended_ = false;
  std::thread thread_;
};

// What a session began with.
struct Origin {
  policies::Bindings bindings;
  std::string policyName;
  std::optional<std::string> policyText;  // none: no policy is on record
};

// What the policies' variables stand for: as recorded, else from the environment of the first program.
Origin originOf(const Parcel& parcel, schema::Header::Reader header) {
  Origin origin;
  origin.bindings = {header.getDirectory().cStr(), std::nullopt, "/tmp"};
  kj::ArrayPtr<const capnp::word> rest(
      reinterpret_cast<const capnp::word*>(parcel.frame.words.data()), parcel.frame.words.size());
  for (uint32_t i = 0; i < parcel.frame.count; ++i) {
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
      : options_(options), trace_(openAuthenticated(trace)) {
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
    {
      Parcels parcels(*trace_.reader, options_.threads > 1);
      while (Parcel* parcel = parcels.next()) {
        result_.events = parcel->frame.firstEvent + parcel->frame.count - 1;
        if (!started_) begin(*parcel, observer);
        for (const Step& step : parcel->steps.steps()) session.observe(step, observer);
      }
    }
    session.finish(observer);
    result_.sealed = trace_.reader->end() == TraceEnd::kSealed;
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

  void begin(const Parcel& parcel, SessionFacts::Observer& observer) {
    started_ = true;
    const Origin origin = originOf(parcel, trace_.reader->header());
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
      if (!blobs_) blobs_ = openAuthenticated(result_.trace);  // the other one may be in use
      const auto info = blobs_->reader->blobInfo(blob);
      return hex(info.sha256);
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
  bool started_ = false;
  std::optional<Side> after_, before_;
  std::vector<RuleCount> counts_;
  policies::FactSet missing_ = 0;
};

}  // namespace

policies::Bindings learn(const std::string& trace, policies::Learner& learner) {
  OpenTrace open = openAuthenticated(trace);
  SessionFacts session;
  SessionFacts::Observer observer;
  observer.deed = [&](Deed& deed) {
    if (deed.byFloor || !deed.permitted) return;
    for (const policies::Action* action : deed.actions) learner.add(*action);
  };
  Parcels parcels(*open.reader, false);
  Origin origin;
  bool started = false;
  while (Parcel* parcel = parcels.next()) {
    if (!std::exchange(started, true)) origin = originOf(*parcel, open.reader->header());
    for (const Step& step : parcel->steps.steps()) session.observe(step, observer);
  }
  session.finish(observer);
  return origin.bindings;
}

Judgement judge(const std::string& trace, const JudgeOptions& options) {
  return Judge(trace, options).run();
}

}  // namespace airr
