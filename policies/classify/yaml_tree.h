// YAML as a rule file has it: maps, lists and scalars that know where they stand, from hostile
// text.
//
// Bounded: size, depth, number of nodes; no anchors and aliases (they grow exponentially), no tags,
// no key twice in a map, one document. Value types; parseYaml() is pure and throws Error (kFailure)
// that begins with name:line:column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/error.h"

namespace airr::classify {

inline constexpr size_t kMaxRuleFileBytes = 1 << 20;

struct Place {
  unsigned line = 1, column = 1;
};

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Place place;
  std::string text;             // kScalar
  std::vector<YamlNode> keys;   // kMap: scalars
  std::vector<YamlNode> items;  // kList; kMap: the values, in the order of the keys
  std::string_view packed;      // not unpacked yet: all but the kind is missing (unpackYaml())

  std::vector<std::pair<const YamlNode&, const YamlNode&>> entries() const;  // kMap
};

// A rule file's text and what it is called in messages.
struct Source {
  std::string name;
  std::string text;
  std::string_view packed = {};  // instead of the text: its tree, by packYaml()

  Error error(Place place, const std::string& why, std::string remedy = {}) const;
};

YamlNode parseYaml(const Source& source);

// A tree as bytes, for files that are part of the program: yaml-cpp takes 20 ms for them. Trusted
// data. What lies deeper than `levels` stays packed, and refers to the bytes.
inline constexpr unsigned kAllLevels = UINT32_MAX;
std::string packYaml(const YamlNode& node);
YamlNode unpackYaml(std::string_view packed, unsigned levels = kAllLevels);

// The candidate that is nearest to `word` by edit distance; empty if none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace airr::classify
