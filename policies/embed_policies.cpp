// Build tool: writes a C++ source that has the stock policies in it, as texts and as packed trees.
//   embed_policies OUTPUT FILE…
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "policies/classify/embedding.h"
#include "policies/yaml_tree.h"

int main(int argc, char** argv) {
  using namespace airr::policies;
  using airr::embedding::literal;
  if (argc < 3) return 1;
  std::ofstream out(argv[1]);
  out << "// Made by embed_policies.\n#include \"policies/stock.h\"\n\nnamespace airr::policies {\n\n"
         "using namespace std::string_view_literals;\n\n"
         "std::span<const StockPolicy> stockPolicies() {\n  static constexpr StockPolicy kAll[] = {\n";
  try {
    for (int i = 2; i < argc; ++i) {
      std::ifstream file(argv[i], std::ios::binary);
      const Source source{argv[i], {std::istreambuf_iterator<char>(file), {}}};
      out << "    {\"" << std::filesystem::path(argv[i]).stem().string() << "\"sv, " << literal(source.text) << "sv,\n    "
          << literal(packYaml(parseYaml(source))) << "sv},\n";
    }
  } catch (const airr::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  out << "  };\n  return kAll;\n}\n\n}  // namespace airr::policies\n";
  return out.good() ? 0 : 1;
}
