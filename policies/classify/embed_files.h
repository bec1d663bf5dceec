// What the build tools that put YAML files into the program have in common.
//   TOOL OUTPUT FILE…
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "schema/error.h"

namespace airr::embedding {

// Writes OUTPUT: `head`, what entry() says of each file by its path and text, and `tail`. A tool's exit status.
template <class Entry>
int embedFiles(int argc, char** argv, std::string_view head, Entry&& entry, std::string_view tail) {
  if (argc < 3) return 1;
  std::ofstream out(argv[1]);
  out << head;
  try {
    for (int i = 2; i < argc; ++i) {
      std::ifstream file(argv[i], std::ios::binary);
      out << entry(std::filesystem::path(argv[i]), std::string(std::istreambuf_iterator<char>(file), {}));
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  out << tail;
  return out.good() ? 0 : 1;
}

}  // namespace airr::embedding
