// A map that forgets: what was entered or found lately is there, and its memory has a bound.
//
// Two generations: when the young one has `kGeneration` entries it becomes the old one, and what was
// the old one is forgotten. What is found in the old one is entered in the young one again.
//
// Ownership: owns its entries. Threading: all calls from one thread. Failure: std::bad_alloc.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

namespace airr {

template <typename Key, typename Value, typename Hash>
class RecentMap {
 public:
  static constexpr size_t kGeneration = 8192;

  // Null: unknown, or forgotten. Valid until the next call.
  const Value* find(const Key& key) {
    if (auto found = young_.find(key); found != young_.end()) return &found->second;
    auto found = old_.find(key);
    if (found == old_.end()) return nullptr;
    return &enter(key, found->second);
  }

  // Does nothing if the key is there.
  void emplace(const Key& key, Value value) {
    if (find(key) == nullptr) enter(key, std::move(value));
  }

 private:
  using Generation = std::unordered_map<Key, Value, Hash>;

  const Value& enter(const Key& key, Value value) {
    if (young_.size() >= kGeneration) {
      old_ = std::move(young_);
      young_ = Generation();
    }
    return young_.emplace(key, std::move(value)).first->second;
  }

  Generation young_, old_;
};

}  // namespace airr
