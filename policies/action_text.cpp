#include "policies/action_text.h"

#include <algorithm>
#include <charconv>

#include "policies/policy.h"

namespace airr::policies {

class ActionParser {
 public:
  ActionParser(const Source& source, const Bindings& bindings, const Policy& policy)
      : source_(source), bindings_(bindings), policy_(policy) {}

  OwnedAction parse(const YamlNode& map) {
    if (map.kind != YamlNode::Kind::kMap)
      throw source_.error(map.place, "an action is a map of facts",
                          "as in {action: open-read, path: /etc/passwd}");
    const YamlNode* kind = map.find("action");
    if (kind == nullptr) throw source_.error(map.place, "'action' is missing");
    owned_.action_.kind = static_cast<ActionKind>(oneOf(Fact::kAction, *kind));
    for (const auto& [key, value] : map.entries) {
      if (key.text == "action") continue;
      if (key.text == "unknown") {
        for (const YamlNode* name : itemsOf(value))
          owned_.action_.setUnknown(factNamed(*name).fact);
        continue;
      }
      fill(factNamed(key), key, value);
    }
    return std::move(owned_);
  }

 private:
  const FactInfo& factNamed(const YamlNode& name) const {
    std::vector<std::string_view> names;
    for (const FactInfo& fact : allFacts()) {
      if (name.text == fact.name) {
        if ((fact.kinds & only(owned_.action_.kind)) == 0)
          throw source_.error(name.place, std::string("an action '") +
                                              toString(owned_.action_.kind) + "' has no '" +
                                              fact.name + "'");
        return fact;
      }
      names.push_back(fact.name);
    }
    const std::string_view near = nearest(name.text, names);
    throw source_.error(name.place, "there is no fact '" + name.text + "'",
                        near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  }

  static std::vector<const YamlNode*> itemsOf(const YamlNode& value) {
    std::vector<const YamlNode*> items;
    if (value.kind == YamlNode::Kind::kSequence) {
      for (const YamlNode& item : value.items) items.push_back(&item);
    } else {
      items.push_back(&value);
    }
    return items;
  }

  std::string text(const YamlNode& node) const {
    if (node.kind != YamlNode::Kind::kScalar)
      throw source_.error(node.place, "one word is wanted here");
    return expand(node.text, bindings_, source_, node.place);
  }

  unsigned oneOf(Fact fact, const YamlNode& node) const {
    const auto names = valueNames(fact);
    const std::string word = text(node);
    for (unsigned i = 0; i < names.size(); ++i)
      if (word == names[i]) return i;
    const std::string_view near = nearest(word, {names.begin(), names.end()});
    throw source_.error(node.place,
                        std::string("'") + info(fact).name + "' is never '" + word + "'",
                        near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  }

  int64_t number(const YamlNode& node) const {
    std::string word = text(node);
    std::string_view digits = word;
    int base = 10;
    if (digits.starts_with("0x")) base = 16;
    if (digits.starts_with("0o")) base = 8;
    if (base != 10) digits.remove_prefix(2);
    int64_t value = 0;
    const char* end = digits.data() + digits.size();
    if (const auto [at, error] = std::from_chars(digits.data(), end, value, base);
        error != std::errc{} || at != end)
      throw source_.error(node.place, "'" + word + "' is not a number");
    return value;
  }

  std::string_view path(const YamlNode& node) {
    std::string value = text(node);
    if (value.starts_with("~/"))
      value = expand("${home}/", bindings_, source_, node.place) + value.substr(2);
    if (value.starts_with('@')) return owned_.keep(std::move(value));
    auto canonical = canonicalPath(value);
    if (!canonical) throw source_.error(node.place, "'" + value + "' is not an absolute path");
    return owned_.keep(std::move(*canonical));
  }

  std::span<const std::string_view> list(const YamlNode& node, bool paths) {
    std::vector<std::string_view> items;
    for (const YamlNode* item : itemsOf(node))
      items.push_back(paths ? path(*item) : owned_.keep(text(*item)));
    return owned_.lists_.emplace_back(std::move(items));
  }

  NameSet names(const YamlNode& node, const std::vector<std::string>& known) const {
    NameSet set = 0;
    for (const YamlNode* item : itemsOf(node)) {
      const auto found = std::ranges::find(known, text(*item));
      if (found == known.end())
        throw source_.error(item->place, "no rule sets '" + text(*item) + "'");
      set |= 1ull << (found - known.begin());
    }
    return set;
  }

  bool flag(const YamlNode& node) const {
    const std::string word = text(node);
    if (word != "true" && word != "false")
      throw source_.error(node.place, "'" + word + "' is neither true nor false");
    return word == "true";
  }

  void fill(const FactInfo& fact, const YamlNode& key, const YamlNode& value) {
    Action& action = owned_.action_;
    switch (fact.fact) {
      case Fact::kAction:
        return;
      case Fact::kSyscall:
        action.syscall = owned_.keep(text(value));
        break;
      case Fact::kPath:
        action.setPath(path(value));
        break;
      case Fact::kPathName:
      case Fact::kCommandLine:
      case Fact::kExeName:
        throw source_.error(key.place, "'" + key.text + "' follows from another fact",
                            "give path, argv or exe");
      case Fact::kOtherPath:
        action.otherPath = path(value);
        break;
      case Fact::kTarget:
        action.target = owned_.keep(text(value));
        break;
      case Fact::kArguments:
        action.setArguments(list(value, false));
        break;
      case Fact::kExe:
        action.setExe(path(value));
        break;
      case Fact::kLineage:
        action.lineage = list(value, true);
        break;
      case Fact::kDigest:
        action.digest = owned_.keep(text(value));
        break;
      case Fact::kFileExists:
        action.fileExists = flag(value);
        break;
      case Fact::kFileKind:
        action.fileKind = static_cast<FileKind>(oneOf(fact.fact, value));
        break;
      case Fact::kFileOwner:
        action.fileOwner = static_cast<uint32_t>(number(value));
        break;
      case Fact::kFileMode:
        action.fileMode = static_cast<uint32_t>(number(value));
        break;
      case Fact::kFamily:
        action.family = static_cast<Family>(oneOf(fact.fact, value));
        break;
      case Fact::kSocketType:
        action.socketType = static_cast<SocketType>(oneOf(fact.fact, value));
        break;
      case Fact::kHost: {
        const auto address = parseIp(text(value));
        if (!address) throw source_.error(value.place, "'" + text(value) + "' is not an address");
        action.host = *address;
        break;
      }
      case Fact::kHostNames:
        action.hostNames = list(value, false);
        break;
      case Fact::kPort:
        action.port = static_cast<uint16_t>(number(value));
        break;
      case Fact::kSignal:
        action.signal = number(value);
        break;
      case Fact::kInside:
        action.inside = flag(value);
        break;
      case Fact::kOperation:
        action.operation = number(value);
        break;
      case Fact::kClass:
        for (const YamlNode* item : itemsOf(value))
          action.classes |= only(static_cast<Class>(oneOf(fact.fact, *item)));
        break;
      case Fact::kShellCommands:
        action.shell.commands = list(value, false);
        break;
      case Fact::kShellReads:
        action.shell.reads = list(value, false);
        break;
      case Fact::kShellWrites:
        action.shell.writes = list(value, false);
        break;
      case Fact::kShellUnparseable:
        action.shell.unparseable = flag(value);
        break;
      case Fact::kToolServer:
        action.toolServer = owned_.keep(text(value));
        break;
      case Fact::kToolName:
        action.toolName = owned_.keep(text(value));
        break;
      case Fact::kToolArgument:
        if (value.kind != YamlNode::Kind::kMap)
          throw source_.error(value.place, "arguments are a map from JSON pointers to values");
        for (const auto& [pointer, item] : value.entries)
          owned_.arguments_.emplace_back(owned_.keep(pointer.text), owned_.keep(text(item)));
        action.toolArguments = owned_.arguments_;
        break;
      case Fact::kLabels:
        action.labels = names(value, policy_.labels());
        break;
      case Fact::kObjectLabels:
        action.objectLabels = names(value, policy_.labels());
        break;
      case Fact::kSessionLabels:
        action.sessionLabels = names(value, policy_.labels());
        break;
      case Fact::kDegraded:
        action.degraded = names(value, policy_.degradations());
        break;
      case Fact::kServerName:
        action.serverName = owned_.keep(text(value));
        break;
    }
    action.set(fact.fact);
  }

  const Source& source_;
  const Bindings& bindings_;
  const Policy& policy_;
  OwnedAction owned_;
};

OwnedAction OwnedAction::parse(const YamlNode& map, const Source& source, const Bindings& bindings,
                               const Policy& policy) {
  return ActionParser(source, bindings, policy).parse(map);
}

std::string describe(const Action& action, const Policy& policy) {
  std::string text = std::string("{action: ") + toString(action.kind);
  for (const FactInfo& fact : allFacts()) {
    if (fact.fact == Fact::kAction || fact.fact == Fact::kPathName || fact.fact == Fact::kExeName ||
        fact.fact == Fact::kCommandLine)
      continue;
    std::string value;
    if (fact.type == FactType::kNames) {
      const NameSet set = fact.fact == Fact::kLabels         ? action.labels
                          : fact.fact == Fact::kObjectLabels ? action.objectLabels
                          : fact.fact == Fact::kDegraded     ? action.degraded
                                                             : action.sessionLabels;
      if (set == 0) continue;
      value = policy.namesOf(
          set, fact.fact == Fact::kDegraded ? policy.degradations() : policy.labels());
    } else if (action.isUnknown(fact.fact)) {
      value = "unknown";
    } else if (action.has(fact.fact)) {
      value = Test::valueOf(fact.fact, action);
    } else {
      continue;
    }
    const bool isList = fact.type == FactType::kList || fact.type == FactType::kPathList ||
                        fact.type == FactType::kNames || fact.type == FactType::kClassSet;
    text += std::string(", ") + fact.name + ": " + (isList ? "[" + value + "]" : value);
  }
  return text + "}";
}

}  // namespace airr::policies
