// Globs: patterns for paths and other names with '/' in them. * and ? stay within a component, a
// component ** stands for any number of them (at the end: at least one), [a-z] and [!a-z] for one
// character.
//
// Immutable; any thread. Matching takes time in the product of the two lengths at most.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace airr::policies {

class Glob {
 public:
  explicit Glob(std::string_view pattern);
  // Why this is no pattern, or null.
  static const char* fault(std::string_view pattern);

  bool matches(std::string_view text) const;

 private:
  struct Component {
    std::string text;
    bool literal = false;  // no wildcards
    bool any = false;      // **
  };
  static bool matches(const Component& component, std::string_view text);

  std::vector<Component> components_;
  std::string literal_;  // what every text that matches contains: the longest run of literal components
};

}  // namespace airr::policies
