#include "mediator/known_ranges.h"

#include <algorithm>
#include <iterator>

#include "schema/types.h"

namespace airr {

void KnownRanges::add(uint64_t start, uint64_t length) {
  uint64_t end = pageCeil(start + length);
  start = pageFloor(start);
  if (start >= end) return;
  auto at = ends_.upper_bound(start);
  if (at != ends_.begin() && std::prev(at)->second >= start) --at;
  while (at != ends_.end() && at->first <= end) {
    start = std::min(start, at->first);
    end = std::max(end, at->second);
    at = ends_.erase(at);
  }
  ends_.emplace_hint(at, start, end);
}

void KnownRanges::remove(uint64_t start, uint64_t length) {
  const uint64_t end = pageCeil(start + length);
  start = pageFloor(start);
  if (start >= end) return;
  auto at = ends_.upper_bound(start);
  if (at != ends_.begin() && std::prev(at)->second > start) --at;
  while (at != ends_.end() && at->first < end) {
    const auto [from, to] = *at;
    at = ends_.erase(at);
    if (from < start) ends_[from] = start;
    if (to > end) at = ends_.emplace(end, to).first;
  }
}

bool KnownRanges::covers(uint64_t start, uint64_t length) const {
  auto at = ends_.upper_bound(start);
  if (at == ends_.begin()) return false;
  --at;
  return at->second >= start && length <= at->second - start;
}

bool KnownRanges::touches(uint64_t start, uint64_t length) const {
  const uint64_t end = start + std::min(length, UINT64_MAX - start);
  auto at = ends_.lower_bound(end);
  return at != ends_.begin() && std::prev(at)->second > start;
}

}  // namespace airr
