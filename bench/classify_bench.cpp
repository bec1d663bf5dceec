// What a classification costs, and what it costs to load the rules.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "policies/classify/classifier.h"
#include "policies/classify/shell_parser.h"

namespace airr::classify {
namespace {

const Classifier& classifier() {
  static const Classifier instance;
  return instance;
}

void classifyCommand(benchmark::State& state, const std::vector<std::string>& arguments) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(classifier().classify({arguments, {}, {}}));
  }
}
BENCHMARK_CAPTURE(classifyCommand, ls, {"ls", "-la"});
BENCHMARK_CAPTURE(classifyCommand, grep, {"grep", "-rn", "TODO", "--include=*.cpp", "src"});
BENCHMARK_CAPTURE(classifyCommand, git_commit, {"git", "commit", "-m", "Fix the parser"});
BENCHMARK_CAPTURE(classifyCommand, find_exec,
                  {"find", ".", "-name", "*.o", "-exec", "rm", "{}", "+"});
BENCHMARK_CAPTURE(classifyCommand, docker_run,
                  {"docker", "run", "--rm", "-v", "/src:/src", "-w", "/src", "gcc:13", "make",
                   "-j4"});
BENCHMARK_CAPTURE(classifyCommand, bash_lc,
                  {"bash", "-lc",
                   "cd /srv/app && git pull --rebase && npm run build 2>&1 | tail -20"});

const std::string kScript =
    "set -euo pipefail\nfor f in src/*.c; do\n  if [ -f \"$f\" ]; then gcc -c \"$f\" -o "
    "\"${f%.c}.o\" "
    "2>> build.log || { echo \"failed: $f\"; exit 1; }; fi\ndone\ncat <<EOF > out.txt\nbuilt on "
    "$(date) by "
    "$USER\nEOF\ntar czf out.tgz *.o && scp out.tgz host:/srv/ | tee log\n";

void parseScript(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(shell::parse(kScript));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kScript.size()));
}
BENCHMARK(parseScript);

void parseOneCommand(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(shell::parse("git log --oneline -n 20 | head"));
}
BENCHMARK(parseOneCommand);

void classifyFile(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        classifier().classifyFile("/home/dev/project/src/main.cpp", FileUse::kWrite));
  }
}
BENCHMARK(classifyFile);

void loadBuiltinRules(benchmark::State& state) {
  for (auto _ : state) Classifier loaded;
}
BENCHMARK(loadBuiltinRules)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace airr::classify
