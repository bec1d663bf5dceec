#include "mediator/facts/step.h"

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "mediator/facts/call_actions.h"
#include "mediator/facts/host_names.h"

namespace airr::facts {
namespace {

enum class Use : uint8_t {
  kNone,
  kAlways,
  kExecutable,  // argument 2 has PROT_EXEC
  kFcntl,       // it makes a descriptor
  kReceived,    // what came may be a name server's answer
};

constexpr size_t kSyscalls = 512;
constexpr size_t kChunk = 256 << 10;

const std::array<Use, kSyscalls>& uses() {
  static const std::array<Use, kSyscalls> table = [] {
    std::array<Use, kSyscalls> uses{};
    for (const syscalls::Syscall* call : syscalls::all()) {
      if (call->number >= kSyscalls) continue;
      if (canHaveActions(call->number))
        uses[call->number] =
            call->authority == syscalls::Authority::kCode ? Use::kExecutable : Use::kAlways;
    }
    // What the facts of later actions follow from.
    for (int number : {SYS_close, SYS_close_range, SYS_dup, SYS_dup2, SYS_dup3, SYS_pipe, SYS_pipe2,
                       SYS_accept, SYS_accept4, SYS_memfd_create, SYS_eventfd2, SYS_epoll_create1})
      uses[static_cast<size_t>(number)] = Use::kAlways;
    uses[SYS_fcntl] = Use::kFcntl;
    for (size_t number = 0; number < uses.size(); ++number)
      if (receivesNames(number)) uses[number] = Use::kReceived;
    return uses;
  }();
  return table;
}

// Where an event's struct has what tells the kind of event, and the number of a call.
struct EventLayout {
  uint32_t kind, number;  // in units of 16 bits
  uint32_t call;          // pointer
  EventLayout() {
    const auto event = capnp::Schema::from<schema::Event>();
    kind = event.getProto().getStruct().getDiscriminantOffset();
    call = event.getFieldByName("syscall").getProto().getSlot().getOffset();
    number = capnp::Schema::from<schema::Syscall>().getFieldByName("number").getProto().getSlot().getOffset();
  }
};

// A struct in the one segment of a message (capnproto.org/encoding.html). All is checked against the segment.
class RawStruct {
 public:
  // What the pointer at word `at` of the segment leads to, if it is a struct that lies in the segment.
  static std::optional<RawStruct> at(std::span<const uint64_t> segment, size_t at) {
    if (at >= segment.size()) return std::nullopt;
    const uint64_t pointer = segment[at];
    if (pointer == 0 || (pointer & 3) != 0) return std::nullopt;
    const int64_t start = static_cast<int64_t>(at) + 1 + (static_cast<int32_t>(pointer) >> 2);
    RawStruct found;
    found.dataWords_ = pointer >> 32 & 0xffff;
    found.pointers_ = pointer >> 48;
    if (start < 0 || static_cast<uint64_t>(start) > segment.size() ||
        segment.size() - static_cast<uint64_t>(start) < found.dataWords_ + found.pointers_)
      return std::nullopt;
    found.segment_ = segment;
    found.start_ = static_cast<size_t>(start);
    return found;
  }
  uint16_t value(uint32_t offset) const {
    return offset / 4 < dataWords_ ? static_cast<uint16_t>(segment_[start_ + offset / 4] >> offset % 4 * 16) : 0;
  }
  std::optional<RawStruct> structure(uint32_t pointer) const {
    if (pointer >= pointers_) return std::nullopt;
    return at(segment_, start_ + dataWords_ + pointer);
  }

 private:
  std::span<const uint64_t> segment_;
  size_t start_ = 0, dataWords_ = 0, pointers_ = 0;
};

// The first output of the call that holds bytes, if it is short.
capnp::Data::Reader outputOf(schema::Syscall::Reader call, size_t most) {
  for (auto write : call.getWrites()) {
    if (!write.isBytes()) continue;
    const auto bytes = write.getBytes();
    if (bytes.size() > 0 && bytes.size() <= most) return bytes;
  }
  return {};
}

}  // namespace

void StepList::clear() {
  steps_.clear();
  free_ = nullptr;
  left_ = 0;
  if (chunks_.empty()) return;
  chunks_.resize(1);  // is used again
  free_ = reinterpret_cast<uint8_t*>(chunks_[0].get());
  left_ = firstChunk_;
}

std::span<std::string_view> StepList::room(size_t words) {
  if (words == 0) return {};
  auto* first = static_cast<std::string_view*>(allocate(words * sizeof(std::string_view)));
  for (size_t i = 0; i < words; ++i) new (first + i) std::string_view();
  return {first, words};
}

void* StepList::allocate(size_t size) {
  size = (size + 7) & ~size_t{7};
  if (size > left_) {
    const size_t chunk = std::max(size, kChunk);
    if (chunks_.empty()) firstChunk_ = chunk;
    chunks_.emplace_back(new uint64_t[chunk / 8]);
    free_ = reinterpret_cast<uint8_t*>(chunks_.back().get());
    left_ = chunk;
  }
  void* result = free_;
  free_ += size;
  left_ -= size;
  return result;
}

std::string_view StepList::keep(const void* bytes, size_t size) {
  if (size == 0) return {};
  void* to = allocate(size);
  std::memcpy(to, bytes, size);
  return {static_cast<const char*>(to), size};
}

bool StepList::isPassedOver(std::span<const uint64_t> message) {
  static const EventLayout layout;
  // One segment: 0, and its size.
  if (message.empty() || message[0] != (message.size() - 1) << 32) return false;
  const auto event = RawStruct::at(message.subspan(1), 0);
  if (!event) return false;
  switch (event->value(layout.kind)) {
    case schema::Event::SYSCALL: {
      const auto call = event->structure(layout.call);
      if (!call) return false;
      const uint16_t number = call->value(layout.number);
      return number >= kSyscalls || uses()[number] == Use::kNone;
    }
    case schema::Event::EXEC:
    case schema::Event::TASK_EXIT:
    case schema::Event::DECISION:
    case schema::Event::POLICY:
      return false;
    default:
      return true;
  }
}

void StepList::add(uint64_t number, schema::Event::Reader event) {
  switch (event.which()) {
    case schema::Event::SYSCALL:
      return addCall(number, event);
    case schema::Event::EXEC:
      return addExec(number, event);
    case schema::Event::TASK_EXIT: {
      Step& step = steps_.emplace_back();
      step.kind = Step::Kind::kEnd;
      step.event = number;
      step.task = event.getTask();
      step.lastOfProcess = event.getTaskExit().getLastOfProcess();
      return;
    }
    case schema::Event::DECISION: {
      const auto words = capnp::canonicalize(event.getDecision());
      auto* copy = static_cast<uint64_t*>(allocate(words.size() * sizeof(uint64_t)));
      std::memcpy(copy, words.begin(), words.size() * sizeof(uint64_t));
      Step& step = steps_.emplace_back();
      step.kind = Step::Kind::kDecision;
      step.event = number;
      step.task = event.getTask();
      step.message = {copy, words.size()};
      return;
    }
    case schema::Event::POLICY: {
      const auto policy = event.getPolicy();
      auto* words = static_cast<std::string_view*>(allocate(5 * sizeof(std::string_view)));
      const capnp::Text::Reader texts[] = {policy.getName(), policy.getText(),
                                           policy.getWorkspace(), policy.getHome(),
                                           policy.getTemporary()};
      for (size_t i = 0; i < 5; ++i) new (words + i) std::string_view(keep(texts[i]));
      Step& step = steps_.emplace_back();
      step.kind = Step::Kind::kPolicy;
      step.event = number;
      step.words = {words, 5};
      return;
    }
    default:
      return;
  }
}

void StepList::addCall(uint64_t number, schema::Event::Reader event) {
  const auto call = event.getSyscall();
  const size_t nr = call.getNumber();
  const Use use = nr < kSyscalls ? uses()[nr] : Use::kNone;
  if (use == Use::kNone) return;
  const auto phase = static_cast<Step::Phase>(call.getPhase());
  std::string_view data;
  std::span<const std::string_view> words;
  // The beginning is kept: it has the descriptor.
  if (use == Use::kReceived && phase != Step::Phase::kEnter) {
    const ReceivedNames names = receivedNames(nr, call);
    if (names.pieces.empty()) return;
    words = keepAll(names.pieces);
    data = keep(names.sender.data(), names.sender.size());
  }
  const auto arguments = call.getArguments();
  if (use == Use::kExecutable && phase != Step::Phase::kLeave &&
      (arguments.size() < 3 || (arguments[2] & PROT_EXEC) == 0))
    return;
  if (use == Use::kFcntl && phase != Step::Phase::kLeave &&
      (arguments.size() < 2 || (arguments[1] != F_DUPFD && arguments[1] != F_DUPFD_CLOEXEC)))
    return;
  Step& step = steps_.emplace_back();
  step.event = number;
  step.task = event.getTask();
  step.phase = phase;
  step.refused = call.getHandling() == schema::Syscall::Handling::REFUSED;
  step.leadsNowhere = call.getLeadsNowhere();
  step.result = call.getResult();
  step.child = call.getChild();
  step.call.number = nr;
  for (unsigned i = 0; i < std::min(arguments.size(), 6u); ++i)
    step.call.arguments[i] = arguments[i];
  if (!step.refused) {
    step.path = keep(call.getPath());
    step.other = keep(call.getOtherPath());
  }
  if (nr == SYS_pipe || nr == SYS_pipe2 || nr == SYS_socketpair) {
    const auto bytes = outputOf(call, 8);
    data = keep(bytes.begin(), bytes.size());
  }
  step.data = data;
  step.words = words;
}

void StepList::addExec(uint64_t number, schema::Event::Reader event) {
  const auto exec = event.getExec();
  Step step;
  step.kind = Step::Kind::kExec;
  step.event = number;
  step.task = event.getTask();
  step.child = exec.getFormerTask();
  step.path = keep(exec.getPath());
  step.words = keepAll(exec.getArguments());
  for (auto region : exec.getRegions()) {
    if (region.getName() != exec.getPath() || !region.getMapping().isBlob()) continue;
    step.programBlob = region.getMapping().getBlob().getBlob();
    break;
  }
  steps_.push_back(step);
}

}  // namespace airr::facts
