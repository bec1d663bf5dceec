#include <CLI/CLI.hpp>
#include <memory>

#include "mediator/own_memory.h"
#include "replayer/replay_session.h"
#include "tools/commands.h"
#include "tools/identity_option.h"

namespace airr::tools {

Command addReplay(CLI::App& app) {
  auto options = std::make_shared<ReplayOptions>();
  app.add_flag("--quiet", options->quiet, "Do not show the session's standard output and error");
  app.add_option("--materialize", options->materializeDirectory,
                 "Write the files that the session had written beneath this directory")
      ->type_name("DIR");
  app.add_flag("--require-seal", options->requireSeal,
               "Refuse a trace without a seal (of a session that did not end in order)");
  app.add_flag("--unverified", options->unverified,
               "Replay although there is no key to check the trace with, or another one");
  addIdentityOption(app, options->identities);
  app.add_option("trace", options->tracePath, "Trace to replay")->type_name("TRACE")->required();
  app.footer(
      "Exits with the recorded status, or 120 at the first divergence; docs/exit-codes.md lists\n"
      "the others.");
  return [options] {
    saveFaults();
    return replay(*options);
  };
}

}  // namespace airr::tools
