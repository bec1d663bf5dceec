#include "mediator/syscalls/print.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/ioctl.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "mediator/syscalls/extents.h"
#include "mediator/syscalls/names.h"

namespace airr::syscalls {
namespace {

constexpr uint64_t kShownPath = 4096;
constexpr uint64_t kShownText = 256;
constexpr uint64_t kShownData = 32;
constexpr uint64_t kShownStrings = 32;
constexpr int64_t kMaxErrno = 4095;

std::string number(uint64_t value, int base) {
  char digits[24];
  return {digits, std::to_chars(digits, digits + sizeof digits, value, base).ptr};
}

std::string hex(uint64_t value) { return value ? "0x" + number(value, 16) : "0"; }
std::string addressText(uint64_t value) { return value ? "0x" + number(value, 16) : "NULL"; }

std::string quoted(std::string_view bytes, bool whole) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '\n':
        text += "\\n";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\r':
        text += "\\r";
        break;
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      default:
        if (byte >= 0x20 && byte < 0x7f) {
          text += c;
        } else {
          text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        }
    }
  }
  return text + (whole ? "\"" : "\"...");
}

class Printer {
 public:
  Printer(const Syscall& syscall, const Call& call, std::optional<int64_t> result,
          MemoryReader* memory)
      : syscall_(syscall), view_(syscall, call), result_(result), memory_(memory) {}

  std::string text() const;

 private:
  std::string argument(size_t index) const;
  std::string operation(uint64_t value) const;
  std::string unknownIoctl(uint64_t request) const;
  std::string pointer(size_t index) const;
  std::string string(Address, uint64_t limit) const;
  std::string strings(Address) const;
  std::string data(Address, uint64_t size) const;
  std::string outcome(int64_t result) const;

  const Syscall& syscall_;
  const CallView view_;
  const std::optional<int64_t> result_;
  MemoryReader* const memory_;
};

std::string Printer::text() const {
  std::string text = std::string(syscall_.name) + "(";
  const char* separator = "";
  for (size_t i = 0; i < view_.arguments().size(); ++i) {
    if (!isPresent(view_.arguments()[i], view_.call())) continue;
    text += separator + argument(i);
    separator = ", ";
  }
  text += ")";
  if (result_) text += " = " + outcome(*result_);
  return text;
}

std::string Printer::argument(size_t index) const {
  const Argument& argument = view_.arguments()[index];
  const uint64_t raw = view_.call().arguments[index];
  const uint64_t value = valueOf(argument, raw);
  if (syscall_.operations && syscall_.operations->index == index) {
    const std::string name = operation(raw);
    if (!name.empty()) return name;
  }
  if (argument.names) return symbols(*argument.names, value);
  switch (argument.type) {
    case Type::kInt:
    case Type::kLong:
    case Type::kFd:
    case Type::kPid:
      return std::to_string(static_cast<int64_t>(value));
    case Type::kUnsigned:
      return std::to_string(value);
    case Type::kHex:
      return hex(value);
    case Type::kOctal:
      return value ? "0" + number(value, 8) : "0";
    case Type::kDirFd:
      return static_cast<int64_t>(value) == AT_FDCWD ? "AT_FDCWD"
                                                     : std::to_string(static_cast<int64_t>(value));
    case Type::kSignal:
      return signalName(static_cast<int64_t>(value));
    case Type::kAddress:
      return addressText(value);
    case Type::kPath:
      return string({value}, kShownPath);
    case Type::kString:
      return string({value}, kShownText);
    case Type::kPointer:
      return pointer(index);
  }
  return hex(value);
}

std::string Printer::operation(uint64_t raw) const {
  const Operations& operations = *syscall_.operations;
  const Operation* known = operationOf(operations, view_.call());
  if (!known) {
    return &operations == &kIoctlOperations ? unknownIoctl(raw & operations.mask) : std::string();
  }
  std::string text = known->name;
  if (&operations == &kFutexOperations) {
    if (raw & FUTEX_PRIVATE_FLAG) text += "|FUTEX_PRIVATE_FLAG";
    if (raw & FUTEX_CLOCK_REALTIME) text += "|FUTEX_CLOCK_REALTIME";
  }
  return text;
}

std::string Printer::unknownIoctl(uint64_t request) const {
  constexpr const char* kDirections[] = {"_IOC_NONE", "_IOC_WRITE", "_IOC_READ",
                                         "_IOC_READ|_IOC_WRITE"};
  return std::string("_IOC(") + kDirections[_IOC_DIR(request)] + ", " + hex(_IOC_TYPE(request)) +
         ", " + hex(_IOC_NR(request)) + ", " + hex(_IOC_SIZE(request)) + ")";
}

std::string Printer::pointer(size_t index) const {
  const Argument& argument = view_.arguments()[index];
  const Address at = view_.target(index);
  if (!at || !memory_) return addressText(at.value);
  if (argument.size == Size::kStringArray) return strings(at);
  if (argument.size == Size::kArgument && isInput(argument) && argument.unit == 1) {
    return data(at, capacity(view_, index, {}));
  }
  if (argument.size == Size::kResult && argument.unit == 1 && result_ && *result_ >= 0) {
    return data(at, writtenBytes(view_, index, *result_, {}, *memory_));
  }
  return addressText(at.value);
}

std::string Printer::string(Address at, uint64_t limit) const {
  if (!at || !memory_) return addressText(at.value);
  std::string text;
  char chunk[256];
  while (text.size() < limit) {
    const Address from = at + text.size();
    const uint64_t size =
        std::min({sizeof chunk, limit - text.size(), kPageSize - from.value % kPageSize});
    if (!memory_->read(from, chunk, size))
      return text.empty() ? hex(at.value) : quoted(text, false);
    const size_t length = strnlen(chunk, size);
    text.append(chunk, length);
    if (length < size) return quoted(text, true);
  }
  return quoted(text, false);
}

std::string Printer::strings(Address at) const {
  std::string text = "[";
  for (uint64_t i = 0; i < kShownStrings; ++i) {
    uint64_t pointer = 0;
    if (!readValue(*memory_, at + i * sizeof pointer, pointer)) {
      return i == 0 ? addressText(at.value) : text + ", ???]";
    }
    if (!pointer) return text + "]";
    if (i) text += ", ";
    text += string({pointer}, kShownText);
  }
  return text + ", ...]";
}

std::string Printer::data(Address at, uint64_t size) const {
  char bytes[kShownData];
  const uint64_t shown = std::min(size, kShownData);
  if (shown && !memory_->read(at, bytes, shown)) return addressText(at.value);
  return quoted({bytes, shown}, shown == size);
}

std::string Printer::outcome(int64_t result) const {
  if (result < 0 && result >= -kMaxErrno) {
    const std::string name = errorName(-result);
    if (-result >= 512 && !name.empty()) return "? " + name + " (to be restarted)";
    if (name.empty()) return std::to_string(result);
    return "-1 " + name + " (" + strerrordesc_np(static_cast<int>(-result)) + ")";
  }
  switch (syscall_.treatment) {
    case Treatment::kExit:
      return "?";
    case Treatment::kMemory:
      return hex(static_cast<uint64_t>(result));
    default:
      return std::to_string(result);
  }
}

}  // namespace

std::string format(const Syscall& syscall, const Call& call, int64_t result, MemoryReader* memory) {
  return Printer(syscall, call, result, memory).text();
}

std::string format(const Syscall& syscall, const Call& call, MemoryReader* memory) {
  return Printer(syscall, call, std::nullopt, memory).text();
}

}  // namespace airr::syscalls
