// The operations of fcntl, futex, semctl, msgctl, keyctl, syslog, fsconfig and of socket options.
#include "mediator/syscalls/operations.h"

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include <algorithm>
#include <cerrno>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

using namespace sizes;

constexpr uint64_t k32Bits = 0xffffffff;

constexpr Operation plain(uint64_t value, const char* name) { return {value, name}; }
constexpr Operation changing(uint64_t value, const char* name, Change first, Change second = {}) {
  return {value, name, {first, second}};
}
constexpr Operation refused(uint64_t value, const char* name, int error, const char* why) {
  return {.value = value, .name = name, .refusal = error, .why = why};
}
constexpr Operation blocking(Operation operation) {
  operation.blocks = true;
  return operation;
}

constexpr Operation lock(uint64_t value, const char* name, Direction direction) {
  return changing(value, name, {2, pointer("lock", direction, bytes(kFlock))});
}
constexpr Operation hint(uint64_t value, const char* name, Direction direction) {
  return changing(value, name, {2, pointer("hint", direction, bytes(kLong))});
}

constexpr Operation kFcntl[] = {
    plain(F_DUPFD, "F_DUPFD"),
    plain(F_GETFD, "F_GETFD"),
    plain(F_SETFD, "F_SETFD"),
    plain(F_GETFL, "F_GETFL"),
    changing(F_SETFL, "F_SETFL", {2, flags("flags", names::kOpen)}),
    lock(F_GETLK, "F_GETLK", Direction::kInOut),
    lock(F_SETLK, "F_SETLK", Direction::kIn),
    blocking(lock(F_SETLKW, "F_SETLKW", Direction::kIn)),
    changing(F_SETOWN, "F_SETOWN", {2, pid("owner")}),
    plain(F_GETOWN, "F_GETOWN"),
    changing(F_SETSIG, "F_SETSIG", {2, signalNumber()}),
    plain(F_GETSIG, "F_GETSIG"),
    changing(F_SETOWN_EX, "F_SETOWN_EX", {2, in("owner", bytes(kFileOwner))}),
    changing(F_GETOWN_EX, "F_GETOWN_EX", {2, out("owner", bytes(kFileOwner))}),
    changing(F_GETOWNER_UIDS, "F_GETOWNER_UIDS", {2, out("uids", bytes(2 * kWord))}),
    lock(F_OFD_GETLK, "F_OFD_GETLK", Direction::kInOut),
    lock(F_OFD_SETLK, "F_OFD_SETLK", Direction::kIn),
    blocking(lock(F_OFD_SETLKW, "F_OFD_SETLKW", Direction::kIn)),
    plain(F_SETLEASE, "F_SETLEASE"),
    plain(F_GETLEASE, "F_GETLEASE"),
    plain(F_NOTIFY, "F_NOTIFY"),
    plain(1027, "F_DUPFD_QUERY"),
    plain(1028, "F_CREATED_QUERY"),
    plain(F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"),
    plain(F_SETPIPE_SZ, "F_SETPIPE_SZ"),
    plain(F_GETPIPE_SZ, "F_GETPIPE_SZ"),
    plain(F_ADD_SEALS, "F_ADD_SEALS"),
    plain(F_GET_SEALS, "F_GET_SEALS"),
    hint(F_GET_RW_HINT, "F_GET_RW_HINT", Direction::kOut),
    hint(F_SET_RW_HINT, "F_SET_RW_HINT", Direction::kIn),
    hint(F_GET_FILE_RW_HINT, "F_GET_FILE_RW_HINT", Direction::kOut),
    hint(F_SET_FILE_RW_HINT, "F_SET_FILE_RW_HINT", Direction::kIn),
};

// A priority-inheriting futex is changed by the kernel, even when it then gives up.
constexpr Change futexWord(uint8_t index, const char* name) {
  return {index, inPlace(always(inOut(name, bytes(kWord))))};
}
constexpr Change kFutexTimeout = {3, in("timeout", bytes(kTimespec))};

constexpr Operation kFutex[] = {
    blocking(changing(FUTEX_WAIT, "FUTEX_WAIT", kFutexTimeout)),
    plain(FUTEX_WAKE, "FUTEX_WAKE"),
    plain(FUTEX_REQUEUE, "FUTEX_REQUEUE"),
    plain(FUTEX_CMP_REQUEUE, "FUTEX_CMP_REQUEUE"),
    changing(FUTEX_WAKE_OP, "FUTEX_WAKE_OP", futexWord(4, "uaddr2")),
    blocking(changing(FUTEX_LOCK_PI, "FUTEX_LOCK_PI", futexWord(0, "uaddr"), kFutexTimeout)),
    changing(FUTEX_UNLOCK_PI, "FUTEX_UNLOCK_PI", futexWord(0, "uaddr")),
    changing(FUTEX_TRYLOCK_PI, "FUTEX_TRYLOCK_PI", futexWord(0, "uaddr")),
    blocking(changing(FUTEX_WAIT_BITSET, "FUTEX_WAIT_BITSET", kFutexTimeout)),
    plain(FUTEX_WAKE_BITSET, "FUTEX_WAKE_BITSET"),
    blocking(changing(FUTEX_WAIT_REQUEUE_PI, "FUTEX_WAIT_REQUEUE_PI", kFutexTimeout,
                      futexWord(4, "uaddr2"))),
    changing(FUTEX_CMP_REQUEUE_PI, "FUTEX_CMP_REQUEUE_PI", futexWord(4, "uaddr2")),
    blocking(changing(FUTEX_LOCK_PI2, "FUTEX_LOCK_PI2", futexWord(0, "uaddr"), kFutexTimeout)),
};

constexpr Operation kSemctl[] = {
    plain(IPC_RMID, "IPC_RMID"),
    changing(IPC_SET, "IPC_SET", {3, in("buf", bytes(kSemidDs))}),
    changing(IPC_STAT, "IPC_STAT", {3, out("buf", bytes(kSemidDs))}),
    changing(IPC_INFO, "IPC_INFO", {3, out("info", bytes(kSemInfo))}),
    plain(GETPID, "GETPID"),
    plain(GETVAL, "GETVAL"),
    refused(GETALL, "GETALL", EINVAL, "how many semaphores it gives back is not in its arguments"),
    plain(GETNCNT, "GETNCNT"),
    plain(GETZCNT, "GETZCNT"),
    changing(SETVAL, "SETVAL", {3, integer("val")}),
    plain(SETALL, "SETALL"),
    changing(SEM_STAT, "SEM_STAT", {3, out("buf", bytes(kSemidDs))}),
    changing(SEM_INFO, "SEM_INFO", {3, out("info", bytes(kSemInfo))}),
    changing(SEM_STAT_ANY, "SEM_STAT_ANY", {3, out("buf", bytes(kSemidDs))}),
};

constexpr Operation kMsgctl[] = {
    plain(IPC_RMID, "IPC_RMID"),
    changing(IPC_SET, "IPC_SET", {2, in("buf", bytes(kMsqidDs))}),
    changing(IPC_STAT, "IPC_STAT", {2, out("buf", bytes(kMsqidDs))}),
    changing(IPC_INFO, "IPC_INFO", {2, out("info", bytes(sizes::kMsgInfo))}),
    changing(MSG_STAT, "MSG_STAT", {2, out("buf", bytes(kMsqidDs))}),
    changing(MSG_INFO, "MSG_INFO", {2, out("info", bytes(sizes::kMsgInfo))}),
    changing(MSG_STAT_ANY, "MSG_STAT_ANY", {2, out("buf", bytes(kMsqidDs))}),
};

constexpr Operation kKeyctl[] = {
    plain(KEYCTL_GET_KEYRING_ID, "KEYCTL_GET_KEYRING_ID"),
    changing(KEYCTL_JOIN_SESSION_KEYRING, "KEYCTL_JOIN_SESSION_KEYRING", {1, string("name")}),
    changing(KEYCTL_UPDATE, "KEYCTL_UPDATE", {2, in("payload", counted(3))}),
    plain(KEYCTL_REVOKE, "KEYCTL_REVOKE"),
    plain(KEYCTL_CHOWN, "KEYCTL_CHOWN"),
    plain(KEYCTL_SETPERM, "KEYCTL_SETPERM"),
    changing(KEYCTL_DESCRIBE, "KEYCTL_DESCRIBE", {2, out("desc", result(3))}),
    plain(KEYCTL_CLEAR, "KEYCTL_CLEAR"),
    plain(KEYCTL_LINK, "KEYCTL_LINK"),
    plain(KEYCTL_UNLINK, "KEYCTL_UNLINK"),
    changing(KEYCTL_SEARCH, "KEYCTL_SEARCH", {2, string("type")}, {3, string("desc")}),
    changing(KEYCTL_READ, "KEYCTL_READ", {2, out("payload", result(3))}),
    changing(KEYCTL_INSTANTIATE, "KEYCTL_INSTANTIATE", {2, in("payload", counted(3))}),
    plain(KEYCTL_NEGATE, "KEYCTL_NEGATE"),
    plain(KEYCTL_SET_REQKEY_KEYRING, "KEYCTL_SET_REQKEY_KEYRING"),
    plain(KEYCTL_SET_TIMEOUT, "KEYCTL_SET_TIMEOUT"),
    plain(KEYCTL_ASSUME_AUTHORITY, "KEYCTL_ASSUME_AUTHORITY"),
    changing(KEYCTL_GET_SECURITY, "KEYCTL_GET_SECURITY", {2, out("buf", result(3))}),
    plain(KEYCTL_SESSION_TO_PARENT, "KEYCTL_SESSION_TO_PARENT"),
    plain(KEYCTL_REJECT, "KEYCTL_REJECT"),
    changing(KEYCTL_INSTANTIATE_IOV, "KEYCTL_INSTANTIATE_IOV", {2, in("iov", vectors(3))}),
    plain(KEYCTL_INVALIDATE, "KEYCTL_INVALIDATE"),
    plain(KEYCTL_GET_PERSISTENT, "KEYCTL_GET_PERSISTENT"),
    changing(KEYCTL_RESTRICT_KEYRING, "KEYCTL_RESTRICT_KEYRING", {2, string("type")},
             {3, string("restriction")}),
    plain(KEYCTL_MOVE, "KEYCTL_MOVE"),
    // The rest of the buffer is cleared.
    changing(KEYCTL_CAPABILITIES, "KEYCTL_CAPABILITIES", {1, out("buf", counted(2))}),
};

constexpr Operation kSyslog[] = {
    plain(0, "SYSLOG_ACTION_CLOSE"),
    plain(1, "SYSLOG_ACTION_OPEN"),
    changing(2, "SYSLOG_ACTION_READ", {1, out("bufp", result(2))}),
    changing(3, "SYSLOG_ACTION_READ_ALL", {1, out("bufp", result(2))}),
    changing(4, "SYSLOG_ACTION_READ_CLEAR", {1, out("bufp", result(2))}),
    plain(5, "SYSLOG_ACTION_CLEAR"),
    plain(6, "SYSLOG_ACTION_CONSOLE_OFF"),
    plain(7, "SYSLOG_ACTION_CONSOLE_ON"),
    plain(8, "SYSLOG_ACTION_CONSOLE_LEVEL"),
    plain(9, "SYSLOG_ACTION_SIZE_UNREAD"),
    plain(10, "SYSLOG_ACTION_SIZE_BUFFER"),
};

constexpr Operation kFsconfig[] = {
    plain(0, "FSCONFIG_SET_FLAG"),
    changing(1, "FSCONFIG_SET_STRING", {3, string("value")}),
    changing(2, "FSCONFIG_SET_BINARY", {3, in("value", counted(4))}),
    changing(3, "FSCONFIG_SET_PATH", {3, path("value")}),
    changing(4, "FSCONFIG_SET_PATH_EMPTY", {3, path("value")}),
    plain(5, "FSCONFIG_SET_FD"),
    plain(6, "FSCONFIG_CMD_CREATE"),
    plain(7, "FSCONFIG_CMD_RECONFIGURE"),
    plain(8, "FSCONFIG_CMD_CREATE_EXCL"),
};

constexpr uint64_t option(uint64_t level, uint64_t name) { return level << 32 | name; }
constexpr const char* kSharesMemory = "the kernel would write to memory shared with it at any time";

constexpr Operation kSetsockopt[] = {
    refused(option(263, 5), "PACKET_RX_RING", EINVAL, kSharesMemory),
    refused(option(263, 13), "PACKET_TX_RING", EINVAL, kSharesMemory),
    refused(option(283, 2), "XDP_RX_RING", EINVAL, kSharesMemory),
    refused(option(283, 3), "XDP_TX_RING", EINVAL, kSharesMemory),
    refused(option(283, 4), "XDP_UMEM_REG", EINVAL, kSharesMemory),
};
constexpr Operation kGetsockopt[] = {
    refused(option(6, 35), "TCP_ZEROCOPY_RECEIVE", EINVAL, "moves pages into the address space"),
};

}  // namespace

constexpr Operations kFcntlOperations{1, k32Bits, kFcntl, EINVAL};
constexpr Operations kFutexOperations{
    1, k32Bits & ~uint64_t{FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME}, kFutex, ENOSYS};
constexpr Operations kSemctlOperations{2, k32Bits, kSemctl, EINVAL};
constexpr Operations kMsgctlOperations{1, k32Bits, kMsgctl, EINVAL};
constexpr Operations kKeyctlOperations{0, k32Bits, kKeyctl, EOPNOTSUPP};
constexpr Operations kSetsockoptOperations{2, k32Bits, kSetsockopt, 0, nullptr, 1};
constexpr Operations kGetsockoptOperations{2, k32Bits, kGetsockopt, 0, nullptr, 1};
constexpr Operations kSyslogOperations{0, k32Bits, kSyslog, EINVAL};
constexpr Operations kFsconfigOperations{1, k32Bits, kFsconfig, EOPNOTSUPP};

const Operation* operationOf(const Operations& operations, const Call& call) {
  uint64_t value = call.arguments[operations.index] & operations.mask;
  if (operations.level < 6) value |= call.arguments[operations.level] << 32;
  const auto found = std::ranges::find(operations.list, value, &Operation::value);
  return found == operations.list.end() ? nullptr : &*found;
}

std::span<const Argument> argumentsOf(const Syscall& syscall, const Call& call,
                                      Argument (&storage)[6]) {
  const std::span row(syscall.arguments, syscall.argumentCount);
  if (!syscall.operations) return row;
  const Operations& operations = *syscall.operations;
  const Operation* operation = operationOf(operations, call);
  if (operation && operation->changes[0].index >= syscall.argumentCount) return row;
  std::ranges::copy(row, storage);
  if (operation) {
    for (const Change& change : operation->changes) {
      if (change.index < syscall.argumentCount) storage[change.index] = change.argument;
    }
  } else if (!operations.describe ||
             !operations.describe(call.arguments[operations.index] & operations.mask, storage)) {
    return row;
  }
  return {storage, syscall.argumentCount};
}

bool mayBlock(const Syscall& syscall, const Call& call) {
  if (syscall.blocking == Blocking::kNever) return false;
  if (syscall.operations) {
    const Operation* operation = operationOf(*syscall.operations, call);
    return operation && operation->blocks;
  }
  return syscall.dontWait >= 6 || !(call.arguments[syscall.dontWait] & syscall.dontWaitBits);
}

int refusedOperation(const Syscall& syscall, const Call& call, const char** why) {
  *why = nullptr;
  if (!syscall.operations) return 0;
  const Operations& operations = *syscall.operations;
  if (const Operation* operation = operationOf(operations, call)) {
    *why = operation->why;
    return operation->refusal;
  }
  Argument ignored[6];
  if (operations.describe &&
      operations.describe(call.arguments[operations.index] & operations.mask, ignored)) {
    return 0;
  }
  if (operations.unknown) *why = "an operation that is not modelled";
  return operations.unknown;
}

uint64_t valueOf(const Argument& argument, uint64_t raw) {
  switch (argument.type) {
    case Type::kInt:
    case Type::kFd:
    case Type::kDirFd:
    case Type::kPid:
    case Type::kSignal: {
      return static_cast<uint64_t>(int64_t{static_cast<int32_t>(raw)});
    }
    default:
      return raw;
  }
}

bool isPresent(const Argument& argument, const Call& call) {
  return argument.onlyIf >= 6 || (call.arguments[argument.onlyIf] & argument.onlyIfBits);
}

}  // namespace airr::syscalls
