// The subcommands of a command: which one was named, to be run once all options are read.
//
// One thread. Nothing fails.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "tools/commands.h"

namespace airr::tools {

template <class Options>
class Subcommands {
 public:
  Subcommands(CLI::App& app, std::shared_ptr<Options> options) : app_(app), options_(std::move(options)) {
    app_.require_subcommand(1);
  }
  // `run` takes the options, and gives the exit status.
  template <class Run>
  CLI::App* add(const char* name, const char* description, Run run) {
    CLI::App* sub = app_.add_subcommand(name, description);
    sub->callback([chosen = chosen_, options = options_, run] { *chosen = [options, run] { return run(*options); }; });
    return sub;
  }
  Command command() const {
    return [chosen = chosen_] { return (*chosen)(); };
  }

 private:
  CLI::App& app_;
  std::shared_ptr<Options> options_;
  std::shared_ptr<Command> chosen_ = std::make_shared<Command>();
};

}  // namespace airr::tools
