#include "policies/learn.h"

#include <algorithm>

#include "policies/condition.h"
#include "policies/format.h"

namespace airr::policies {
namespace {

using enum ActionKind;

// Kinds that are learned with their paths, in groups that a rule each is made of.
struct Group {
  const char* rule;
  const char* kinds;
  ActionSet set;
  size_t most;  // entries of a directory that are listed one by one
};
constexpr Group kGroups[] = {
    {"programs", "action = exec", anyOf(kExec), 12},
    {"reading", "action in (open-read, load)", anyOf(kOpenRead, kLoad), 6},
    {"writing", "action in writes", kWritingActions, 4},
};

std::string quoted(const std::string& word) {
  const bool plain = std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-+@${}~").find(c) != std::string_view::npos;
  });
  return plain ? word : "'" + word + "'";
}

// The path with the variable that stands for its beginning, longest first.
std::string withVariables(const std::string& path, const Bindings& bindings) {
  for (const auto& [name, value] : {std::pair{"${workspace}", bindings.workspace},
                                    std::pair{"${tmp}", bindings.temporary},
                                    std::pair{"${home}", bindings.home}}) {
    const auto tree = value ? canonicalPath(*value) : std::nullopt;
    if (tree && *tree != "/" && isUnder(path, *tree)) return name + path.substr(tree->size());
  }
  return path;
}

// What cannot be written in a condition (both kinds of quotes, a variable) is left to the human.
bool canBeWritten(std::string_view path) {
  return path.find_first_of("'\n\t\r") == std::string_view::npos &&
         path.find("${") == std::string_view::npos &&
         std::ranges::all_of(path, [](char c) { return static_cast<uint8_t>(c) >= 0x20 && static_cast<uint8_t>(c) < 0x7f; });
}

std::string listOf(const std::vector<std::string>& paths, const Bindings& bindings) {
  std::string text;
  for (const std::string& path : paths)
    text += (text.empty() ? "" : ", ") + quoted(withVariables(path, bindings));
  return "(" + text + ")";
}

}  // namespace

void Learner::add(const Action& action) {
  const ActionSet kind = only(action.kind);
  for (unsigned i = 0; i < std::size(kGroups); ++i) {
    if ((kGroups[i].set & kind) == 0) continue;
    if (!action.has(Fact::kPath) || !action.path.starts_with('/') || !canBeWritten(action.path) ||
        remembered_ >= kMaxPaths) {
      ++leftOut_;
      return;
    }
    Node* node = &paths_[i];
    for (std::string_view rest = action.path.substr(1); !rest.empty();) {
      const size_t slash = std::min(rest.find('/'), rest.size());
      const auto [child, isNew] = node->children.try_emplace(std::string(rest.substr(0, slash)));
      remembered_ += isNew;
      node = &child->second;
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    node->used = true;
    return;
  }
  if ((kNetworkActions & kind) == 0) {
    if (((kind & anyOf(kSignal, kInspect)) != 0) && !action.inside) insideOnly_ = false;
    plain_ |= kind;
    if (action.kind == kSocket) families_ |= static_cast<uint8_t>(1u << static_cast<unsigned>(action.family));
    return;
  }
  network_ |= kind;
  if (action.has(Fact::kPath)) {
    if (canBeWritten(action.path)) sockets_.emplace(action.path);
    else ++leftOut_;
  } else if (action.has(Fact::kHost) && action.has(Fact::kPort)) {
    const bool known = action.has(Fact::kHostNames) && !action.hostNames.empty();
    std::string name = known ? std::string(action.hostNames[0]) : Test::valueOf(Fact::kHost, action);
    if (canBeWritten(name) && named_.size() + numbered_.size() < kMaxPaths)
      (known ? named_ : numbered_).insert({std::move(name), action.port});
    else
      ++leftOut_;
  } else {
    families_ |= 0x80;  // without an address
  }
}

// A directory is taken whole if many of its entries were used, but never one near the root: that
// would say more than anybody saw.
void Learner::collapse(const Node& node, const std::string& path, size_t depth, size_t most,
                       std::vector<std::string>& trees, std::vector<std::string>& files) {
  constexpr size_t kLeastDepth = 2;
  if (depth >= kLeastDepth && node.children.size() > most) {
    trees.push_back(path);
    return;
  }
  if (node.used) files.push_back(path.empty() ? "/" : path);
  for (const auto& [name, child] : node.children)
    collapse(child, path + "/" + name, depth + 1, most, trees, files);
}

std::string Learner::text(const std::string& name, const Bindings& bindings) const {
  std::string text = "# Proposed from recorded sessions. Read it before you use it: it allows what they did, "
                     "and with\n# directories of which many entries were used all that is in them.\n- policy: " +
                     name + "\n  desc: Learned from recorded sessions.\n";
  auto rule = [&](const std::string& title, const std::string& condition) {
    text += "\n- rule: " + title + "\n  condition: >\n    " + condition + "\n  verdict: allow\n";
  };
  ActionSet asked = plain_;
  if ((asked & only(kMetadata)) != 0 || !paths_.empty()) rule("asking about names", "action = metadata");
  for (const auto& [index, root] : paths_) {
    const Group& group = kGroups[index];
    std::vector<std::string> trees, files;
    collapse(root, "", 0, group.most, trees, files);
    std::string where;
    if (!trees.empty()) where = "path under " + listOf(trees, bindings);
    if (!files.empty())
      where += (where.empty() ? "" : " or ") + std::string("path in ") + listOf(files, bindings);
    if (!where.empty()) rule(group.rule, std::string(group.kinds) + " and (" + where + ")");
  }
  std::string kinds, inside;
  for (unsigned i = 0; i < kActionKinds; ++i) {
    const auto kind = static_cast<ActionKind>(i);
    if ((plain_ >> i & 1) == 0 || kind == kMetadata) continue;
    const bool target = kind == kSignal || kind == kInspect;
    std::string& to = target && insideOnly_ ? inside : kinds;
    to += (to.empty() ? "" : ", ") + std::string(toString(kind));
  }
  if (!kinds.empty()) rule("other kinds of actions", "action in (" + kinds + ")");
  if (!inside.empty()) rule("processes of the session", "action in (" + inside + ") and inside");
  for (const bool known : {true, false}) {
    std::map<uint16_t, std::vector<std::string>> byPort;
    for (const Endpoint& one : known ? named_ : numbered_) byPort[one.port].push_back(one.name);
    for (const auto& [port, names] : byPort) {
      std::string list;
      for (const std::string& one : names) list += (list.empty() ? "" : ", ") + quoted(one);
      rule(std::string(known ? "hosts" : "addresses") + " at port " + std::to_string(port),
           "action in network and port = " + std::to_string(port) + " and " +
               (known ? "host.name intersects (" : "host in (") + list + ")");
    }
  }
  if (!sockets_.empty())
    rule("local sockets", "action in network and family = unix and path in " +
                              listOf({sockets_.begin(), sockets_.end()}, bindings));
  if ((families_ & 0x80) != 0)
    rule("sockets without an address", "action in network and not host exists and not path exists");
  return format({"learned", text});
}

}  // namespace airr::policies
