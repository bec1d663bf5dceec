#include "policies/condition.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstdio>

namespace airr::policies {
namespace {

constexpr size_t kFew = 8;

std::string_view textOf(Fact fact, const Action& action) {
  switch (fact) {
    case Fact::kSyscall:
      return action.syscall;
    case Fact::kPath:
      return action.path;
    case Fact::kPathName:
      return baseName(action.path);
    case Fact::kOtherPath:
      return action.otherPath;
    case Fact::kTarget:
      return action.target;
    case Fact::kExe:
      return action.exe;
    case Fact::kExeName:
      return baseName(action.exe);
    case Fact::kDigest:
      return action.digest;
    case Fact::kToolServer:
      return action.toolServer;
    case Fact::kToolName:
      return action.toolName;
    case Fact::kServerName:
      return action.serverName;
    default:
      return {};
  }
}

std::span<const std::string_view> listOf(Fact fact, const Action& action) {
  switch (fact) {
    case Fact::kArguments:
      return action.arguments;
    case Fact::kLineage:
      return action.lineage;
    case Fact::kHostNames:
      return action.hostNames;
    case Fact::kShellCommands:
      return action.shell.commands;
    case Fact::kShellReads:
      return action.shell.reads;
    case Fact::kShellWrites:
      return action.shell.writes;
    default:
      return {};
  }
}

uint64_t setOf(Fact fact, const Action& action) {
  switch (fact) {
    case Fact::kAction:
      return only(action.kind);
    case Fact::kFileKind:
      return 1ull << static_cast<unsigned>(action.fileKind);
    case Fact::kFamily:
      return 1ull << static_cast<unsigned>(action.family);
    case Fact::kSocketType:
      return 1ull << static_cast<unsigned>(action.socketType);
    case Fact::kClass:
      return action.classes;
    case Fact::kLabels:
      return action.labels;
    case Fact::kObjectLabels:
      return action.objectLabels;
    case Fact::kSessionLabels:
      return action.sessionLabels;
    case Fact::kDegraded:
      return action.degraded;
    default:
      return 0;
  }
}

int64_t numberOf(Fact fact, const Action& action) {
  switch (fact) {
    case Fact::kFileOwner:
      return action.fileOwner;
    case Fact::kFileMode:
      return action.fileMode;
    case Fact::kPort:
      return action.port;
    case Fact::kSignal:
      return action.signal;
    case Fact::kOperation:
      return action.operation;
    default:
      return 0;
  }
}

bool flagOf(Fact fact, const Action& action) {
  switch (fact) {
    case Fact::kFileExists:
      return action.fileExists;
    case Fact::kInside:
      return action.inside;
    case Fact::kShellUnparseable:
      return action.shell.unparseable;
    default:
      return false;
  }
}

void join(std::span<const std::string_view> words, std::string& line) {
  for (std::string_view word : words) {
    if (!line.empty()) line += ' ';
    line += word;
  }
}

bool testText(const Test& test, std::string_view text, bool isMember) {
  const auto& values = test.strings.values();
  switch (test.op) {
    case Operator::kEqual:
      return test.strings.contains(text);
    case Operator::kContains:
      if (isMember) return test.strings.contains(text);
      return std::ranges::any_of(
          values, [&](const auto& v) { return text.find(v) != std::string_view::npos; });
    case Operator::kStartsWith:
      return std::ranges::any_of(values, [&](const auto& v) { return text.starts_with(v); });
    case Operator::kEndsWith:
      return std::ranges::any_of(values, [&](const auto& v) { return text.ends_with(v); });
    case Operator::kUnder:
      return isHostName(test.fact) ? test.strings.hasDomainOf(text) : test.strings.hasTreeOf(text);
    case Operator::kGlob:
      return std::ranges::any_of(test.globs, [&](const Glob& glob) { return glob.matches(text); });
    case Operator::kRegex:
      return std::ranges::any_of(test.patterns, [&](const auto& pattern) {
        return pattern->Match(text, 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
      });
    case Operator::kExists:
      return true;
    default:
      return false;
  }
}

bool testNumber(const Test& test, int64_t value) {
  auto some = [&](auto holds) { return std::ranges::any_of(test.numbers, holds); };
  switch (test.op) {
    case Operator::kEqual:
      return some([&](NumberRange r) { return value >= r.first && value <= r.last; });
    case Operator::kLess:
      return some([&](NumberRange r) { return value < r.first; });
    case Operator::kLessOrEqual:
      return some([&](NumberRange r) { return value <= r.first; });
    case Operator::kGreater:
      return some([&](NumberRange r) { return value > r.first; });
    case Operator::kGreaterOrEqual:
      return some([&](NumberRange r) { return value >= r.first; });
    case Operator::kBits:
      return some([&](NumberRange r) { return (value & r.first) != 0; });
    default:
      return true;
  }
}

std::string textOfIp(const IpAddress& address) {
  char text[48];
  if (address.high == 0 && address.low >> 32 == 0xffff) {
    const auto v4 = static_cast<uint32_t>(address.low);
    std::snprintf(text, sizeof text, "%u.%u.%u.%u", v4 >> 24, v4 >> 16 & 255, v4 >> 8 & 255,
                  v4 & 255);
    return text;
  }
  std::string result;
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t half = i < 4 ? address.high : address.low;
    std::snprintf(text, sizeof text, "%s%x", i ? ":" : "",
                  static_cast<unsigned>(half >> (48 - 16 * (i % 4)) & 0xffff));
    result += text;
  }
  return result;
}

}  // namespace

StringSet::StringSet(std::vector<std::string> values) : values_(std::move(values)) {
  for (const std::string& value : values_) lengths_ |= lengthOf(value);
  if (values_.size() > kFew) many_.insert(values_.begin(), values_.end());
}

bool StringSet::contains(std::string_view text) const {
  if (!many_.empty()) return isMember(text);
  return std::ranges::any_of(values_, [&](const std::string& value) { return value == text; });
}

bool StringSet::hasTreeOf(std::string_view path) const {
  if (many_.empty())
    return std::ranges::any_of(values_, [&](const auto& tree) { return isUnder(path, tree); });
  if (isMember(path) || (path.starts_with('/') && isMember("/"))) return true;
  for (size_t end = path.rfind('/'); end != std::string_view::npos && end > 0;
       end = path.rfind('/', end - 1))
    if (isMember(path.substr(0, end))) return true;
  return false;
}

bool StringSet::hasDomainOf(std::string_view name) const {
  auto isDomainOf = [&](std::string_view domain) {
    return name.ends_with(domain) &&
           (name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.');
  };
  if (many_.empty()) return std::ranges::any_of(values_, isDomainOf);
  for (size_t start = 0;; ++start) {
    if (isMember(name.substr(start))) return true;
    start = name.find('.', start);
    if (start == std::string_view::npos) return false;
  }
}

bool IpRange::contains(const IpAddress& other) const {
  auto mask = [](unsigned bits) { return bits == 0 ? 0 : ~0ull << (64 - bits); };
  const uint64_t high = mask(std::min(prefix, 64u)), low = mask(prefix > 64 ? prefix - 64 : 0);
  return ((address.high ^ other.high) & high) == 0 && ((address.low ^ other.low) & low) == 0;
}

Truth Test::evaluate(const Action& action, std::string& commandLine) const {
  const FactInfo& about = info(fact);
  if (about.type == FactType::kNames) {
    const NameSet set = setOf(fact, action);
    return truth(op == Operator::kExists ? set != 0 : (set & mask) != 0);
  }
  if (action.isUnknown(fact)) return Truth::kUnknown;
  if (!action.has(fact)) return Truth::kFalse;
  bool holds = false;
  switch (about.type) {
    case FactType::kEnum:
    case FactType::kClassSet:
      holds = op == Operator::kExists || (setOf(fact, action) & mask) != 0;
      break;
    case FactType::kString:
      if (fact == Fact::kCommandLine) {
        if (commandLine.empty()) join(action.arguments, commandLine);
        holds = testText(*this, commandLine, false);
        break;
      }
      [[fallthrough]];
    case FactType::kPath:
      holds = testText(*this, textOf(fact, action), false);
      break;
    case FactType::kList:
    case FactType::kPathList: {
      const auto items = listOf(fact, action);
      if (index) {
        if (*index >= items.size()) return Truth::kFalse;
        holds = testText(*this, items[*index], false);
        break;
      }
      holds = op == Operator::kExists ||
              std::ranges::any_of(items, [&](auto item) { return testText(*this, item, true); });
      break;
    }
    case FactType::kNumber:
      holds = testNumber(*this, numberOf(fact, action));
      break;
    case FactType::kFlag:
      holds = op == Operator::kExists || flagOf(fact, action);
      break;
    case FactType::kHost:
      holds = op == Operator::kExists || std::ranges::any_of(hosts, [&](const IpRange& range) {
                return range.contains(action.host);
              });
      break;
    case FactType::kPointer: {
      const auto found = std::ranges::find_if(
          action.toolArguments, [&](const auto& entry) { return entry.first == pointer; });
      if (found == action.toolArguments.end()) return Truth::kFalse;
      holds = testText(*this, found->second, false);
      break;
    }
    case FactType::kNames:
      break;
  }
  return truth(holds != negated);
}

Truth Expression::evaluate(const Action& action, std::string& commandLine) const {
  switch (kind) {
    case Kind::kAlways:
      return Truth::kTrue;
    case Kind::kTest:
      return test.evaluate(action, commandLine);
    case Kind::kNot:
      return !parts[0]->evaluate(action, commandLine);
    case Kind::kAnd: {
      Truth result = Truth::kTrue;
      for (const auto& part : parts) {
        result = std::min(result, part->evaluate(action, commandLine));
        if (result == Truth::kFalse) break;
      }
      return result;
    }
    case Kind::kOr: {
      Truth result = Truth::kFalse;
      for (const auto& part : parts) {
        result = std::max(result, part->evaluate(action, commandLine));
        if (result == Truth::kTrue) break;
      }
      return result;
    }
  }
  return Truth::kUnknown;
}

std::string Test::valueOf(Fact fact, const Action& action) {
  const FactInfo& about = info(fact);
  if (about.type != FactType::kNames && !action.has(fact)) return {};
  std::string text;
  switch (about.type) {
    case FactType::kString:
    case FactType::kPath:
      if (fact != Fact::kCommandLine) return std::string(textOf(fact, action));
      join(action.arguments, text);
      return text;
    case FactType::kEnum:
    case FactType::kClassSet: {
      const auto names = valueNames(fact);
      for (size_t i = 0; i < names.size(); ++i)
        if (setOf(fact, action) >> i & 1)
          text += (text.empty() ? "" : ", ") + std::string(names[i]);
      return text;
    }
    case FactType::kList:
    case FactType::kPathList:
      for (std::string_view item : listOf(fact, action))
        text += (text.empty() ? "" : ", ") + std::string(item);
      return text;
    case FactType::kNumber:
      if (fact != Fact::kFileMode) return std::to_string(numberOf(fact, action));
      char octal[24];
      std::snprintf(octal, sizeof octal, "0o%o", action.fileMode);
      return octal;
    case FactType::kFlag:
      return flagOf(fact, action) ? "true" : "false";
    case FactType::kHost:
      return textOfIp(action.host);
    case FactType::kPointer:
      for (const auto& [name, value] : action.toolArguments)
        text += (text.empty() ? "" : ", ") + std::string(name) + " " + std::string(value);
      return text;
    case FactType::kNames:
      return {};  // only a policy can name them
  }
  return {};
}

}  // namespace airr::policies
