// The classes that an action can have (design.md section 8), and sets of them. Pure values, any
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace airr::classify {

enum class Class : uint8_t {
  kInspect,
  kModify,
  kExecuteCode,
  kNetwork,
  kPackageInstall,
  kVersionControl,
  kCredentialAccess,
  kDestructive,
  kPrivilege,
  kPersistence,
  kUnknown,
};

inline constexpr std::array<std::string_view, 11> kClassNames = {
    "inspect",           "modify",          "execute-code",
    "network",           "package-install", "version-control",
    "credential-access", "destructive",     "privilege",
    "persistence",       "unknown"};

std::optional<Class> classByName(std::string_view name);

class ClassSet {
 public:
  constexpr ClassSet() = default;
  constexpr ClassSet(std::initializer_list<Class> classes) {
    for (Class each : classes) add(each);
  }
  constexpr void add(Class each) {
    bits_ = static_cast<uint16_t>(bits_ | 1u << static_cast<unsigned>(each));
  }
  constexpr void add(ClassSet other) { bits_ = static_cast<uint16_t>(bits_ | other.bits_); }
  constexpr bool has(Class each) const { return (bits_ >> static_cast<unsigned>(each) & 1u) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr uint16_t bits() const { return bits_; }
  constexpr bool operator==(const ClassSet&) const = default;
  static constexpr ClassSet all() {
    ClassSet set;
    set.bits_ = (1u << kClassNames.size()) - 1;
    return set;
  }
  // Names in the order of the enumeration, joined by ", ".
  std::string text() const;

 private:
  uint16_t bits_ = 0;
};

}  // namespace airr::classify
