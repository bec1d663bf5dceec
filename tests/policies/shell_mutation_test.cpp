// Mutated scripts: whatever the bytes, the parser returns, and what it returns is consistent.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "policies/classify/shell_parser.h"
#include "tests/policies/shell_check.h"

namespace airr::shell {
namespace {

const std::vector<std::string> kSeeds = {
    "for f in *.txt; do echo \"$f\" | sed 's/a/b/' > \"${f%.txt}.out\"; done",
    "cat <<EOF | sh -s -- \"$@\"\nrm -rf $HOME/$(whoami)\nEOF\n",
    "case \"$1\" in (a|b) x ;; *) y $((1 + (2))) ;& esac && { z; } &",
    "f() { [[ $a =~ ^(x|y)$ && -f b ]] || return 1; }; f 2>&1 >| out <<< \"${x:-`id`}\"",
    "a=(1 $'\\x41\\u00e9' \"b\") c[0]=d env -i bash -c 'echo \\$x' < <(sort) &>> log",
    "if ! time a; then coproc N { b; }; elif ((c++)); then d <<-'X'\n\t$e\n\tX\nelse select g in "
    "h; do i; done; fi",
};
const std::vector<std::string> kPieces = {
    "'",    "\"", "`",    "$(", ")",  "${", "}",   "((",  "))",  "<<E\n", "\nE\n", "<(", "\\",
    "\\\n", "$'", ";;",   "&",  "|",  ">",  "do ", "[[ ", " ]]", "esac",  "{ ",    "#",  "$",
    "$((",  "=(", "\xff", "!",  "fi", " ",  "\n",  "in",  "@(",  "=~ ",   "$[",    "&>", "{a}>"};

TEST(ShellMutation, NoInputBreaksTheParser) {
  std::mt19937 random(20240501);  // NOLINT: the same inputs in every run
  auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  for (int round = 0; round < 60000; ++round) {
    std::string text = kSeeds[below(kSeeds.size())];
    for (size_t edits = 1 + below(6); edits > 0; --edits) {
      const size_t at = below(text.size() + 1);
      switch (below(4)) {
        case 0:
          text.insert(at, kPieces[below(kPieces.size())]);
          break;
        case 1:
          text.erase(at, 1 + below(8));
          break;
        case 2:
          text.insert(at, text.substr(below(text.size() + 1), below(40)));
          break;
        default:
          if (at < text.size()) text[at] = static_cast<char>(random());
      }
    }
    ASSERT_NO_FATAL_FAILURE(check(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace airr::shell
