// YAML as the policy language takes it: maps, sequences and scalars with their places in the
// source, within bounds. Anchors, aliases, tags, several documents and duplicate keys are refused.
//
// Value types; parseYaml() throws Error (kPolicy) with "file:line:column" and is otherwise pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/error.h"

namespace airr::policies {

constexpr size_t kMaxPolicyBytes = 10 << 20;
constexpr unsigned kMaxYamlDepth = 32;
constexpr size_t kMaxYamlNodes = 1'000'000;

// Counted from 1, in characters.
struct Place {
  unsigned line = 1, column = 1;
  bool operator==(const Place&) const = default;
};

struct YamlEntry;

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar that was written in quotes or as a block
  size_t offset = 0;    // in the source, bytes
  Place place;
  std::string text;                // kScalar
  std::vector<YamlNode> items;     // kSequence
  std::vector<YamlEntry> entries;  // kMap, keys are scalars

  const YamlNode* find(std::string_view key) const;
  bool operator==(const YamlNode&) const;
};

struct YamlEntry {
  YamlNode first, second;
  bool operator==(const YamlEntry&) const = default;
};

// The text of a policy and what it is called in messages.
struct Source {
  std::string name;
  std::string text;
  std::string_view packed = {};  // its tree, if the policy is part of the program: by packYaml()

  Place placeOf(size_t offset) const;
  // "name:line:column: why"
  Error error(Place place, const std::string& why, std::string remedy = {}) const;
};

YamlNode parseYaml(const Source& source);

// A tree as bytes, and back: what parseYaml() takes milliseconds for. Trusted data.
std::string packYaml(const YamlNode& node);
YamlNode unpackYaml(std::string_view packed);

// The candidate that is nearest to `word` by edit distance, or empty if none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace airr::policies
