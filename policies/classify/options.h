// How a program's arguments divide into options, their values, and operands.
//
// A table belongs to one program or subcommand and knows the options that its rules mention; of
// others it assumes that they take no value. Tables are built once and then only read, from any
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace airr::shell {
struct Word;
}

namespace airr::classify {

// One word of an invocation. Views: of the invocation or of the parsed script.
struct Argument {
  std::string_view text;
  bool literal = true;                // the text is what the program receives
  const shell::Word* word = nullptr;  // where it came from a script
};

enum class OptionValue : uint8_t {
  kNone,
  kRequired,  // attached, or the next argument
  kOptional,  // only if attached
};

using OptionId = uint16_t;
inline constexpr OptionId kNoOption = UINT16_MAX;

struct Option {
  OptionId id = kNoOption;  // kNoOption: not in the table
  Argument name;            // as written, without an attached value
  Argument value;           // empty text if it has none
  bool hasValue = false;
};

struct Arguments {
  std::vector<Option> options;
  std::vector<Argument> operands;
  size_t firstOperand = 0;  // its index among all arguments; their number if there is none

  bool has(OptionId id) const;
};

class OptionTable {
 public:
  // The option's id; a later value kind replaces kNone.
  OptionId add(std::string_view name, OptionValue value = OptionValue::kNone);
  OptionId find(std::string_view name) const;
  void addAll(const OptionTable& other);  // what is there already stays
  size_t size() const { return entries_.size(); }

  bool wholeWords = false;          // single-dash options are words, never clusters: find, java, go
  unsigned stopAfter = UINT32_MAX;  // what follows this many operands is all operands

  // `arguments`: without the program's name.
  Arguments divide(const Argument* arguments, size_t count) const;

 private:
  struct Entry {
    std::string name;
    OptionValue value;
  };
  // The option of that name, or the long options that it is a beginning of, as getopt_long takes
  // them: if the program knows fewer of them than the table, any of these may be meant.
  std::span<const OptionId> resolve(std::string_view name) const;

  std::vector<Entry> entries_;   // by id
  std::vector<OptionId> order_;  // sorted by name
};

}  // namespace airr::classify
