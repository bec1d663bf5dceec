#include "recorder/frame_tree.h"

#include <algorithm>

namespace airr {
namespace {

Bytes bytesOf(std::span<const Digest> digests) {
  return {reinterpret_cast<const uint8_t*>(digests.data()), digests.size_bytes()};
}

// The node's siblings: [first, first + size) of its level, itself included.
struct Family {
  uint64_t first, size;
};

Family familyOf(uint64_t index, uint64_t count) {
  const uint64_t first = index - index % FrameTree::kFanOut;
  return {first, std::min<uint64_t>(FrameTree::kFanOut, count - first)};
}

uint64_t parents(uint64_t count) { return (count + FrameTree::kFanOut - 1) / FrameTree::kFanOut; }

}  // namespace

Digest FrameTree::node(std::span<const Digest> children) {
  hash_.update(bytesOf(children));
  return hash_.finish();
}

void FrameTree::add(const Digest& frame) {
  ++count_;
  Digest next = frame;
  for (size_t level = 0;; ++level) {
    if (level == levels_.size()) levels_.emplace_back().reserve(kFanOut);
    levels_[level].push_back(next);
    if (levels_[level].size() < kFanOut) return;
    next = node(levels_[level]);
    levels_[level].clear();
  }
}

Digest FrameTree::root() {
  std::optional<Digest> last;  // the rightmost node of the level, which has fewer children
  uint64_t width = count_;
  for (size_t level = 0; width > 0; ++level) {
    std::vector<Digest> nodes;
    if (level < levels_.size()) nodes = levels_[level];
    if (last) nodes.push_back(*last);
    if (level > 0 && width == 1) return nodes.back();
    last.reset();
    if (!nodes.empty()) last = node(nodes);
    width = parents(width);
  }
  return {};
}

void FrameTree::clear() {
  levels_.clear();
  count_ = 0;
}

FramePath framePath(std::span<const Digest> frames, uint64_t index) {
  FramePath path;
  std::vector<Digest> level(frames.begin(), frames.end());
  do {
    const Family family = familyOf(index, level.size());
    std::vector<Digest>& others = path.emplace_back();
    for (uint64_t i = 0; i < family.size; ++i) {
      if (family.first + i != index) others.push_back(level[family.first + i]);
    }
    std::vector<Digest> above;
    for (uint64_t first = 0; first < level.size(); first += FrameTree::kFanOut) {
      above.push_back(
          sha256(bytesOf(std::span(level).subspan(first, familyOf(first, level.size()).size))));
    }
    level = std::move(above);
    index /= FrameTree::kFanOut;
  } while (level.size() > 1);
  return path;
}

std::optional<Digest> rootOf(const Digest& frame, uint64_t index, uint64_t count,
                             const FramePath& path) {
  if (index >= count) return std::nullopt;
  Digest node = frame;
  for (const std::vector<Digest>& others : path) {
    const Family family = familyOf(index, count);
    if (others.size() + 1 != family.size) return std::nullopt;
    std::vector<Digest> children = others;
    children.insert(children.begin() + static_cast<ptrdiff_t>(index - family.first), node);
    node = sha256(bytesOf(children));
    index /= FrameTree::kFanOut;
    count = parents(count);
    if (count == 1) return &others == &path.back() ? std::optional(node) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace airr
