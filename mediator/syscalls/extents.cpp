#include "mediator/syscalls/extents.h"

#include <algorithm>
#include <cstddef>

#include "mediator/syscalls/sizes.h"

namespace airr::syscalls {
namespace {

// Any more is as good as unlimited; far from wrapping when added up.
constexpr uint64_t kSaturated = uint64_t{1} << 48;

uint64_t times(uint64_t count, uint64_t unit) {
  return unit && count > kSaturated / unit ? kSaturated : std::min(count * unit, kSaturated);
}

// Bits, in whole longs, in bytes.
uint64_t bitBytes(uint64_t bits) {
  return std::min(bits, kSaturated) / 64 * 8 + (bits % 64 ? 8 : 0);
}

}  // namespace

Address CallView::target(size_t index) const {
  const Argument& argument = arguments_[index];
  if (argument.direction == Direction::kNone || !isPresent(argument, call_)) return {};
  return {call_.arguments[index]};
}

uint64_t CallView::count(uint8_t index) const {
  if (index >= arguments_.size()) return 0;
  const Argument& argument = arguments_[index];
  const uint64_t value = valueOf(argument, call_.arguments[index]);
  return argument.type == Type::kInt && static_cast<int64_t>(value) < 0 ? 0 : value;
}

bool isInput(const Argument& argument) {
  return argument.direction == Direction::kIn || argument.direction == Direction::kInOut;
}

bool isOutput(const Argument& argument) {
  return argument.direction == Direction::kOut || argument.direction == Direction::kInOut;
}

bool isWritten(const Argument& argument, int64_t result) {
  if (!isOutput(argument)) return false;
  switch (argument.outcome) {
    case Outcome::kSuccess:
      return result >= 0;
    case Outcome::kFailure:
      return result < 0;
    case Outcome::kAlways:
      return true;
  }
  return true;
}

uint64_t capacity(const CallView& view, size_t index, const Lengths& lengths) {
  const Argument& argument = view.arguments()[index];
  switch (argument.size) {
    case Size::kFixed:
      return argument.unit;
    case Size::kArgument:
    case Size::kPollFds:
      return times(view.count(argument.by), argument.unit);
    case Size::kResult:
      return argument.by < 6 ? times(view.count(argument.by), argument.unit) : kSaturated;
    case Size::kValueResult:
      return argument.by < 6 ? lengths.value[argument.by] : 0;
    case Size::kFdSet:
      return bitBytes(view.count(0));
    case Size::kPages:
      return std::min(view.count(argument.by), kSaturated) / kPageSize +
             (view.count(argument.by) % kPageSize ? 1 : 0);
    case Size::kNodeMask: {
      const uint64_t bits = view.count(argument.by);
      return bits ? bitBytes(bits - 1) : 0;  // mm/mempolicy.c, get_nodes()
    }
    case Size::kMessage:
      return sizes::kLong + std::min(view.count(argument.by), kSaturated);
    default:
      return 0;
  }
}

uint64_t writtenBytes(const CallView& view, size_t index, int64_t result, const Lengths& lengths,
                      MemoryReader& memory) {
  const Argument& argument = view.arguments()[index];
  const uint64_t room = capacity(view, index, lengths);
  const uint64_t count = result > 0 ? static_cast<uint64_t>(result) : 0;
  switch (argument.size) {
    case Size::kResult:
      return std::min(times(count, argument.unit), room);
    case Size::kMessage:
      return std::min(sizes::kLong + count, room);
    case Size::kValueResult: {
      uint32_t length = 0;
      if (room == 0 || !readValue(memory, {view.call().arguments[argument.by]}, length)) return 0;
      return std::min<uint64_t>(length, room);
    }
    default:
      return room;
  }
}

bool readVectors(Address from, uint64_t count, iovec (&to)[kMaxVectors], MemoryReader& memory) {
  return count <= kMaxVectors && (count == 0 || memory.read(from, to, count * sizeof(iovec)));
}

Lengths noteLengths(const Syscall& syscall, const Call& call, MemoryReader& memory) {
  Lengths lengths;
  const CallView view(syscall, call);
  for (size_t i = 0; i < view.arguments().size(); ++i) {
    const Argument& argument = view.arguments()[i];
    if (!isOutput(argument) || !view.target(i)) continue;
    if (argument.size == Size::kValueResult && argument.by < 6) {
      const Address length{call.arguments[argument.by]};
      if (length && !readValue(memory, length, lengths.value[argument.by])) {
        lengths.value[argument.by] = 0;
      }
    } else if (argument.size == Size::kMsgHdr &&
               !readValue(memory, view.target(i) + offsetof(msghdr, msg_namelen),
                          lengths.value[i])) {
      lengths.value[i] = 0;
    }
  }
  return lengths;
}

}  // namespace airr::syscalls
