#include <nlohmann/json.hpp>
#include <string>

#include "mediator/syscalls/names.h"
#include "mediator/syscalls/operations.h"
#include "mediator/syscalls/print.h"

namespace airr::syscalls {
namespace {

const char* typeName(Type type) {
  switch (type) {
    case Type::kInt:
      return "int";
    case Type::kLong:
      return "long";
    case Type::kUnsigned:
      return "unsigned";
    case Type::kHex:
      return "flags";
    case Type::kOctal:
      return "mode";
    case Type::kFd:
      return "fd";
    case Type::kDirFd:
      return "dirfd";
    case Type::kPid:
      return "pid";
    case Type::kSignal:
      return "signal";
    case Type::kAddress:
      return "address";
    case Type::kPath:
      return "path";
    case Type::kString:
      return "string";
    case Type::kPointer:
      return "pointer";
  }
  return "?";
}

const char* directionName(Direction direction) {
  switch (direction) {
    case Direction::kNone:
      return "none";
    case Direction::kIn:
      return "in";
    case Direction::kOut:
      return "out";
    case Direction::kInOut:
      return "in/out";
  }
  return "?";
}

std::string sizeText(const Syscall& syscall, const Argument& argument) {
  const std::string by =
      argument.by < syscall.argumentCount ? syscall.arguments[argument.by].name : "";
  const std::string unit = argument.unit == 1 ? "" : " × " + std::to_string(argument.unit);
  switch (argument.size) {
    case Size::kNone:
      return "";
    case Size::kFixed:
      return std::to_string(argument.unit) + " bytes";
    case Size::kArgument:
      return by + unit + " bytes";
    case Size::kResult:
      return "result" + unit + " bytes, at most " + by + unit;
    case Size::kValueResult:
      return "bytes: the lesser of *" + by + " before and after the call";
    case Size::kCString:
      return "up to its NUL";
    case Size::kIoVec:
      return by + " × iovec, and what they point to";
    case Size::kMsgHdr:
      return "msghdr, and what it points to";
    case Size::kMMsgHdr:
      return by + " × mmsghdr, and what they point to";
    case Size::kStringArray:
      return "strings, up to NULL";
    case Size::kFdSet:
      return "bits below " + std::string(syscall.arguments[0].name);
    case Size::kPollFds:
      return by + " × pollfd";
    case Size::kPages:
      return "one byte a page of " + by;
    case Size::kNodeMask:
      return by + " bits";
    case Size::kMessage:
      return "8 + " + by + " bytes";
    case Size::kSized:
      return "struct that begins with its size";
    case Size::kFileHandle:
      return "file_handle, and the handle";
    case Size::kSigSetPair:
      return "signal set and its size";
    case Size::kXattr:
      return "xattr_args, and the value";
    case Size::kIfConf:
      return "ifconf, and its array";
    case Size::kFiemap:
      return "fiemap, and its extents";
  }
  return "";
}

std::string whenText(const Argument& argument) {
  switch (argument.outcome) {
    case Outcome::kSuccess:
      return "";
    case Outcome::kFailure:
      return " (on failure)";
    case Outcome::kAlways:
      return " (on failure too)";
  }
  return "";
}

std::string argumentText(const Syscall& syscall, const Argument& argument) {
  return std::string(argument.name) + ": " + directionName(argument.direction) + ", " +
         sizeText(syscall, argument) +
         (argument.direction == Direction::kIn ? "" : whenText(argument));
}

// Paths and strings say it all by their type.
bool isWorthALine(const Argument& argument) {
  return argument.direction != Direction::kNone && argument.size != Size::kCString;
}

std::string signature(const Syscall& syscall) {
  std::string text = std::string(syscall.name) + "(";
  for (size_t i = 0; i < syscall.argumentCount; ++i) {
    if (i) text += ", ";
    text += std::string(typeName(syscall.arguments[i].type)) + " " + syscall.arguments[i].name;
  }
  return text + ")";
}

std::string treatmentText(const Syscall& syscall) {
  if (syscall.treatment != Treatment::kRefuse) return toString(syscall.treatment);
  return "refuse " + errorName(syscall.refusal);
}

std::string operationText(const Syscall& syscall, const Operation& operation) {
  std::string text = operation.name;
  if (operation.refusal) {
    return text + ": refuse " + errorName(operation.refusal) + "; " + operation.why;
  }
  for (const Change& change : operation.changes) {
    if (change.index < syscall.argumentCount && isWorthALine(change.argument)) {
      text += "; " + argumentText(syscall, change.argument);
    }
  }
  return text + (operation.blocks ? "; may block" : "");
}

nlohmann::ordered_json argumentJson(const Syscall& syscall, const Argument& argument) {
  nlohmann::ordered_json json{{"name", argument.name}, {"type", typeName(argument.type)}};
  if (argument.direction != Direction::kNone) {
    json["direction"] = directionName(argument.direction);
    json["size"] = sizeText(syscall, argument);
    if (argument.outcome != Outcome::kSuccess) {
      json["written"] = argument.outcome == Outcome::kAlways ? "always" : "on failure";
    }
  }
  return json;
}

nlohmann::ordered_json operationJson(const Syscall& syscall, const Operation& operation) {
  nlohmann::ordered_json json{{"name", operation.name}, {"value", operation.value}};
  if (operation.refusal) {
    json["refusal"] = errorName(operation.refusal);
    json["why"] = operation.why;
  }
  for (const Change& change : operation.changes) {
    if (change.index >= syscall.argumentCount) continue;
    auto argument = argumentJson(syscall, change.argument);
    argument["index"] = change.index;
    json["arguments"].push_back(std::move(argument));
  }
  if (operation.blocks) json["blocking"] = toString(Blocking::kMaybe);
  return json;
}

}  // namespace

std::string listing() {
  std::string text;
  size_t modelled = 0;
  for (const Syscall* syscall : all()) {
    const bool refused = syscall->treatment == Treatment::kRefuse;
    modelled += !refused;
    std::string head = std::to_string(syscall->number);
    head = std::string(3 - std::min<size_t>(head.size(), 3), ' ') + head;
    text += head + "  " + signature(*syscall) + "\n";
    text += "       authority " + std::string(toString(syscall->authority)) + "; " +
            treatmentText(*syscall);
    if (syscall->blocking == Blocking::kMaybe) text += "; may block";
    if (syscall->note) text += std::string("; ") + syscall->note;
    text += "\n";
    if (refused) continue;
    for (size_t i = 0; i < syscall->argumentCount; ++i) {
      const Argument& argument = syscall->arguments[i];
      if (isWorthALine(argument)) text += "       " + argumentText(*syscall, argument) + "\n";
    }
    if (!syscall->operations) continue;
    for (const Operation& operation : syscall->operations->list) {
      text += "         " + operationText(*syscall, operation) + "\n";
    }
  }
  return text + std::to_string(all().size()) + " syscalls, " + std::to_string(modelled) +
         " modelled, " + std::to_string(all().size() - modelled) + " refused by name\n";
}

std::string listingJson() {
  auto json = nlohmann::ordered_json::array();
  for (const Syscall* syscall : all()) {
    nlohmann::ordered_json row{{"number", syscall->number},
                               {"name", syscall->name},
                               {"arguments", nlohmann::ordered_json::array()},
                               {"authority", toString(syscall->authority)},
                               {"treatment", toString(syscall->treatment)},
                               {"blocking", toString(syscall->blocking)}};
    for (size_t i = 0; i < syscall->argumentCount; ++i) {
      row["arguments"].push_back(argumentJson(*syscall, syscall->arguments[i]));
    }
    if (syscall->refusal) row["refusal"] = errorName(syscall->refusal);
    if (syscall->note) row["note"] = syscall->note;
    if (syscall->operations) {
      for (const Operation& operation : syscall->operations->list) {
        row["operations"].push_back(operationJson(*syscall, operation));
      }
    }
    json.push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

}  // namespace airr::syscalls
