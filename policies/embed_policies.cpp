// Build tool: writes a C++ source that has the stock policies in it, as texts and as packed trees.
#include "policies/classify/embed_files.h"
#include "policies/classify/embedding.h"
#include "policies/yaml_tree.h"

int main(int argc, char** argv) {
  using namespace airr::policies;
  using airr::embedding::literal;
  return airr::embedding::embedFiles(
      argc, argv,
      "// Made by embed_policies.\n#include \"policies/stock.h\"\n\nnamespace airr::policies {\n\n"
      "using namespace std::string_view_literals;\n\n"
      "std::span<const StockPolicy> stockPolicies() {\n  static constexpr StockPolicy kAll[] = {\n",
      [](const std::filesystem::path& path, const std::string& text) {
        return "    {\"" + path.stem().string() + "\"sv, " + literal(text) + "sv,\n    " +
               literal(packYaml(parseYaml({path, text}))) + "sv},\n";
      },
      "  };\n  return kAll;\n}\n\n}  // namespace airr::policies\n");
}
