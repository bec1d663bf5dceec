#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "replayer/open_trace.h"
#include "replayer/redaction.h"
#include "replayer/trace_verifier.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/identity_option.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  std::string trace, output;
  BlobChoice choice;
  RedactionNote note;
  std::vector<std::string> identities, encryptTo;  // files of keys
};

std::string userName() {
  const passwd* user = ::getpwuid(::geteuid());
  return user ? user->pw_name : "user " + std::to_string(::geteuid());
}

int run(const Options& options) {
  std::vector<Recipient> recipients;
  for (const std::string& file : options.encryptTo) recipients.push_back(loadRecipient(file));
  const OpenTrace trace = openAuthenticated(options.trace, options.identities);
  if (verifyTrace(options.trace, {.keys = trace.keys.get()}).fault) {
    throw Error(ExitCode::kTampered, "'" + options.trace + "' was altered, and is not redacted",
                "see 'airr verify'");
  }
  BlobChoice choice = options.choice;
  choice.encrypted = recipients.empty();
  const Chosen chosen = chooseBlobs(*trace.reader, choice);
  if (!chosen.eventsThatMatch.empty()) {
    std::cerr << "airr: " << plural(chosen.eventsThatMatch.size(), "event")
              << " hold what was looked for, beginning with event "
              << chosen.eventsThatMatch.front() << "; events cannot be redacted, only blobs.\n";
  }
  redact(options.trace, options.output, chosen, options.note, *trace.keys, recipients);
  uint64_t bytes = 0;
  for (const auto& [blob, why] : chosen.blobs) {
    bytes += trace.reader->blobInfo(blob).size;
    std::cout << "  blob " << blob << ": " << byteCount(trace.reader->blobInfo(blob).size) << ", "
              << printable(why) << '\n';
  }
  std::cout << printable(options.output) << ": " << plural(chosen.blobs.size(), "blob")
            << (recipients.empty() ? " taken out (" : " encrypted (") << byteCount(bytes) << "); the original is still there\n";
  return 0;
}

}  // namespace

Command addRedact(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("-o,--output", options->output, "Redacted copy to write")
      ->type_name("FILE")
      ->required();
  app.add_option("--blob", options->choice.numbers, "Take out this blob (its number)")
      ->type_name("N");
  app.add_option("--path", options->choice.paths, "Take out contents of files like this (* ? [])")
      ->type_name("GLOB");
  app.add_option("--pattern", options->choice.patterns, "Take out contents that match (RE2)")
      ->type_name("REGEX");
  app.add_flag("--secrets", options->choice.secrets,
               "Take out contents in which there are private keys or tokens");
  app.add_option("--encrypt-to", options->encryptTo,
                 "Encrypt them to this public key (PEM) instead of taking them out")
      ->type_name("FILE")
      ->allow_extra_args(false);
  addIdentityOption(app, options->identities);
  app.add_option("--by", options->note.by, "Who does it; the user's name if it is not given")
      ->type_name("NAME");
  app.add_option("--reason", options->note.reason, "Why, for who reads the trace later")
      ->type_name("TEXT");
  app.add_option("trace", options->trace, "Trace to redact")->type_name("TRACE")->required();
  app.footer(
      "The copy verifies as the trace does, and says what was taken out or encrypted, by whom and "
      "when. Only "
      "blobs\n"
      "can be taken out: large reads, and files that were mapped. It can be replayed as far as it "
      "does\n"
      "not need them.");
  return [options] {
    Options complete = *options;
    if (complete.note.by.empty()) complete.note.by = userName();
    return run(complete);
  };
}

}  // namespace airr::tools
