// Mutated rule files: they load, or are refused with an Error that names a place; nothing else.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "policies/classify/rule_set.h"

namespace airr::classify {
namespace {

const std::vector<std::string> kSeeds = {
    "version: 1\nprograms:\n  a|b*:\n    options: {values: [-x, --long], optional: [-i], stop: "
    "true}\n"
    "    classes: [inspect]\n    first:\n      - {options: [-f], without: [-n], operands: 1+, "
    "runs: [{operands: 0}]}\n"
    "      - {value: {of: [-x], regex: '^a(b)'}, runs: [{values: [-x], language: l, capture: "
    "'=(.*)'}]}\n"
    "    subcommands:\n      c|d: {writes: [last, -o, of=, 0]}\n",
    "languages:\n  l: {rules: [{id: r, regex: '!(.*)', runs: shell, classes: [execute-code]}]}\n"
    "files:\n  - {id: f, paths: ['**/.x/**', '/a/{b,c}*'], except: ['*.y'], access: [write, read], "
    "where: [action]}\n",
    "variables: [{id: v, names: {regex: 'A|B'}, when: used, classes: [network]}]\n"
    "words: [{id: w, regex: '://', classes: [network]}]\nnetwork: [{id: n, action: [x], numbers: "
    "[1-5, 7]}]\n"};
const std::vector<std::string> kPieces = {
    "[",  "]",   "{",     "}", ": ", ", ", "- ", "\n",     "  ", "'",  "\"", "|",   "&a ",
    "*a", "!t ", "---\n", "#", "?",  "(",  ")",  "{1000}", "**", "\\", "\t", "\xff"};

TEST(RuleMutation, NoFileBreaksTheReader) {
  std::mt19937 random(20240502);  // NOLINT: the same inputs in every run
  auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  size_t loaded = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = kSeeds[below(kSeeds.size())];
    for (size_t edits = below(5); edits > 0; --edits) {
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
    try {
      loadRules({Source{"f", text}});
      ++loaded;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, 2), "f:") << error.what() << "\n" << text;
    }
  }
  EXPECT_GT(loaded, 100u);
}

}  // namespace
}  // namespace airr::classify
