# Writes OUTPUT, a C++ source that has the stock policies in it. FILES: their paths, ';' between.
set(entries "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"airr-policy(${text})airr-policy\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by policies/embed.cmake.
#include \"policies/stock.h\"

namespace airr::policies {
namespace {
struct Entry { std::string_view name, text; };
constexpr Entry kEntries[] = {
${entries}};
}  // namespace

std::optional<std::string_view> stockPolicy(std::string_view name) {
  for (const Entry& entry : kEntries)
    if (entry.name == name) return entry.text;
  return std::nullopt;
}

std::vector<std::string_view> stockPolicyNames() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kEntries) names.push_back(entry.name);
  return names;
}

}  // namespace airr::policies
")
