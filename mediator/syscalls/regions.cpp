#include <algorithm>
#include <cstddef>
#include <cstring>

#include "mediator/syscalls/extents.h"
#include "mediator/syscalls/sizes.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

constexpr uint64_t kMaxSized = kPageSize;  // copy_struct_from_user refuses more (E2BIG)

class Collector {
 public:
  Collector(MemoryReader& memory, std::vector<Region>& to)
      : memory_(memory), to_(to), limit_(to.size() + kMaxRegions) {}

  void add(Address start, uint64_t length) {
    length = std::min(length, kMaxRegionBytes);
    const bool wraps = start.value + length < start.value;
    if (start && length && !wraps && !full()) to_.push_back({start, length});
  }

  void input(const CallView&, size_t index);
  void output(const CallView&, size_t index, int64_t result, const Lengths&);

 private:
  bool full() const { return to_.size() >= limit_; }
  // With the NUL; as far as it can be read, at most `limit`.
  uint64_t stringLength(Address, uint64_t limit);
  void addStringArray(Address);
  void addVectors(Address array, uint64_t count, bool contents);
  void addFilled(Address array, uint64_t count, uint64_t bytes);
  void addMessage(Address header, bool sent);
  void addReceived(Address header, uint64_t bytes, uint64_t nameRoom);
  void addReceivedMany(Address array, uint64_t count);

  MemoryReader& memory_;
  std::vector<Region>& to_;
  const size_t limit_;
};

uint64_t Collector::stringLength(Address start, uint64_t limit) {
  char chunk[512];
  uint64_t length = 0;
  while (length < limit) {
    const uint64_t at = start.value + length;
    // Not across a page: the next one may not be there.
    const uint64_t size =
        std::min({limit - length, uint64_t{sizeof chunk}, kPageSize - at % kPageSize});
    if (!memory_.read({at}, chunk, size)) break;
    if (const void* end = std::memchr(chunk, 0, size)) {
      return length + static_cast<uint64_t>(static_cast<const char*>(end) - chunk) + 1;
    }
    length += size;
  }
  return length;
}

void Collector::addStringArray(Address array) {
  constexpr uint64_t kChunk = 64;
  uint64_t pointers[kChunk];
  // Reads pointers up to the end of a page at a time; false at the array's end.
  const auto readChunk = [&](uint64_t index, uint64_t& count) {
    const Address at = array + index * kLong;
    const uint64_t toPageEnd = (kPageSize - at.value % kPageSize) / kLong;
    count = std::clamp<uint64_t>(toPageEnd, 1, kChunk);
    return memory_.read(at, pointers, count * kLong);
  };
  constexpr uint64_t kMaxPointers = kMaxStringArrayBytes / kLong;

  uint64_t total = 0;
  bool ended = false;
  for (uint64_t count; !ended && total < kMaxPointers && readChunk(total, count);) {
    const uint64_t* end = std::find(pointers, pointers + count, 0);
    total += static_cast<uint64_t>(end - pointers);
    ended = end != pointers + count;
  }
  add(array, (total + (ended ? 1 : 0)) * kLong);

  uint64_t budget = kMaxStringArrayBytes;
  uint64_t index = 0;
  for (uint64_t count; index < total && budget && !full() && readChunk(index, count);) {
    for (uint64_t i = 0; i < count && index < total && budget && !full(); ++i, ++index) {
      const uint64_t length = stringLength({pointers[i]}, std::min(budget, kMaxString));
      add({pointers[i]}, length);
      budget -= std::min(budget, std::max<uint64_t>(length, 1));
    }
  }
}

void Collector::addVectors(Address array, uint64_t count, bool contents) {
  iovec vectors[kMaxVectors];
  if (count > kMaxVectors) return;
  if (contents && !readVectors(array, count, vectors, memory_)) return;
  add(array, count * kIoVec);
  if (!contents) return;
  uint64_t room = kMaxRegionBytes;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t length = std::min<uint64_t>(vectors[i].iov_len, room);
    add(addressOf(vectors[i].iov_base), length);
    room -= length;
  }
}

void Collector::addFilled(Address array, uint64_t count, uint64_t bytes) {
  iovec vectors[kMaxVectors];
  if (bytes == 0 || !readVectors(array, count, vectors, memory_)) return;
  for (uint64_t i = 0; i < count && bytes; ++i) {
    const uint64_t length = std::min<uint64_t>(vectors[i].iov_len, bytes);
    add(addressOf(vectors[i].iov_base), length);
    bytes -= length;
  }
}

void Collector::addMessage(Address at, bool sent) {
  msghdr header;
  if (!readValue(memory_, at, header)) return;
  add(at, kMsgHdr);
  if (sent) add(addressOf(header.msg_name), std::min<uint64_t>(header.msg_namelen, kSockAddr));
  addVectors(addressOf(header.msg_iov), header.msg_iovlen, sent);
  if (sent) add(addressOf(header.msg_control), header.msg_controllen);
}

void Collector::addReceived(Address at, uint64_t bytes, uint64_t nameRoom) {
  msghdr header;
  if (!readValue(memory_, at, header)) return;
  add(at + offsetof(msghdr, msg_namelen), sizeof header.msg_namelen);
  add(at + offsetof(msghdr, msg_controllen),
      sizeof header.msg_controllen + sizeof header.msg_flags);
  add(addressOf(header.msg_name), std::min<uint64_t>(header.msg_namelen, nameRoom));
  if (header.msg_control) add(addressOf(header.msg_control), header.msg_controllen);
  addFilled(addressOf(header.msg_iov), header.msg_iovlen, bytes);
}

void Collector::addReceivedMany(Address array, uint64_t count) {
  for (uint64_t i = 0; i < count && !full(); ++i) {
    const Address entry = array + i * kMMsgHdr;
    const Address length = entry + offsetof(mmsghdr, msg_len);
    uint32_t bytes = 0;
    if (!readValue(memory_, length, bytes)) return;
    addReceived(entry, bytes, kSockAddr);
    add(length, sizeof bytes);
  }
}

void Collector::input(const CallView& view, size_t index) {
  const Argument& argument = view.arguments()[index];
  const Address at = view.target(index);
  if (!at) return;
  const bool in = isInput(argument);
  switch (argument.size) {
    case Size::kNone:
      return;
    case Size::kIoVec:
      return addVectors(at, view.count(argument.by), in);
    case Size::kMsgHdr:
      return addMessage(at, in);
    case Size::kMMsgHdr: {
      const uint64_t count = std::min(view.count(argument.by), kMaxVectors);
      for (uint64_t i = 0; i < count && !full(); ++i) addMessage(at + i * kMMsgHdr, in);
      return;
    }
    case Size::kXattr: {
      struct {
        uint64_t value;
        uint32_t size;
        uint32_t flags;
      } arguments;
      static_assert(sizeof arguments == kXattrArgs);
      if (!readValue(memory_, at, arguments)) return;
      add(at, kXattrArgs);
      if (in) add({arguments.value}, arguments.size);
      return;
    }
    default:
      break;
  }
  if (!in) return;
  switch (argument.size) {
    case Size::kCString:
      return add(at, stringLength(at, kMaxString));
    case Size::kStringArray:
      return addStringArray(at);
    case Size::kSized: {
      uint32_t size = 0;
      if (readValue(memory_, at, size)) add(at, std::clamp<uint64_t>(size, kWord, kMaxSized));
      return;
    }
    case Size::kFileHandle: {
      uint32_t size = 0;
      if (isOutput(argument)) return add(at, kFileHandle);
      if (readValue(memory_, at, size)) add(at, kFileHandle + std::min(size, kMaxFileHandle));
      return;
    }
    case Size::kSigSetPair: {
      uint64_t pair[2];
      if (!readValue(memory_, at, pair)) return;
      add(at, sizeof pair);
      return add({pair[0]}, std::min<uint64_t>(pair[1], kSigSet));
    }
    case Size::kIfConf:
      return add(at, kIfConf);
    case Size::kFiemap:
      return add(at, kFiemap);
    default:
      return add(at, capacity(view, index, {}));
  }
}

void Collector::output(const CallView& view, size_t index, int64_t result, const Lengths& lengths) {
  const Argument& argument = view.arguments()[index];
  const Address at = view.target(index);
  if (!at || !isWritten(argument, result)) return;
  const uint64_t count = result > 0 ? static_cast<uint64_t>(result) : 0;
  switch (argument.size) {
    case Size::kNone:
      return;
    case Size::kIoVec:
      return addFilled(at, view.count(argument.by), count);
    case Size::kMsgHdr:
      return addReceived(at, count, std::min(lengths.value[index], kSockAddr));
    case Size::kMMsgHdr: {
      const uint64_t done = std::min({count, view.count(argument.by), kMaxVectors});
      if (argument.direction == Direction::kOut) return addReceivedMany(at, done);
      for (uint64_t i = 0; i < done; ++i) {
        add(at + i * kMMsgHdr + offsetof(mmsghdr, msg_len), kWord);
      }
      return;
    }
    case Size::kSized: {
      uint32_t size = 0;
      if (!readValue(memory_, at, size)) return;
      const uint64_t room = argument.by < 6 ? view.count(argument.by) : kMaxSized;
      return add(at, std::min<uint64_t>(std::max(size, kWord), room));
    }
    case Size::kFileHandle: {
      uint32_t size = 0;
      if (result >= 0 && !readValue(memory_, at, size)) return;
      return add(at, kFileHandle + std::min(size, kMaxFileHandle));
    }
    case Size::kXattr: {
      uint64_t value = 0;
      uint32_t size = 0;
      if (!readValue(memory_, at, value) || !readValue(memory_, at + kLong, size)) return;
      return add({value}, std::min<uint64_t>(count, size));
    }
    case Size::kIfConf: {
      int32_t length = 0;
      uint64_t buffer = 0;
      if (!readValue(memory_, at, length) || !readValue(memory_, at + kLong, buffer)) return;
      add(at, kIfConf);
      if (length > 0) add({buffer}, static_cast<uint64_t>(length));
      return;
    }
    case Size::kFiemap: {
      uint32_t counts[2];  // mapped extents, room for extents
      if (!readValue(memory_, at + 20, counts)) return;
      return add(at, kFiemap + std::min(counts[0], counts[1]) * uint64_t{kFiemapExtent});
    }
    default:
      return add(at, writtenBytes(view, index, result, lengths, memory_));
  }
}

}  // namespace

void inputRegions(const Syscall& syscall, const Call& call, MemoryReader& memory,
                  std::vector<Region>& to) {
  const CallView view(syscall, call);
  Collector collector(memory, to);
  for (size_t i = 0; i < view.arguments().size(); ++i) collector.input(view, i);
}

void outputRegions(const Syscall& syscall, const Call& call, int64_t result, const Lengths& lengths,
                   MemoryReader& memory, std::vector<Region>& to) {
  const CallView view(syscall, call);
  Collector collector(memory, to);
  for (size_t i = 0; i < view.arguments().size(); ++i) {
    collector.output(view, i, result, lengths);
  }
}

}  // namespace airr::syscalls
