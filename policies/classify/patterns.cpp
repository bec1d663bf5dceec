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

bool Matcher::matches(std::string_view text) const {
  if (std::find(is.begin(), is.end(), text) != is.end()) return true;
  const re2::StringPiece piece(text.data(), text.size());
  if (glob != nullptr && re2::RE2::FullMatch(piece, *glob)) return true;
  return regex != nullptr && re2::RE2::PartialMatch(piece, *regex);
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
