// airr judge: what another policy would have decided about recorded sessions.
#include "replayer/judge.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <exception>
#include <iostream>
#include <memory>
#include <thread>

#include "mediator/own_memory.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/identity_option.h"
#include "tools/judge.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  std::vector<std::string> traces;
  std::string policy, against;
  std::vector<std::string> identities;
  bool json = false, sarif = false, all = false, index = false;
  unsigned jobs = 0;
};

void print(const Judgement& judgement, bool all) {
  auto& out = std::cout;
  out << printable(judgement.trace) << ": policy '" << judgement.policyName << "' against "
      << (judgement.againstName.empty() ? std::string("the record")
                                        : "policy '" + judgement.againstName + "'")
      << (judgement.sealed ? "" : "; the trace is not sealed: its end may be missing") << "\n";
  out << "  " << plural(judgement.events, "event") << ", " << plural(judgement.actions, "action");
  if (judgement.derived != 0)
    out << (judgement.derived == judgement.actions ? ", all"
                                                   : ", " + std::to_string(judgement.derived))
        << " derived from names and results";
  out << "\n  verdicts:";
  for (size_t i = 0; i < judgement.after.size(); ++i)
    if (judgement.before[i] != 0 || judgement.after[i] != 0)
      out << ' ' << toString(static_cast<policies::Verdict>(i)) << ' ' << judgement.before[i]
          << " -> " << judgement.after[i] << (i + 1 < judgement.after.size() ? ";" : "");
  out << "\n  newly blocked " << judgement.newlyBlocked << ", newly allowed "
      << judgement.newlyAllowed << ", otherwise changed " << judgement.otherwise << "\n";
  if (judgement.undecidable != 0)
    out << "  not to be decided from this trace: " << judgement.undecidable
        << ", as it lacks facts: " << judgement.missing << "\n";
  if (judgement.firstDivergence)
    out << "  from event " << *judgement.firstDivergence
        << " on the session would have gone another way; "
        << plural(judgement.changed() - judgement.beforeFirst, "later change")
        << " below are counterfactual\n";
  size_t shown = 0;
  for (const JudgedChange& change : judgement.changes) {
    if (!all && shown == 50) {
      out << "  … and " << judgement.listed() - shown << " more (--all, --json)\n";
      break;
    }
    ++shown;
    out << "  event " << change.event << " " << change.process << "." << change.task << " "
        << toString(change.before) << " -> " << (change.undecidable ? "undecidable, " : "")
        << printable(change.reason) << (change.counterfactual ? " (counterfactual)" : "")
        << "\n      " << printable(change.action) << "\n";
  }
  if (judgement.rules.empty()) return;
  out << "  by rule:\n";
  for (const auto& [name, count] : judgement.rules) {
    out << "    '" << printable(name) << "' decided " << count.decided;
    if (count.changed != 0) out << ", changed " << count.changed;
    out << "\n";
  }
}

std::vector<Judgement> judgeAll(const Options& options) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const size_t jobs = std::max<size_t>(1, options.jobs != 0 ? options.jobs : cores);
  const size_t count = options.traces.size();
  const size_t workers = std::min(jobs, count);
  JudgeOptions each{options.policy, options.against, jobs > workers ? 2u : 1u, options.index,
                    options.identities};
  std::vector<Judgement> results(count);
  std::vector<std::exception_ptr> failures(count);
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        results[i] = judge(options.traces[i], each);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  for (const auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return results;
}

int run(const Options& options) {
  const std::vector<Judgement> results = judgeAll(options);
  if (options.sarif) {
    std::cout << dump(sarifOf(results)) << "\n";
  } else if (options.json) {
    for (const Judgement& one : results) std::cout << dump(jsonOf(one)) << "\n";
  } else {
    for (const Judgement& one : results) print(one, options.all);
  }
  const bool changed = std::ranges::any_of(
      results, [](const Judgement& one) { return one.changed() != 0 || one.undecidable != 0; });
  return changed ? static_cast<int>(ExitCode::kJudged) : 0;
}

}  // namespace

Command addJudge(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--policy", options->policy,
                 "Policy to judge by: a stock policy's name, a file, or 'recorded'")
      ->type_name("POLICY")
      ->required();
  app.add_option("--against", options->against,
                 "Policy to compare with, instead of what was decided then")
      ->type_name("POLICY");
  auto* json = app.add_flag("--json", options->json, "Print JSON, one object a trace");
  app.add_flag("--sarif", options->sarif, "Print SARIF 2.1.0")->excludes(json);
  app.add_flag("--all", options->all, "Print all changes, not only the first 50");
  app.add_flag("--index", options->index,
               "Judge from the index TRACE.index, which is made first if it is not this trace's");
  app.add_option("--jobs", options->jobs, "Threads to use; default: as many as there are CPUs")
      ->type_name("N");
  addIdentityOption(app, options->identities);
  app.add_option("trace", options->traces, "Traces to judge")->type_name("TRACE")->required();
  app.footer(
      "Runs nothing. Ends with 0 if nothing would have been decided otherwise, with 116 if\n"
      "something would, or if the trace lacks facts to tell.");
  return [options] {
    useHugePages();
    return run(*options);
  };
}

}  // namespace airr::tools
