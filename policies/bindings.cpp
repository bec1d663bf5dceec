#include "policies/bindings.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace airr::policies {
namespace {

std::optional<std::string> resolved(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  return error ? canonicalPath(path) : std::optional<std::string>(real.native());
}

}  // namespace

Bindings exampleBindings() { return {"/home/user/project", "/home/user", "/tmp"}; }

Bindings bindingsHere() {
  const char* home = ::getenv("HOME");
  const char* temporary = ::getenv("TMPDIR");
  return {resolved("."), home == nullptr ? std::nullopt : resolved(home),
          resolved(temporary == nullptr || temporary[0] != '/' ? "/tmp" : temporary)};
}

std::optional<std::string> canonicalPath(std::string_view text) {
  if (!text.starts_with('/')) return std::nullopt;
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t slash = std::min(text.find('/'), text.size());
    const std::string_view part = text.substr(0, slash);
    text.remove_prefix(std::min(slash + 1, text.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string path;
  for (std::string_view part : parts) path.append("/").append(part);
  return path.empty() ? "/" : path;
}

}  // namespace airr::policies
