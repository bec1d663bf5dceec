// The seccomp filter of every tracee: each call stops at the mediator. In record some calls come as
// notifications instead (mediator/call_notifier.h), and what the gate makes passes.
//
// A Filter is made before fork; install() runs in the child between fork and exec:
// async-signal-safe, allocates nothing, returns 0 or -errno.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

namespace airr {

// SECCOMP_RET_DATA of the stop: which table the call came from.
enum class FilterData : uint16_t { kNative = 0, kForeignTable = 1, kX32 = 2 };

// Of an argument's low 32 bits: none of the bits `clear`, and all of the bits `set`; or, if `equals`
// is not empty, one of those values. `large`: the high 32 bits are not zero; `small`: they are.
struct ArgumentTest {
  uint8_t argument = 0;
  uint32_t clear = 0;
  uint32_t set = 0;
  std::vector<uint32_t> equals;
  bool large = false, small = false;
};

// Calls of this number, if all tests hold.
struct CallTest {
  uint16_t number = 0;
  std::vector<ArgumentTest> tests;
};

// What the gate may do beyond what needs no policy.
struct GatePowers {
  bool looksUp = false;      // looking at metadata by name
  bool opens = false;        // opening what is in AIRR_GATE_TREE, or is granted (open_grants.h), for reading
};

class Filter {
 public:
  // Every call stops.
  Filter();
  // What the gate makes passes, as far as its powers go; what `notified` says comes as a notification, unless it
  // is made from the mediator's own place for injected calls.
  Filter(std::span<const CallTest> notified, GatePowers);

  // Sets NO_NEW_PRIVS, traps RDTSC, and installs the filter. Needs a tracer to be attached for any
  // later call to run: without one the kernel answers ENOSYS (seccomp(2), SECCOMP_RET_TRACE).
  // Where notifications cannot be had (a filter with a listener above this one, Linux before 5.19),
  // all calls stop.
  int install() const;

 private:
  std::vector<sock_filter> stopping_;
  std::vector<sock_filter> notifying_;  // empty: not wanted
};

}  // namespace airr
