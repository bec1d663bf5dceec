// Build tool: writes a C++ source that has rule files in it as packed trees.
//   embed_rules OUTPUT FILE…
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "policies/classify/embedding.h"
#include "policies/classify/yaml_tree.h"

int main(int argc, char** argv) {
  using namespace airr::classify;
  using airr::embedding::literal;
  if (argc < 3) return 1;
  std::ofstream out(argv[1]);
  out << "// Made by embed_rules.\n#include <string_view>\n\n"
         "#include \"policies/classify/rule_set.h\"\n\n"
         "namespace airr::classify {\n\nusing namespace std::string_view_literals;\n\n"
         "std::vector<Source> builtinRules() {\n  return {\n";
  try {
    for (int i = 2; i < argc; ++i) {
      std::ifstream file(argv[i], std::ios::binary);
      const Source source{argv[i], {std::istreambuf_iterator<char>(file), {}}};
      out << "    {\"" << std::filesystem::path(argv[i]).filename().string() << "\", {}, "
          << literal(packYaml(parseYaml(source))) << "sv},\n";
    }
  } catch (const airr::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  out << "  };\n}\n\n}  // namespace airr::classify\n";
  return out.good() ? 0 : 1;
}
