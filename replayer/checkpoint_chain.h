// Follows the checkpoints of a trace from its header on: each must cover exactly the frames since
// the one before and be signed with the key that was certified for its epoch.
//
// Ownership: value type. Not thread-safe. Failure: as Sha256; what is wrong is a return value.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "recorder/frame.h"
#include "recorder/frame_tree.h"
#include "recorder/signing.h"

namespace airr {

class CheckpointChain {
 public:
  // `file`: digest of the file header. `first`: the key that it certifies.
  CheckpointChain(const Digest& file, const PublicKey& first)
      : previous_(file), keys_{{0, first}} {}

  // Any other frame than a checkpoint or seal.
  void add(const Digest& frame) { tree_.add(frame); }
  // What is wrong with a checkpoint or seal, whose digest and tag these are, or nullptr.
  const char* check(const Checkpoint& checkpoint, const Digest& frame, const Digest& tag,
                    const Signature& signature);
  uint64_t epoch() const { return epoch_; }

 private:
  const char* certify(std::span<const PublicKey> keys);

  uint64_t epoch_ = 0;
  Digest previous_;
  FrameTree tree_;
  std::map<uint64_t, PublicKey> keys_;  // of this epoch and later ones
};

}  // namespace airr
