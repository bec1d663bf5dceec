// The words of a condition.
//
// Value types; pure functions. tokenise() throws Error (kPolicy).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/yaml_tree.h"

namespace airr::policies {

struct Token {
  enum class Kind : uint8_t { kWord, kQuoted, kSymbol, kEnd };
  Kind kind = Kind::kEnd;
  std::string_view text;  // of a quoted one, what is between the quotes
  size_t offset = 0;      // in the condition, bytes
  size_t length = 0;      // as written

  bool is(std::string_view word) const { return kind != Kind::kQuoted && text == word; }
};

// Views into `condition.text`. The last one is kEnd.
std::vector<Token> tokenise(const YamlNode& condition, const Source& source);

// Where a byte of a scalar's text is in the source. Exact but for escapes in double quotes, which
// it takes for what they stand for.
Place placeIn(const YamlNode& scalar, size_t offset, const Source& source);

}  // namespace airr::policies
