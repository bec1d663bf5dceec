// What a verdict costs, and what judging a trace costs.
//
// BM_Verdict*: one action against a policy of 200 rules. BM_Judge, BM_OpenIndex: AIRR_BENCH_TRACE names the trace
// (its key as usual); items are its events.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "policies/action_text.h"
#include "policies/policy.h"
#include "recorder/keys.h"
#include "replayer/judge.h"
#include "replayer/judge_index.h"

namespace airr::policies {
namespace {

// A developer's policy with as many rules about paths, programs and hosts as make 200.
Policy manyRules(size_t count) {
  std::string text(Policy::load("developer", exampleBindings()).source().text);
  const size_t has = Policy::load("developer", exampleBindings()).rules().size();
  for (size_t i = has; i < count; ++i) {
    const std::string n = std::to_string(i);
    text += "\n- rule: extra" + n + "\n  condition: ";
    switch (i % 5) {
      case 0:
        text += "action in writes and path under (/srv/data" + n + "/in, /srv/data" + n + "/out)";
        break;
      case 1:
        text += "action = exec and path.name = tool" + n + " and argv contains --dangerous";
        break;
      case 2:
        text += "action = connect and port = 443 and host.name contains h" + n + ".example";
        break;
      case 3:
        text += "action = open-read and path glob /opt/app" + n + "/**/*.conf";
        break;
      case 4:
        text += "action in (open-write, create) and path under ${workspace}/build" + n +
                " and exe.name = cc";
        break;
    }
    text += "\n  verdict: " + std::string(i % 2 ? "allow" : "blocked") + "\n";
  }
  return Policy::parse({"many", text}, exampleBindings());
}

void verdict(benchmark::State& state, const char* facts) {
  const Policy policy = manyRules(200);
  const Source source{"action", facts};
  const OwnedAction owned =
      OwnedAction::parse(parseYaml(source), source, exampleBindings(), policy);
  Decision decision;
  for (auto _ : state) {
    policy.evaluate(owned.action(), decision);
    benchmark::DoNotOptimize(decision);
  }
  state.counters["rules"] = static_cast<double>(policy.rules().size());
}

BENCHMARK_CAPTURE(verdict, OpenRead,
                  "{action: open-read, path: /usr/lib/python3.11/site-packages/requests/api.py, "
                  "exe: /usr/bin/python3}");
BENCHMARK_CAPTURE(
    verdict, OpenReadWorkspace,
    "{action: open-read, path: '${workspace}/src/module/deep/file.cpp', exe: /usr/bin/cc}");
BENCHMARK_CAPTURE(verdict, Create,
                  "{action: create, path: '${workspace}/build9/obj/file.o', exe: /usr/bin/cc}");
BENCHMARK_CAPTURE(verdict, Metadata,
                  "{action: metadata, path: /usr/share/doc/x, exe: /usr/bin/find}");
BENCHMARK_CAPTURE(verdict, Exec,
                  "{action: exec, path: /usr/bin/git, argv: [git, commit, -m, message], exe: "
                  "/usr/bin/bash, class: version-control}");
BENCHMARK_CAPTURE(verdict, Connect,
                  "{action: connect, family: inet, socket.type: stream, host: 140.82.121.3, port: "
                  "443, host.name: [api.github.com]}");
BENCHMARK_CAPTURE(verdict, BlockedSecret,
                  "{action: open-read, path: ~/.ssh/id_ed25519, exe: /usr/bin/cat}");
BENCHMARK_CAPTURE(verdict, Spawn, "{action: spawn, exe: /usr/bin/bash}");

void BM_Load(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Policy::load("developer", exampleBindings()));
}
BENCHMARK(BM_Load)->Unit(benchmark::kMicrosecond);

// Null: none is named, and the benchmark is skipped.
const char* traceFor(benchmark::State& state) {
  const char* trace = std::getenv("AIRR_BENCH_TRACE");
  if (trace == nullptr) state.SkipWithError("set AIRR_BENCH_TRACE");
  return trace;
}

void BM_Judge(benchmark::State& state) {
  const char* trace = traceFor(state);
  if (trace == nullptr) return;
  uint64_t events = 0;
  for (auto _ : state)
    events += judge(trace, {"developer", "", static_cast<unsigned>(state.range(0))}).events;
  state.SetItemsProcessed(static_cast<int64_t>(events));
}
BENCHMARK(BM_Judge)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// The trace needs its index: `airr judge --index` makes one.
void BM_OpenIndex(benchmark::State& state) {
  const char* trace = traceFor(state);
  if (trace == nullptr) return;
  const KeyStore keys = KeyStore::load(KeyStore::defaultPath(), false);
  for (auto _ : state) {
    if (!JudgeIndex::open(trace, keys)) {
      state.SkipWithError("no index");
      return;
    }
  }
}
BENCHMARK(BM_OpenIndex)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace airr::policies
