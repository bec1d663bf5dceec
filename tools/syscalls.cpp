#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "mediator/syscalls/print.h"
#include "tools/commands.h"

namespace airr::tools {

Command addSyscalls(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "Print one JSON array");
  return [json] {
    std::cout << (*json ? syscalls::listingJson() : syscalls::listing());
    return 0;
  };
}

}  // namespace airr::tools
