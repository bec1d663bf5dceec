#include "policies/glob.h"

#include <algorithm>
#include <utility>

namespace airr::policies {
namespace {

constexpr size_t kNone = std::string_view::npos;

// Where the set that begins at `at` ends: behind its ']', or kNone.
size_t endOfSet(std::string_view pattern, size_t at) {
  size_t first = at + 1;
  if (first < pattern.size() && pattern[first] == '!') ++first;
  const size_t end = pattern.find(']', first + 1);  // a ']' that comes first is a member
  return end == kNone ? kNone : end + 1;
}

bool inSet(std::string_view set, char c) {
  const bool negated = set.starts_with('!');
  if (negated) set.remove_prefix(1);
  bool found = false;
  for (size_t i = 0; i < set.size(); ++i) {
    const auto low = static_cast<unsigned char>(set[i]);
    auto high = low;
    if (i + 2 < set.size() && set[i + 1] == '-') high = static_cast<unsigned char>(set[i += 2]);
    found |= static_cast<unsigned char>(c) >= low && static_cast<unsigned char>(c) <= high;
  }
  return found != negated;
}

template <class Visit>
void forEachComponent(std::string_view text, Visit visit) {
  while (true) {
    const size_t slash = std::min(text.find('/'), text.size());
    visit(text.substr(0, slash));
    if (slash == text.size()) return;
    text.remove_prefix(slash + 1);
  }
}

}  // namespace

const char* Glob::fault(std::string_view pattern) {
  const char* fault = nullptr;
  forEachComponent(pattern, [&](std::string_view part) {
    if (part != "**" && part.find("**") != kNone) fault = "** stands for whole components";
    for (size_t at = part.find('['); at != kNone; at = part.find('[', at)) {
      at = endOfSet(part, at);
      if (at == kNone) {
        fault = "a '[' is not closed";
        return;
      }
    }
  });
  return fault;
}

Glob::Glob(std::string_view pattern) {
  forEachComponent(pattern, [&](std::string_view part) {
    if (part == "**" && !components_.empty() && components_.back().any) return;
    components_.push_back({std::string(part), part.find_first_of("*?[") == kNone, part == "**"});
  });
  std::string run;
  bool inRun = false;
  for (const Component& component : components_) {
    if (!component.literal) {
      inRun = false;
      continue;
    }
    run = std::exchange(inRun, true) ? run + '/' + component.text : component.text;
    if (run.size() > literal_.size()) literal_ = run;
  }
}

bool Glob::matches(const Component& component, std::string_view text) {
  const std::string_view pattern = component.text;
  if (component.literal) return pattern == text;
  size_t p = 0, t = 0, star = kNone, starText = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      starText = t;
      continue;
    }
    bool same = false;
    size_t next = p + 1;
    if (p < pattern.size()) {
      if (pattern[p] == '[') {
        next = endOfSet(pattern, p);
        same = inSet(pattern.substr(p + 1, next - p - 2), text[t]);
      } else {
        same = pattern[p] == '?' || pattern[p] == text[t];
      }
    }
    if (same) {
      p = next;
      ++t;
    } else if (star != kNone) {
      p = star + 1;
      t = ++starText;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool Glob::matches(std::string_view text) const {
  const Component& last = components_.back();
  if (last.any && text.find(literal_) == kNone) return false;
  if (!last.any) {  // most are told apart by their last component
    const size_t slash = text.rfind('/');
    if (!matches(last, slash == kNone ? text : text.substr(slash + 1))) return false;
  }
  // `at` is where a component begins; beyond the end there is none.
  auto endOf = [&](size_t at) { return std::min(text.find('/', at), text.size()); };
  size_t p = 0, at = 0, star = kNone, starAt = 0;
  while (at <= text.size()) {
    if (p < components_.size() && components_[p].any) {
      if (p + 1 == components_.size()) return true;
      star = p++;
      starAt = at;
      continue;
    }
    const size_t end = endOf(at);
    if (p < components_.size() && matches(components_[p], text.substr(at, end - at))) {
      ++p;
      at = end + 1;
    } else if (star != kNone) {
      starAt = at = endOf(starAt) + 1;
      p = star + 1;
    } else {
      return false;
    }
  }
  return p == components_.size();
}

}  // namespace airr::policies
