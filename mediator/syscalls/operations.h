// Calls whose operation (an ioctl request, an fcntl command, a futex operation, …) decides what
// their other arguments are: one table of operations each.
//
// Constant data; usable from any thread; nothing fails.
#pragma once

#include <cstdint>
#include <span>

#include "mediator/syscalls/model.h"

namespace airr::syscalls {

// Takes the place of the argument `index` in the syscall's row.
struct Change {
  uint8_t index = 255;
  Argument argument;
};

struct Operation {
  uint64_t value;
  const char* name;
  Change changes[2];
  bool blocks = false;
  int refusal = 0;
  const char* why = nullptr;
};

struct Operations {
  uint8_t index;  // of the argument that holds the operation
  uint64_t mask;  // its significant bits
  std::span<const Operation> list;
  int unknown;  // errno for operations that are not listed; 0: they are as the row says
  // Describes an operation that is not listed; false: cannot. May be null.
  bool (*describe)(uint64_t value, Argument (&arguments)[6]) = nullptr;
  uint8_t level = 255;  // of the argument that is the upper half of the operation (setsockopt)
};

// The operation that `call` names; nothing if it is not listed.
const Operation* operationOf(const Operations&, const Call&);

// The call's arguments: its row's own, or those in `storage` when the operation changes them.
std::span<const Argument> argumentsOf(const Syscall&, const Call&, Argument (&storage)[6]);

// An argument's value as the kernel reads it: kInt and descriptors have 32 bits.
uint64_t valueOf(const Argument&, uint64_t raw);
// False if the argument is unused in this call (Argument::onlyIf).
bool isPresent(const Argument&, const Call&);

extern const Operations kArchPrctlOperations;
extern const Operations kFcntlOperations;
extern const Operations kFsconfigOperations;
extern const Operations kFutexOperations;
extern const Operations kGetsockoptOperations;
extern const Operations kIoctlOperations;
extern const Operations kKeyctlOperations;
extern const Operations kMsgctlOperations;
extern const Operations kPrctlOperations;
extern const Operations kSemctlOperations;
extern const Operations kSetsockoptOperations;
extern const Operations kSyslogOperations;

}  // namespace airr::syscalls
