// The small language in which the tables of syscalls and operations are written. A row reads as the
// kernel's prototype does:
//
//   row(0, "read", fd(), out("buf", result(2)), size("count")).blocks(),
//
// All of it is evaluated at compile time.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "mediator/syscalls/model.h"
#include "mediator/syscalls/names.h"
#include "mediator/syscalls/operations.h"
#include "mediator/syscalls/sizes.h"

namespace airr::syscalls {

// How many bytes a pointer covers.
struct Extent {
  Size size;
  uint8_t by = 255;
  uint32_t unit = 1;
};
constexpr Extent bytes(uint32_t count) { return {Size::kFixed, 255, count}; }
// Argument `by` counts items of `unit` bytes.
constexpr Extent counted(uint8_t by, uint32_t unit = 1) { return {Size::kArgument, by, unit}; }
// As many items as the result says, at most argument `by`.
constexpr Extent result(uint8_t by, uint32_t unit = 1) { return {Size::kResult, by, unit}; }
// Argument `by` points to the length.
constexpr Extent valueResult(uint8_t by) { return {Size::kValueResult, by}; }
constexpr Extent vectors(uint8_t by) { return {Size::kIoVec, by, sizes::kIoVec}; }
constexpr Extent messages(uint8_t by) { return {Size::kMMsgHdr, by, sizes::kMMsgHdr}; }

constexpr Argument plain(const char* name, Type type) { return {.name = name, .type = type}; }
constexpr Argument integer(const char* name) { return plain(name, Type::kInt); }
constexpr Argument offset(const char* name = "offset") { return plain(name, Type::kLong); }
constexpr Argument size(const char* name) { return plain(name, Type::kUnsigned); }
constexpr Argument flags(const char* name = "flags") { return plain(name, Type::kHex); }
constexpr Argument flags(const char* name, const Names& names) {
  return {.name = name, .type = Type::kHex, .names = &names};
}
constexpr Argument choice(const char* name, const Names& names) {
  return {.name = name, .type = Type::kInt, .names = &names};
}
constexpr Argument mode(const char* name = "mode") { return plain(name, Type::kOctal); }
constexpr Argument fd(const char* name = "fd") { return plain(name, Type::kFd); }
constexpr Argument dirFd(const char* name = "dirfd") { return plain(name, Type::kDirFd); }
constexpr Argument pid(const char* name = "pid") { return plain(name, Type::kPid); }
constexpr Argument signalNumber(const char* name = "sig") { return plain(name, Type::kSignal); }
constexpr Argument address(const char* name) { return plain(name, Type::kAddress); }

constexpr Argument path(const char* name = "path") {
  return {name, Type::kPath, Direction::kIn, Size::kCString};
}
constexpr Argument string(const char* name) {
  return {name, Type::kString, Direction::kIn, Size::kCString};
}
constexpr Argument pointer(const char* name, Direction direction, Extent extent) {
  return {name, Type::kPointer, direction, extent.size, extent.by, extent.unit};
}
constexpr Argument in(const char* name, Extent extent) {
  return pointer(name, Direction::kIn, extent);
}
constexpr Argument out(const char* name, Extent extent) {
  return pointer(name, Direction::kOut, extent);
}
constexpr Argument inOut(const char* name, Extent extent) {
  return pointer(name, Direction::kInOut, extent);
}
constexpr Argument in(const char* name, Size size) { return in(name, Extent{size}); }
constexpr Argument out(const char* name, Size size) { return out(name, Extent{size}); }
constexpr Argument inOut(const char* name, Size size) { return inOut(name, Extent{size}); }

// The kernel works on this very address.
constexpr Argument inPlace(Argument argument) {
  argument.type = Type::kAddress;
  return argument;
}
// Written whatever the result.
constexpr Argument always(Argument argument) {
  argument.outcome = Outcome::kAlways;
  return argument;
}
constexpr Argument onFailure(Argument argument) {
  argument.outcome = Outcome::kFailure;
  return argument;
}
constexpr Argument when(uint8_t index, uint32_t bits, Argument argument) {
  argument.onlyIf = index;
  argument.onlyIfBits = bits;
  return argument;
}

struct Row : Syscall {
  constexpr Row needs(Authority power) const {
    Row copy = *this;
    copy.authority = power;
    return copy;
  }
  constexpr Row replayedAs(Treatment how) const {
    Row copy = *this;
    copy.treatment = how;
    return copy;
  }
  constexpr Row blocks() const {
    Row copy = *this;
    copy.blocking = Blocking::kMaybe;
    return copy;
  }
  constexpr Row blocksUnless(uint8_t index, uint32_t bits) const {
    Row copy = blocks();
    copy.dontWait = index;
    copy.dontWaitBits = bits;
    return copy;
  }
  constexpr Row refused(int error, const char* why) const {
    Row copy = replayedAs(Treatment::kRefuse).noted(why);
    copy.refusal = error;
    return copy;
  }
  constexpr Row noted(const char* clause) const {
    Row copy = *this;
    copy.note = clause;
    return copy;
  }
  constexpr Row by(const Operations& table) const {
    Row copy = *this;
    copy.operations = &table;
    return copy;
  }
};

template <std::same_as<Argument>... Arguments>
constexpr Row row(uint16_t number, const char* name, Arguments... arguments) {
  return {{.number = number,
           .name = name,
           .argumentCount = sizeof...(arguments),
           .arguments = {arguments...}}};
}

// The tables, one a subject.
std::span<const Row> fileRows();
std::span<const Row> ioRows();
std::span<const Row> ipcRows();
std::span<const Row> memoryRows();
std::span<const Row> pollingRows();
std::span<const Row> processRows();
std::span<const Row> signalRows();
std::span<const Row> socketRows();
std::span<const Row> systemRows();
std::span<const Row> timeRows();

}  // namespace airr::syscalls
