// The `airr` command: reads the command line, runs one subcommand, and is the one place where
// failures become a message and an exit status.
#include <kj/exception.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "schema/error.h"
#include "tools/commands.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

int fail(ExitCode code, const std::string& what, const std::string& remedy,
         const std::vector<std::string>& details = {}) {
  std::cout.flush();
  std::string text = "airr: " + what + '.';
  if (!remedy.empty()) {
    text += ' ' + remedy;
    char& first = text[text.size() - remedy.size()];
    if (!remedy.starts_with("airr")) first = static_cast<char>(std::toupper(first));
    if (text.back() != '.' && text.back() != '?') text += '.';
  }
  std::cerr << printable(text) << std::endl;
  for (const std::string& line : details) std::cerr << "  " << printable(line) << std::endl;
  return static_cast<int>(code);
}

// A full disk or a closed pipe must not pass for complete output.
int finish(int status) {
  std::cout.flush();
  if (std::cout) return status;
  return fail(ExitCode::kFailure, "the output could not be written", "");
}

// What follows the first "--" belongs to another program, so CLI11 never sees it.
std::vector<std::string> takeProgram(int& argc, char** argv) {
  if (argc < 2) return {};
  const std::string command = argv[1];
  if (command != "record" && command != "classify") return {};
  char** separator = std::find_if(argv + 2, argv + argc,
                                  [](const char* word) { return std::string(word) == "--"; });
  if (separator == argv + argc) return {};
  std::vector<std::string> program(separator + 1, argv + argc);
  argc = static_cast<int>(separator - argv);
  return program;
}

int usageError(const CLI::App& app, const std::string& message) {
  std::string command = "airr";
  std::string remedy;
  for (const CLI::App* chosen : app.get_subcommands()) {
    command += ' ' + chosen->get_name();
    if (chosen->get_name() == "record") {
      remedy = "The program to record goes after --, as in: airr record -o trace.cap -- ls -l. ";
    }
  }
  std::string what = message.substr(0, message.find('\n'));
  while (!what.empty() && what.back() == '.') what.pop_back();
  return fail(ExitCode::kFailure, command + ": " + what, remedy + "See '" + command + " --help'");
}

int run(int argc, char** argv) {
  std::vector<std::string> program = takeProgram(argc, argv);

  CLI::App app("Record an AI agent, or any program; replay it exactly; prove what it did.", "airr");
  app.set_version_flag("--version", "airr " AIRR_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit statuses: 0 success; 110-118 and 120-127 are listed in docs/exit-codes.md.\n"
      "'airr COMMAND --help' explains a command.");

  struct Entry {
    CLI::App* app;
    Command command;
  };
  std::vector<Entry> entries;
  // Of the others nothing is built if one is named: a session begins sooner.
  static constexpr const char* kNames[] = {"record", "replay",  "verify", "prove",    "redact",   "key",
                                           "inspect", "judge", "approve", "overlay", "policy", "classify", "syscalls", "doctor"};
  const bool known = argc > 1 && std::ranges::find(kNames, std::string_view(argv[1])) != std::end(kNames);
  auto add = [&](const char* name, const char* description, auto&& addCommand) {
    if (known && std::string_view(argv[1]) != name) return;
    CLI::App* subcommand = app.add_subcommand(name, description);
    entries.push_back({subcommand, addCommand(*subcommand)});
  };
  add("record", "Run a program and write its trace.",
      [&](CLI::App& sub) { return addRecord(sub, program); });
  add("replay", "Run a recorded program again, exactly, with no effect on the world.", addReplay);
  add("verify", "Prove that a trace is whole and unaltered.", addVerify);
  add("prove", "Write a standalone proof of one event.", addProve);
  add("redact", "Take blobs out of a trace, or encrypt them, verifiably.", addRedact);
  add("key", "Make, show, rotate keys, or export their public halves.", addKey);
  add("inspect", "Show what a session did: a summary, or its events.", addInspect);
  add("judge", "Decide a recorded session again, under another policy, without running it.",
      addJudge);
  add("approve", "Show what running sessions ask for, and answer.", addApprove);
  add("overlay", "Show, merge or drop what a session changed over an overlay.", addOverlay);
  add("policy", "Check, test, explain and format policies.", addPolicy);
  add("classify", "Say what a command is for: its classes, and why.",
      [&](CLI::App& sub) { return addClassify(sub, program); });
  add("syscalls", "List the syscalls that airr knows and how it treats them.", addSyscalls);
  add("doctor", "Show what this host can do for airr.", addDoctor);

  if (argc > 1 && argv[1][0] != '-' && !known) {
    return usageError(app, std::string("there is no command named ") + argv[1]);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return finish(app.exit(error));
    }
    return usageError(app, error.what());
  }
  for (const Entry& entry : entries) {
    if (entry.app->parsed()) return finish(entry.command());
  }
  return usageError(app, "no command was given");
}

int guardedRun(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return fail(error.code(), error.what(), error.remedy(), error.details());
  } catch (const kj::Exception& error) {
    // Cap'n Proto found a message that breaks its own encoding.
    return fail(ExitCode::kUnreadable,
                std::string("the trace is damaged: ") + error.getDescription().cStr(),
                "Run 'airr verify' on it to learn where");
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::kFailure, "out of memory", "");
  } catch (const std::exception& error) {
    return fail(ExitCode::kFailure, error.what(), "This is a fault of airr: please report it");
  }
}

}  // namespace
}  // namespace airr::tools

int main(int argc, char** argv) {
  const int status = airr::tools::guardedRun(argc, argv);
#ifdef __SANITIZE_ADDRESS__
  return status;  // leaks are looked for at the end
#else
  std::fflush(nullptr);
  _exit(status);  // what libraries would take down, OpenSSL above all, ends with the process
#endif
}
