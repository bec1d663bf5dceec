// What a decision needs of an event, and nothing else: the form in which a trace is judged.
//
// Steps point into the arena of the StepList that made them, which must outlive them. A StepList is
// filled by one thread. add() throws kj::Exception for a malformed event.
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "mediator/syscalls/model.h"

namespace airr::facts {

struct Step {
  enum class Kind : uint8_t { kCall, kExec, kEnd, kDecision, kPolicy };
  enum class Phase : uint8_t { kWhole, kEnter, kLeave };
  Kind kind = Kind::kCall;
  Phase phase = Phase::kWhole;
  bool refused = false;       // the mediator kept it from running
  bool leadsNowhere = false;  // a name's directory was not found: there was nothing to decide on
  bool lastOfProcess = false;
  uint32_t task = 0;
  uint32_t child = 0;  // kCall: the new task; kExec: the task that called execve
  uint64_t event = 0;  // its number in the trace
  int64_t result = 0;
  syscalls::Call call;
  std::string_view path, other;
  std::string_view data;  // memory that the call wrote, where it tells what a descriptor is
  // kExec: argv; kPolicy: name, text and variables; kCall: what it received about names of hosts, `data`
  // being the sender's address then.
  std::span<const std::string_view> words;
  uint32_t programBlob = UINT32_MAX;        // kExec: the blob of the program, if it is whole
  std::span<const uint64_t> message;        // kDecision: the one segment of a message of it
};

class StepList {
 public:
  // Whether a message (as in a stream, whole) is surely an event without a step: a look at its first
  // words, which spares a reader. False for one that is not laid out as usual.
  static bool isPassedOver(std::span<const uint64_t> message);
  // Adds the event's step if it has one.
  void add(uint64_t number, schema::Event::Reader event);
  void clear();
  // For who has steps already: an empty one, and room for its words. What they point to is the caller's.
  Step& append() { return steps_.emplace_back(); }
  std::span<std::string_view> room(size_t words);

  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::string_view keep(capnp::Text::Reader text) { return keep(text.begin(), text.size()); }
  std::string_view keep(const void* bytes, size_t size);
  template <class Texts>
  std::span<const std::string_view> keepAll(const Texts& texts) {
    auto* words = static_cast<std::string_view*>(allocate(texts.size() * sizeof(std::string_view) + 8));
    for (unsigned i = 0; i < texts.size(); ++i) new (words + i) std::string_view(keep(texts[i].begin(), texts[i].size()));
    return {words, texts.size()};
  }
  void* allocate(size_t size);
  void addCall(uint64_t number, schema::Event::Reader event);
  void addExec(uint64_t number, schema::Event::Reader event);

  std::vector<Step> steps_;
  std::vector<std::unique_ptr<uint64_t[]>> chunks_;
  uint8_t* free_ = nullptr;
  size_t left_ = 0;
  size_t firstChunk_ = 0;  // bytes
};

}  // namespace airr::facts
