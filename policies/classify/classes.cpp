#include "policies/classify/classes.h"

#include <algorithm>

namespace airr::classify {

std::optional<Class> classByName(std::string_view name) {
  const auto* found = std::find(kClassNames.begin(), kClassNames.end(), name);
  if (found == kClassNames.end()) return std::nullopt;
  return static_cast<Class>(found - kClassNames.begin());
}

std::string ClassSet::text() const {
  std::string text;
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    if (!has(static_cast<Class>(i))) continue;
    if (!text.empty()) text += ", ";
    text += kClassNames[i];
  }
  return text;
}

}  // namespace airr::classify
