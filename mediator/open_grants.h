// Names of files that every task of the session may open for reading, whatever else is true. They are in memory that
// the tasks have mapped for reading only, and the filter lets the gate open from there by itself (docs/gate.md).
//
// Names are added, or taken back; none becomes another. A name is whole before a task can see its first byte, and its
// first bytes are the only ones that go.
//
// Ownership: owns the memory and its descriptor. One thread. Failure: Error, if memory or descriptors run out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "recorder/gate/gate.h"
#include "schema/unique_fd.h"

namespace airr {

class OpenGrants {
 public:
  OpenGrants();
  OpenGrants(const OpenGrants&) = delete;
  OpenGrants& operator=(const OpenGrants&) = delete;
  ~OpenGrants();

  // AIRR_GATE_GRANTS and the names, that nobody can write any more but through this object.
  int memory() const { return memory_.get(); }
  static constexpr uint64_t kSize = AIRR_GATE_GRANTED_NAMES + AIRR_GATE_GRANTED_NAMES_SIZE - AIRR_GATE_GRANTS;

  // An absolute path. False: it is too long, or there is no room for more.
  bool add(std::string_view path);
  // Whether it has ever been granted.
  bool contains(std::string_view path) const { return numbers_.find(path) != numbers_.end(); }
  // From now on no task can open from there, whoever looks for it how; and it is not granted again.
  void takeBack(std::string_view path);
  void takeAllBack();
  // Gates find none from now on, but what is added again: what is there may have become something that a gate
  // cannot open as a task would.
  void hide();

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  uint64_t* at(uint32_t number) { return names_ + (number - 1) * (AIRR_GATE_NAME_SIZE / sizeof *names_); }
  void show(std::string_view path, uint32_t number);

  UniqueFd memory_;
  uint32_t* slots_ = nullptr;
  uint64_t* names_ = nullptr;
  bool any_ = false;  // in the slots
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> numbers_;  // by path
};

}  // namespace airr
