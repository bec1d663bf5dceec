#include "replayer/checkpoint_chain.h"

#include "recorder/epoch.h"

namespace airr {

// The keys that the checkpoint of epoch_ certifies.
const char* CheckpointChain::certify(std::span<const PublicKey> keys) {
  const std::vector<uint64_t> epochs = certifiedBy(epoch_);
  if (keys.size() != epochs.size()) return "it does not certify the keys of the next epochs";
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto [known, isNew] = keys_.emplace(epochs[i], keys[i]);
    if (!isNew && known->second != keys[i]) {
      return "it certifies another key for an epoch than an earlier checkpoint";
    }
  }
  return nullptr;
}

const char* CheckpointChain::check(const Checkpoint& checkpoint, const Digest& frame,
                                   const Digest& tag, const Signature& signature) {
  if (checkpoint.epoch != epoch_ || checkpoint.previous != previous_) {
    return "it does not follow the checkpoint before it";
  }
  if (checkpoint.frames != tree_.count() || checkpoint.root != tree_.root()) {
    return "its hash tree is not that of the frames";
  }
  if (!verifies(keys_.at(epoch_), signedCheckpoint(frame, tag), signature)) {
    return "its signature does not match";
  }
  if (!checkpoint.totals) {
    if (const char* fault = certify(checkpoint.keys)) return fault;
  }
  keys_.erase(epoch_);
  ++epoch_;
  previous_ = frame;
  tree_.clear();
  return nullptr;
}

}  // namespace airr
