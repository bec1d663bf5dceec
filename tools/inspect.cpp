#include "tools/inspect.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "mediator/syscalls/model.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/identity_option.h"
#include "tools/text.h"
#include "replayer/open_trace.h"

namespace airr::tools {
namespace {

int run(const InspectOptions& options) {
  if (!options.syscall.empty() && !syscalls::findByName(options.syscall.c_str())) {
    throw Error(ExitCode::kFailure, "inspect: there is no syscall named " + options.syscall,
                "'airr syscalls' lists them");
  }
  OpenTrace trace = openForReading(options.trace, options.identities);
  if (!trace.reader->isOpen()) {
    std::cerr << "airr: only metadata is shown: the contents are encrypted to "
              << plural(trace.reader->recipients().size(), "key") << ", none of them at hand.\n";
  }
  if (options.showEvents()) {
    if (!trace.notAuthenticated.empty()) {
      std::cerr << "airr: the trace is read without being authenticated: "
                << printable(trace.notAuthenticated) << ".\n";
    }
    printEvents(*trace.reader, options, std::cout);
    return 0;
  }
  TraceSummary summary = summarise(*trace.reader);
  if (options.json) {
    printSummaryJson(summary, trace.notAuthenticated, std::cout);
  } else {
    printSummary(summary, trace.notAuthenticated, std::cout);
  }
  return 0;
}

}  // namespace

std::string syscallName(uint64_t number) {
  const syscalls::Syscall* call = syscalls::find(number);
  return call ? call->name : "syscall_" + std::to_string(number);
}

Command addInspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_flag("--json", options->json, "Print JSON: one object, or one a line for events");
  app.add_flag("--events", options->events, "Print the events instead of a summary");
  app.add_option("--process", options->process, "Only events of this process (its number)")
      ->type_name("N");
  app.add_option("--syscall", options->syscall, "Only calls of this name")->type_name("NAME");
  app.add_option("--path", options->path, "Only events that name a path like this (* ? [])")
      ->type_name("GLOB");
  addIdentityOption(app, options->identities);
  app.add_option("trace", options->trace, "Trace to inspect")->type_name("TRACE")->required();
  app.footer(
      "A filter implies --events. An event's line has its number, the seconds since the session\n"
      "began, process.task, and what happened. In JSON, bytes that are not UTF-8 are {\"hex\": "
      "…};\n"
      "addresses and arguments are strings, as they may pass 2^53.");
  return [options] { return run(*options); };
}

}  // namespace airr::tools
