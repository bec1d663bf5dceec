// Build tool: writes a C++ source that has the stock policies in it, as texts and as packed trees.
//   embed_policies OUTPUT FILE…
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "policies/yaml_tree.h"

namespace {

// As a string literal, a line for every 100 bytes.
std::string literal(const std::string& bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 100 == 99) text += "\"\n    \"";
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\' && byte != '?') {
      text += bytes[i];
    } else {
      char octal[8];
      std::snprintf(octal, sizeof octal, "\\%03o", byte);
      text += octal;
    }
  }
  return text + '"';
}

}  // namespace

int main(int argc, char** argv) {
  using namespace airr::policies;
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
