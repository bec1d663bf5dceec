// The option of those commands that read what is encrypted.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace airr::tools {

inline void addIdentityOption(CLI::App& app, std::vector<std::string>& files) {
  app.add_option("--identity", files,
                 "Private key (PEM) for what is encrypted; the key store's own if none is given")
      ->type_name("FILE")
      ->allow_extra_args(false);  // one a time: what follows is the trace
}

}  // namespace airr::tools
