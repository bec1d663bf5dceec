// The vocabulary of airr: strong types for what the kernel numbers with plain integers.
//
// Value types; no ownership, usable from any thread, nothing here fails.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>

namespace airr {

// A kernel thread id as the mediator's pid namespace sees it. A process is named by its leader's.
enum class Tid : pid_t {};
constexpr pid_t raw(Tid tid) { return static_cast<pid_t>(tid); }

// A descriptor number in a tracee. The mediator's own descriptors are UniqueFd.
enum class TraceeFd : int {};
constexpr int raw(TraceeFd fd) { return static_cast<int>(fd); }

// The number of a task in its session: counts from 1, never reused, the same in record and replay.
enum class TaskId : uint32_t { kSession = 0 };
constexpr uint32_t raw(TaskId id) { return static_cast<uint32_t>(id); }

// An address in a tracee. Arithmetic is in bytes and wraps as the hardware does.
struct Address {
  uint64_t value = 0;
  constexpr auto operator<=>(const Address&) const = default;
  constexpr Address operator+(uint64_t bytes) const { return {value + bytes}; }
  constexpr Address operator-(uint64_t bytes) const { return {value - bytes}; }
  constexpr uint64_t operator-(Address other) const { return value - other.value; }
  constexpr explicit operator bool() const { return value != 0; }
};

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t pageFloor(uint64_t v) { return v & ~(kPageSize - 1); }
constexpr uint64_t pageCeil(uint64_t v) { return pageFloor(v + kPageSize - 1); }

// A half-open range of a tracee's memory.
struct Region {
  Address start;
  uint64_t length = 0;
};

}  // namespace airr
