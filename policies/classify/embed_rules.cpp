// Build tool: writes a C++ source that has rule files in it as packed trees.
#include "policies/classify/embed_files.h"
#include "policies/classify/embedding.h"
#include "policies/classify/yaml_tree.h"

int main(int argc, char** argv) {
  using namespace airr::classify;
  return airr::embedding::embedFiles(
      argc, argv,
      "// Made by embed_rules.\n#include <string_view>\n\n"
      "#include \"policies/classify/rule_set.h\"\n\n"
      "namespace airr::classify {\n\nusing namespace std::string_view_literals;\n\n"
      "std::vector<Source> builtinRules() {\n  return {\n",
      [](const std::filesystem::path& path, const std::string& text) {
        return "    {\"" + path.filename().string() + "\", {}, " +
               airr::embedding::literal(packYaml(parseYaml({path, text}))) + "sv},\n";
      },
      "  };\n}\n\n}  // namespace airr::classify\n");
}
