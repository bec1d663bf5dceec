#include "policies/classify/patterns.h"

#include <algorithm>

namespace airr::classify {

std::string globRegex(std::string_view glob) {
  std::string regex;
  size_t braces = 0;
  for (size_t i = 0; i < glob.size(); ++i) {
    const std::string_view rest = glob.substr(i);
    const char c = glob[i];
    if (rest.starts_with("**/")) {
      regex += "(?:.*/)?";
      i += 2;
    } else if (rest == "/**") {
      regex += "(?:/.*)?";
      i += 2;
    } else if (rest.starts_with("**")) {
      regex += ".*";
      ++i;
    } else if (c == '*') {
      regex += "[^/]*";
    } else if (c == '?') {
      regex += "[^/]";
    } else if (c == '{') {
      regex += "(?:";
      ++braces;
    } else if (c == '}' && braces > 0) {
      regex += ')';
      --braces;
    } else if (c == ',' && braces > 0) {
      regex += '|';
    } else {
      if (std::string_view("\\.+()[]^$|{}").find(c) != std::string_view::npos) regex += '\\';
      regex += c;
    }
  }
  regex.append(braces, ')');
  return regex;
}

const re2::RE2& Regex::get() const {
  std::call_once(once_, [this] {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(2 << 20);
    options.set_dot_nl(true);
    // Names need not be UTF-8, and must not escape a rule by that.
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    regex_ = std::make_unique<re2::RE2>(pattern_, options);
  });
  return *regex_;
}

bool Regex::full(std::string_view text) const {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), get());
}

bool Regex::found(std::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), get());
}

bool Matcher::matches(std::string_view text) const {
  if (std::find(is.begin(), is.end(), text) != is.end()) return true;
  return (glob != nullptr && glob->full(text)) || (regex != nullptr && regex->found(text));
}

std::string normalPath(std::string_view path) {
  std::string result;
  auto home = [&](std::string_view prefix) {
    if (!path.starts_with(prefix)) return false;
    if (path.size() > prefix.size() && path[prefix.size()] != '/') return false;
    path.remove_prefix(prefix.size());
    result = "~";
    return true;
  };
  if (!home("$HOME") && !home("${HOME}") && !home("/root")) {
    const size_t user = path.starts_with("/home/") ? 6 : path.starts_with("~") ? 1 : 0;
    if (user > 0 && (user == 1 || path.size() > user)) {
      const size_t end = std::min(path.find('/', user), path.size());
      path.remove_prefix(end);
      result = "~";
    }
  }
  for (size_t i = 0; i < path.size(); ++i) {
    const bool atStart = i == 0 || path[i - 1] == '/';
    if (path[i] == '/' && !result.empty() && result.back() == '/') continue;
    if (atStart && path.substr(i).starts_with("./")) {
      ++i;
      continue;
    }
    result += path[i];
  }
  if (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

std::vector<std::string_view> pathsIn(std::string_view word) {
  std::vector<std::string_view> paths = {word};
  auto addAfter = [&](size_t position) {
    std::string_view path = word.substr(position);
    if (path.starts_with('@')) path.remove_prefix(1);
    if (!path.empty()) paths.push_back(path);
  };
  if (word.starts_with('@')) addAfter(1);
  const size_t equals = word.find('=');
  if (equals != std::string_view::npos) addAfter(equals + 1);
  const size_t scheme = word.find("://");
  if (scheme != std::string_view::npos) {
    if (word.substr(0, scheme).starts_with("file")) addAfter(scheme + 3);
    return paths;
  }
  // host:path, but not a path that has a colon in it.
  const size_t colon = word.find(':');
  if (colon != std::string_view::npos &&
      word.substr(0, colon).find('/') == std::string_view::npos) {
    addAfter(colon + 1);
  }
  return paths;
}

}  // namespace airr::classify
