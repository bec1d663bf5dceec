// Writes the seeds of every target beneath a directory: DIR/TARGET/N.

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  for (const auto& target : airr::fuzz::targets()) {
    const std::filesystem::path directory = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(directory);
    int number = 0;
    for (const auto& seed : target.seeds()) {
      std::ofstream file(directory / std::to_string(number++), std::ios::binary);
      file.write(reinterpret_cast<const char*>(seed.data()),
                 static_cast<std::streamsize>(seed.size()));
      if (!file) return 1;
    }
  }
}
