# Writes OUTPUT, a C++ source with the rule files in it. FILES: their paths.
set(entries "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  # A string literal has at most 64 KiB in portable C++.
  string(APPEND entries "    {\"${name}\", R\"airr-rules(${text})airr-rules\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by policies/classify/embed.cmake.
#include \"policies/classify/rule_set.h\"

namespace airr::classify {

std::vector<Source> builtinRules() {
  return {
${entries}  };
}

}  // namespace airr::classify
")
