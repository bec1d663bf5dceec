// The hash tree over the frames of an epoch (docs/trace-format.md), from which one frame can be
// proved without the others. A node is the SHA-256 of its children, at most kFanOut of them, so
// that hashing it costs little: half a block of SHA-256 for each frame.
//
// Ownership: value types. Not thread-safe. Failure: as Sha256.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "recorder/digest.h"

namespace airr {

class FrameTree {
 public:
  static constexpr size_t kFanOut = 16;

  void add(const Digest& frame);
  uint64_t count() const { return count_; }
  // The root over what was added; of nothing, 32 zero bytes.
  Digest root();
  void clear();

 private:
  Digest node(std::span<const Digest> children);

  Sha256 hash_;
  std::vector<std::vector<Digest>> levels_;  // nodes that have no parent yet; at most kFanOut - 1
  uint64_t count_ = 0;
};

// What leads from one frame to the root: for each level, from below, the other children of the
// node's parent, in their order.
using FramePath = std::vector<std::vector<Digest>>;

FramePath framePath(std::span<const Digest> frames, uint64_t index);
// The root that the path leads to, or nothing if the path has not the shape that a tree of `count`
// frames has at `index`.
std::optional<Digest> rootOf(const Digest& frame, uint64_t index, uint64_t count,
                             const FramePath& path);

}  // namespace airr
