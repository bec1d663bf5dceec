// Moving a call's output memory to scratch memory and back.
//
// Vectors and message headers are moved with a copy of the original just before them, since the
// kernel reads them once, at the call's start, while siblings may change them during the call:
//
//   scratch: [original headers][headers that the kernel is given] … [data]
//
// All that is read back from scratch is bounded again: it lies in the tracee's own memory.
#include <algorithm>
#include <cstddef>
#include <optional>

#include "mediator/syscalls/extents.h"
#include "mediator/syscalls/sizes.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

constexpr uint64_t kAlignment = 16;
constexpr uint64_t kMaxControl = 64 << 10;  // more than any control message that Linux makes

constexpr uint64_t alignUp(uint64_t value) { return (value + kAlignment - 1) & ~(kAlignment - 1); }

bool copyMemory(MemoryAccess& memory, Address from, Address to, uint64_t size) {
  char chunk[16 << 10];
  while (size) {
    const uint64_t now = std::min<uint64_t>(size, sizeof chunk);
    if (!memory.read(from, chunk, now) || !memory.write(to, chunk, now)) return false;
    from = from + now;
    to = to + now;
    size -= now;
  }
  return true;
}

// Hands out scratch memory from its start on. Without `memory` it only measures.
class Scratch {
 public:
  Scratch(MemoryAccess* memory, Address start, uint64_t size)
      : memory_(memory), start_(start), size_(size) {}

  uint64_t used() const { return used_; }
  uint64_t left() const { return size_ - used_; }

  std::optional<Address> take(uint64_t bytes) {
    if (bytes > left() || alignUp(bytes) > left()) return std::nullopt;
    const Address at = start_ + used_;
    used_ += alignUp(bytes);
    return at;
  }
  bool copyIn(Address from, Address to, uint64_t size) {
    return !memory_ || copyMemory(*memory_, from, to, size);
  }
  bool put(Address to, const void* from, uint64_t size) {
    return !memory_ || size == 0 || memory_->write(to, from, size);
  }

 private:
  MemoryAccess* memory_;
  Address start_;
  uint64_t size_;
  uint64_t used_ = 0;
};

// These may give less than was asked for. (mq_timedreceive and msgrcv fail instead.)
bool mayGiveLess(const Syscall& syscall) {
  switch (syscall.number) {
    case 0:    // read
    case 45:   // recvfrom
    case 232:  // epoll_wait
    case 281:  // epoll_pwait
    case 441:  // epoll_pwait2
      return true;
    default:
      return false;
  }
}

// Rewrites the arguments of a call so that its outputs go to scratch memory.
class Mover {
 public:
  Mover(const Syscall& syscall, const Call& call, MemoryReader& reader, Scratch scratch)
      : syscall_(syscall), view_(syscall, call), reader_(reader), scratch_(scratch), moved_(call) {}

  // False if something did not fit or could not be read; nothing is to be redirected then.
  bool move();
  bool movedAny() const { return movedAny_; }
  const Call& call() const { return moved_; }
  uint64_t used() const { return scratch_.used(); }

 private:
  bool isElastic(const Argument&) const;
  bool moveArgument(size_t index);
  bool movePlain(size_t index, uint64_t room);
  bool moveElastic(size_t index, uint64_t room);
  bool moveVectors(Address& array, uint64_t& count, bool whole);
  bool moveMessage(Address original, Address copy, bool whole);
  bool moveMessages(size_t index);
  bool moveLengths(size_t index);

  const Syscall& syscall_;
  const CallView view_;
  MemoryReader& reader_;
  Scratch scratch_;
  Call moved_;
  Lengths lengths_;
  bool movedAny_ = false;
};

// Data of any size comes last, since it takes what is left.
bool Mover::isElastic(const Argument& argument) const {
  switch (argument.size) {
    case Size::kIoVec:
    case Size::kMsgHdr:
    case Size::kMMsgHdr:
      return true;
    case Size::kResult:
      return mayGiveLess(syscall_);
    default:
      return false;
  }
}

bool Mover::move() {
  lengths_ = noteLengths(syscall_, view_.call(), reader_);
  for (const bool elastic : {false, true}) {
    for (size_t i = 0; i < view_.arguments().size(); ++i) {
      const Argument& argument = view_.arguments()[i];
      const bool isMovable = isOutput(argument) && argument.type == Type::kPointer;
      if (!isMovable || !view_.target(i) || isElastic(argument) != elastic) continue;
      if (!moveArgument(i)) return false;
    }
  }
  return true;
}

bool Mover::moveArgument(size_t index) {
  const Argument& argument = view_.arguments()[index];
  const Address at = view_.target(index);
  switch (argument.size) {
    case Size::kIoVec: {
      Address array = at;
      uint64_t count = view_.count(argument.by);
      if (!moveVectors(array, count, false)) return false;
      moved_.arguments[index] = array.value;
      moved_.arguments[argument.by] = count;
      movedAny_ = true;
      return true;
    }
    case Size::kMsgHdr: {
      const auto pair = scratch_.take(2 * kMsgHdr);
      if (!pair || !scratch_.copyIn(at, *pair, kMsgHdr)) return false;
      if (!moveMessage(at, *pair + kMsgHdr, false)) return false;
      moved_.arguments[index] = (*pair + kMsgHdr).value;
      movedAny_ = true;
      return true;
    }
    case Size::kMMsgHdr:
      return argument.direction == Direction::kOut ? moveMessages(index) : moveLengths(index);
    case Size::kFixed:
    case Size::kArgument:
    case Size::kFdSet:
    case Size::kPollFds:
    case Size::kMessage:
      return movePlain(index, capacity(view_, index, lengths_));
    case Size::kValueResult:
      return movePlain(index, std::min<uint64_t>(capacity(view_, index, lengths_), kSockAddr));
    case Size::kResult: {
      const uint64_t room = capacity(view_, index, lengths_);
      return mayGiveLess(syscall_) ? moveElastic(index, room) : movePlain(index, room);
    }
    default:
      return false;
  }
}

bool Mover::movePlain(size_t index, uint64_t room) {
  if (room == 0) return true;
  if (room > kMaxRegionBytes) return false;
  const Argument& argument = view_.arguments()[index];
  const auto at = scratch_.take(room);
  if (!at) return false;
  // What the kernel leaves alone must come back as it was.
  const bool isExact = argument.size == Size::kResult || argument.size == Size::kMessage ||
                       argument.size == Size::kValueResult;
  if (!isExact && !scratch_.copyIn(view_.target(index), *at, room)) return false;
  moved_.arguments[index] = at->value;
  movedAny_ = true;
  return true;
}

bool Mover::moveElastic(size_t index, uint64_t room) {
  if (room == 0) return true;
  const Argument& argument = view_.arguments()[index];
  const uint64_t wanted = std::min(room, kMaxRegionBytes);
  const uint64_t given =
      std::min(wanted, scratch_.left() / kAlignment * kAlignment) / argument.unit * argument.unit;
  const auto at = scratch_.take(given);
  if (given == 0 || !at) return false;
  moved_.arguments[index] = at->value;
  if (given < room) moved_.arguments[argument.by] = given / argument.unit;
  movedAny_ = true;
  return true;
}

bool Mover::moveVectors(Address& array, uint64_t& count, bool whole) {
  iovec vectors[kMaxVectors];
  if (!readVectors(array, count, vectors, reader_)) return false;
  if (count == 0) return true;
  const uint64_t bytes = count * kIoVec;
  const auto headers = scratch_.take(2 * bytes);
  if (!headers || !scratch_.put(*headers, vectors, bytes)) return false;

  uint64_t total = 0;
  uint64_t kept = 0;
  for (bool cut = false; kept < count && !cut; ++kept) {
    iovec& vector = vectors[kept];
    if (vector.iov_len > INT64_MAX) return false;  // EINVAL
    uint64_t length = std::min(vector.iov_len, kMaxRegionBytes - total);
    if (length > scratch_.left() / kAlignment * kAlignment) {
      if (whole) return false;
      length = scratch_.left() / kAlignment * kAlignment;
      if (length == 0) break;
      cut = true;
    }
    const auto at = scratch_.take(length);
    if (!at) return false;
    vector = {pointerTo(*at), length};
    total += length;
  }
  if (kept < count && total == 0) return false;  // would look like the end of the file
  array = *headers + bytes;
  count = kept;
  return scratch_.put(array, vectors, kept * kIoVec);
}

bool Mover::moveMessage(Address original, Address copy, bool whole) {
  msghdr header;
  if (!readValue(reader_, original, header)) return false;
  if (header.msg_namelen > INT32_MAX) return false;  // EINVAL
  if (header.msg_name) {
    header.msg_namelen = std::min(header.msg_namelen, kSockAddr);
    const auto name = scratch_.take(header.msg_namelen);
    if (!name || !scratch_.copyIn(addressOf(header.msg_name), *name, header.msg_namelen)) {
      return false;
    }
    header.msg_name = pointerTo(*name);
  }
  if (header.msg_control) {
    header.msg_controllen = std::min(header.msg_controllen, kMaxControl);
    const auto control = scratch_.take(header.msg_controllen);
    if (!control ||
        !scratch_.copyIn(addressOf(header.msg_control), *control, header.msg_controllen)) {
      return false;
    }
    header.msg_control = pointerTo(*control);
  }
  Address vectors = addressOf(header.msg_iov);
  uint64_t count = header.msg_iovlen;
  if (!moveVectors(vectors, count, whole)) return false;
  header.msg_iov = static_cast<iovec*>(pointerTo(vectors));
  header.msg_iovlen = count;
  return scratch_.put(copy, &header, sizeof header);
}

bool Mover::moveMessages(size_t index) {
  const uint8_t by = view_.arguments()[index].by;
  const Address original = view_.target(index);
  const uint64_t count = std::min(view_.count(by), kMaxVectors);
  if (count == 0) return true;
  const uint64_t bytes = count * kMMsgHdr;
  const auto headers = scratch_.take(2 * bytes);
  if (!headers || !scratch_.copyIn(original, *headers, bytes) ||
      !scratch_.copyIn(original, *headers + bytes, bytes)) {
    return false;
  }
  uint64_t kept = 0;
  for (; kept < count; ++kept) {
    // The first message may be cut to what fits, as recvmsg's; those after it are left for later.
    const Scratch before = scratch_;
    const uint64_t offset = kept * kMMsgHdr;
    if (!moveMessage(original + offset, *headers + bytes + offset, kept > 0)) {
      scratch_ = before;
      break;
    }
  }
  if (kept == 0) return false;
  moved_.arguments[index] = (*headers + bytes).value;
  moved_.arguments[by] = kept;
  movedAny_ = true;
  return true;
}

// sendmmsg: only the headers' msg_len are outputs.
bool Mover::moveLengths(size_t index) {
  const uint64_t count = std::min(view_.count(view_.arguments()[index].by), kMaxVectors);
  if (count == 0) return true;
  const auto headers = scratch_.take(count * kMMsgHdr);
  if (!headers || !scratch_.copyIn(view_.target(index), *headers, count * kMMsgHdr)) return false;
  moved_.arguments[index] = headers->value;
  movedAny_ = true;
  return true;
}

// Brings the outputs of a redirected call home.
class Returner {
 public:
  Returner(const Syscall& syscall, const Call& original, const Call& moved, int64_t result,
           const Lengths& lengths, MemoryAccess& memory)
      : original_(syscall, original),
        moved_(syscall, moved),
        result_(result),
        lengths_(lengths),
        memory_(memory) {}

  bool copyArgument(size_t index);

 private:
  uint64_t resultCount() const { return result_ > 0 ? static_cast<uint64_t>(result_) : 0; }
  bool copyRevents(Address from, Address to, uint64_t count);
  // `saved`: the original vectors, `moved`: those that the kernel was given.
  bool copyVectors(Address saved, Address moved, uint64_t count, uint64_t bytes);
  bool copyMessage(Address to, Address savedAt, Address movedAt, uint64_t bytes);

  const CallView original_;
  const CallView moved_;
  const int64_t result_;
  const Lengths& lengths_;
  MemoryAccess& memory_;
};

bool Returner::copyArgument(size_t index) {
  const Argument& argument = original_.arguments()[index];
  const Address to = original_.target(index);
  const Address from = moved_.target(index);
  if (to == from || !isWritten(argument, result_)) return true;
  switch (argument.size) {
    case Size::kPollFds:
      return copyRevents(from, to, moved_.count(argument.by));
    case Size::kIoVec: {
      const uint64_t savedBytes = original_.count(argument.by) * kIoVec;
      return copyVectors(from - savedBytes, from, moved_.count(argument.by), resultCount());
    }
    case Size::kMsgHdr:
      return copyMessage(to, from - kMsgHdr, from, resultCount());
    case Size::kMMsgHdr: {
      const uint64_t savedBytes = std::min(original_.count(argument.by), kMaxVectors) * kMMsgHdr;
      const uint64_t done = std::min({resultCount(), moved_.count(argument.by), kMaxVectors});
      bool whole = true;
      for (uint64_t i = 0; i < done; ++i) {
        const uint64_t at = i * kMMsgHdr;
        const uint64_t lengthAt = at + offsetof(mmsghdr, msg_len);
        uint32_t bytes = 0;
        if (!readValue(memory_, from + lengthAt, bytes)) return false;
        if (argument.direction == Direction::kOut) {
          whole &= copyMessage(to + at, from + at - savedBytes, from + at, bytes);
        }
        whole &= memory_.write(to + lengthAt, &bytes, sizeof bytes);
      }
      return whole;
    }
    default: {
      uint64_t bytes = writtenBytes(moved_, index, result_, lengths_, memory_);
      if (argument.size == Size::kValueResult) bytes = std::min<uint64_t>(bytes, kSockAddr);
      return copyMemory(memory_, from, to, bytes);
    }
  }
}

// A sibling may have changed the other fields meanwhile.
bool Returner::copyRevents(Address from, Address to, uint64_t count) {
  struct PollFd {
    int32_t fd;
    int16_t events;
    int16_t revents;
  };
  static_assert(sizeof(PollFd) == kPollFd);
  constexpr uint64_t kChunk = 256;
  PollFd polled[kChunk];
  PollFd current[kChunk];
  while (count) {
    const uint64_t now = std::min(count, kChunk);
    const uint64_t bytes = now * kPollFd;
    if (!memory_.read(from, polled, bytes) || !memory_.read(to, current, bytes)) return false;
    for (uint64_t i = 0; i < now; ++i) current[i].revents = polled[i].revents;
    if (!memory_.write(to, current, bytes)) return false;
    from = from + bytes;
    to = to + bytes;
    count -= now;
  }
  return true;
}

bool Returner::copyVectors(Address saved, Address moved, uint64_t count, uint64_t bytes) {
  iovec targets[kMaxVectors];
  iovec sources[kMaxVectors];
  if (bytes == 0) return true;
  if (!readVectors(saved, count, targets, memory_) ||
      !readVectors(moved, count, sources, memory_)) {
    return false;
  }
  for (uint64_t i = 0; i < count && bytes; ++i) {
    const uint64_t length = std::min<uint64_t>({bytes, sources[i].iov_len, targets[i].iov_len});
    if (!copyMemory(memory_, addressOf(sources[i].iov_base), addressOf(targets[i].iov_base),
                    length)) {
      return false;
    }
    bytes -= length;
  }
  return true;
}

bool Returner::copyMessage(Address to, Address savedAt, Address movedAt, uint64_t bytes) {
  msghdr saved;
  msghdr moved;
  if (!readValue(memory_, savedAt, saved) || !readValue(memory_, movedAt, moved)) return false;
  const uint64_t name = std::min({saved.msg_namelen, moved.msg_namelen, kSockAddr});
  const uint64_t control = std::min({saved.msg_controllen, moved.msg_controllen, kMaxControl});
  const auto copyField = [&](size_t offset, const auto& value) {
    return memory_.write(to + offset, &value, sizeof value);
  };
  bool whole = copyField(offsetof(msghdr, msg_namelen), moved.msg_namelen) &&
               copyField(offsetof(msghdr, msg_controllen), moved.msg_controllen) &&
               copyField(offsetof(msghdr, msg_flags), moved.msg_flags);
  if (saved.msg_name) {
    whole &= copyMemory(memory_, addressOf(moved.msg_name), addressOf(saved.msg_name), name);
  }
  if (saved.msg_control) {
    whole &=
        copyMemory(memory_, addressOf(moved.msg_control), addressOf(saved.msg_control), control);
  }
  if (bytes == 0) return whole;
  const uint64_t savedBytes = saved.msg_iovlen * kIoVec;
  const Address vectors = addressOf(moved.msg_iov);
  return copyVectors(vectors - savedBytes, vectors, moved.msg_iovlen, bytes) && whole;
}

}  // namespace

uint64_t scratchSize(const Syscall& syscall, const Call& call, MemoryReader& memory) {
  if (!mayBlock(syscall, call)) return 0;
  constexpr uint64_t kUnlimited = uint64_t{1} << 40;
  Mover mover(syscall, call, memory, Scratch(nullptr, {}, kUnlimited));
  return mover.move() && mover.movedAny() ? mover.used() : 0;
}

Redirect redirect(const Syscall& syscall, const Call& call, MemoryAccess& memory, Address scratch,
                  uint64_t size) {
  const Redirect unchanged{call, false};
  if (!mayBlock(syscall, call)) return unchanged;
  const Address start{alignUp(scratch.value)};
  const uint64_t lost = start - scratch;
  if (size < lost) return unchanged;
  Mover mover(syscall, call, memory, Scratch(&memory, start, size - lost));
  if (!mover.move() || !mover.movedAny()) return unchanged;
  return {mover.call(), true};
}

bool copyBack(const Syscall& syscall, const Call& original, const Redirect& redirect,
              int64_t result, const Lengths& lengths, MemoryAccess& memory) {
  if (!redirect.active) return true;
  Returner returner(syscall, original, redirect.call, result, lengths, memory);
  bool whole = true;
  for (size_t i = 0; i < syscall.argumentCount; ++i) whole &= returner.copyArgument(i);
  return whole;
}

}  // namespace airr::syscalls
