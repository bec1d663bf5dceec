// Text patterns of the rule language: equality, globs, RE2; and paths as rules write them.
// Immutable once built; matching is for any thread, takes linear time, and never throws.
#pragma once

#include <re2/re2.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace airr::classify {

// As a regular expression for a full match. * and ? stay within a path's component; ** does not,
// and
// **/ may be nothing, as may /** at the end; {a,b} are alternatives.
std::string globRegex(std::string_view glob);

// A regular expression over bytes, compiled when it is first used: of the built-in ones a session
// uses few.
class Regex {
 public:
  explicit Regex(std::string pattern) : pattern_(std::move(pattern)) {}
  const re2::RE2& get() const;
  bool full(std::string_view text) const;   // all of it
  bool found(std::string_view text) const;  // anywhere in it

 private:
  std::string pattern_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<re2::RE2> regex_;
};

// Matches if one of its parts does.
struct Matcher {
  std::vector<std::string> is;
  std::unique_ptr<Regex> glob;   // full match
  std::unique_ptr<Regex> regex;  // found anywhere

  bool matches(std::string_view text) const;
};

// A path as file rules see it: home directories (~, ~user, $HOME, /home/NAME, /root) become "~",
// doubled slashes and "." components go. Of other expansions the source text stays.
std::string normalPath(std::string_view path);

// What of a word may be a path: itself; what follows "=", a leading "@", "file://", or "host:".
std::vector<std::string_view> pathsIn(std::string_view word);

}  // namespace airr::classify
