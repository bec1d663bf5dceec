#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "recorder/files.h"
#include "replayer/event_proof.h"
#include "replayer/open_trace.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/identity_option.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  std::string trace, output;
  std::vector<std::string> identities;
  uint64_t event = 0;
};

int run(const Options& options) {
  const std::vector<uint8_t> proof = makeProof(
      options.trace, options.event, identitiesFor(options.trace, options.identities));
  const std::string path =
      options.output.empty() ? "event-" + std::to_string(options.event) + ".proof" : options.output;
  UniqueFd file = openOwn(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, 0644);
  if (!file || !writeWhole(file.get(), {proof})) throw systemError("cannot write '" + path + "'");
  std::cout << printable(path) << ": proof of event " << options.event << ", "
            << byteCount(proof.size()) << '\n';
  return 0;
}

}  // namespace

Command addProve(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("-o,--output", options->output, "Proof to write; else event-EVENT.proof")
      ->type_name("FILE");
  addIdentityOption(app, options->identities);
  app.add_option("trace", options->trace, "Trace that has the event")
      ->type_name("TRACE")
      ->required();
  app.add_option("event", options->event, "Its number, as inspect --events shows it")
      ->type_name("EVENT")
      ->required();
  app.footer(
      "The proof holds the event, the trace's header, and hashes and signatures that lead from "
      "one\n"
      "to the other. A decision is shown alone, other events with up to some KB of their "
      "neighbours.\n"
      "'airr verify --proof FILE --public-key KEY' checks it, without the trace.");
  return [options] { return run(*options); };
}

}  // namespace airr::tools
