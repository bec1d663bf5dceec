// Which actions a system call is: the bridge from the syscall model to the policy language.
//
// A pure function of what is known about the call, the same for the mediator before a call and for
// judging its record. Any thread; nothing fails. What is not known becomes an unknown fact.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mediator/syscalls/model.h"
#include "policies/facts.h"

namespace airr::facts {

// What is known about a descriptor that a call works on.
struct DescriptorFacts {
  std::string_view path;  // absolute; empty if it is no file or not known
  std::optional<policies::Family> family;
  std::optional<policies::SocketType> socketType;
  bool isInside = false;   // a pidfd of a process of the session
  bool isUnknown = false;  // nothing is known about it, not even that it is no file
};

// What is known about a call besides its arguments. Paths are absolute and canonical; "@name" is an
// abstract socket. Addresses are described by describeAddress() (mediator/socket_address.h).
struct CallFacts {
  syscalls::Call call;
  std::string_view path;     // the first path or the socket address that it names
  std::string_view other;    // the second
  DescriptorFacts descriptor;  // of its first descriptor argument; mmap: of the one that it maps
  std::optional<uint64_t> openFlags;  // openat2: from memory; else they are in the arguments
  std::optional<std::string_view> linkTarget;  // what a new symbolic link says
  bool targetIsInside = false;        // signals and inspection: the process is of the session
};

constexpr unsigned kMostActions = 4;  // an exchanging rename
struct CallActions {
  policies::Action action[kMostActions];
  unsigned count = 0;
};

// No actions: the call uses what was granted before, or is refused under every policy. Their facts are
// of the call only: the caller adds those of the process (exe, lineage), of the file, and argv.
void actionsOf(const CallFacts& facts, CallActions& actions);

// The facts of a TCP connection's other side, as describeAddress() says it; unknown if it does not.
void setConnection(policies::Action&, std::string_view address);

// Calls whose facts do not follow from their record, so that they are decided on in the trace under
// every policy: what a script's interpreter is, flags and addresses in memory, processes outside.
bool needsRecord(const syscalls::Call& call, const CallActions& actions);

// Whether an open may change or make a file; true for flags that are not among the arguments.
bool writesByOpening(const syscalls::Call& call);

constexpr size_t kMostLineage = 64;  // executables of a process and its ancestors that are facts

// Whether a call of this number can have actions at all.
bool canHaveActions(uint64_t number);

}  // namespace airr::facts
