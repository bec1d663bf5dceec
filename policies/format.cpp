#include "policies/format.h"

#include <algorithm>
#include <map>
#include <set>

#include "policies/condition.h"

namespace airr::policies {
namespace {

constexpr size_t kWidth = 100;

struct Comment {
  unsigned line;
  std::string text;
  bool alone;  // nothing before it on its line
};

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Comments of a text that is known to be YAML: a '#' at the start of a line or after a blank,
// outside of quotes and block scalars.
std::vector<Comment> findComments(const std::string& text) {
  std::vector<Comment> comments;
  unsigned line = 1;
  size_t lineStart = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const char before = at > lineStart ? text[at - 1] : ' ';
    const bool startsToken = isBlank(before) || before == '[' || before == '{' || before == ',';
    auto countLine = [&](size_t newline) {
      ++line;
      lineStart = newline + 1;
    };
    if (c == '\n') {
      countLine(at);
    } else if (c == '#' && isBlank(before)) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view head(text.data() + lineStart, at - lineStart);
      std::string words = text.substr(at, end - at);
      while (!words.empty() && isBlank(words.back())) words.pop_back();
      comments.push_back({line, std::move(words), std::ranges::all_of(head, isBlank)});
      at = end - 1;
    } else if ((c == '"' || c == '\'') && startsToken) {
      for (++at; at < text.size(); ++at) {
        if (text[at] == '\n') countLine(at);
        if (c == '"' && text[at] == '\\') {
          ++at;
        } else if (text[at] == c) {
          if (c == '\'' && at + 1 < text.size() && text[at + 1] == c) {
            ++at;
          } else {
            break;
          }
        }
      }
    } else if ((c == '>' || c == '|') && startsToken) {
      // The column of the key that the block belongs to: behind "- " as often as it is there.
      size_t column = lineStart;
      while (column < at &&
             (text[column] == ' ' || (text[column] == '-' && text[column + 1] == ' ')))
        ++column;
      const size_t indent = column - lineStart;
      if (text.find_first_not_of("+-0123456789", at + 1) != text.find('\n', at)) continue;
      at = std::min(text.find('\n', at), text.size());
      while (at < text.size()) {
        countLine(at);
        const size_t first = text.find_first_not_of(' ', lineStart);
        if (first == std::string::npos) {
          at = text.size();
        } else if (text[first] != '\n' && first - lineStart <= indent) {
          at = lineStart - 1;  // the next character is the first of this line
          break;
        } else {
          at = std::min(text.find('\n', first), text.size());
        }
      }
    }
  }
  return comments;
}

class Formatter {
 public:
  explicit Formatter(const Source& source) : source_(source), root_(parseYaml(source)) {
    if (root_.kind != YamlNode::Kind::kSequence)
      throw source.error(root_.place, "a policy is a list of items");
    collectAnchors(root_);
    for (Comment& comment : findComments(source.text)) {
      ++comments_;
      auto anchor = comment.alone ? anchors_.upper_bound(comment.line)
                                  : anchors_.lower_bound(comment.line + 1);
      if (!comment.alone && anchor != anchors_.begin()) --anchor;
      (anchor == anchors_.end() ? tail_ : above_[*anchor]).push_back(std::move(comment.text));
    }
  }

  std::string format() {
    for (const YamlNode& item : root_.items) {
      if (!text_.empty()) text_ += '\n';
      if (item.kind != YamlNode::Kind::kMap || item.entries.empty())
        throw source_.error(item.place, "an item is a map");
      addItem(item);
    }
    for (const std::string& comment : tail_) addComment(comment, 0);
    if (written_ != comments_)
      throw source_.error({}, "a comment would be lost",
                          "put comments on lines of their own, above items and keys");
    return std::move(text_);
  }

 private:
  void collectAnchors(const YamlNode& node) {
    for (const YamlNode& item : node.items) {
      anchors_.insert(item.place.line);
      collectAnchors(item);
    }
    for (const auto& [key, value] : node.entries) {
      anchors_.insert(key.place.line);
      collectAnchors(value);
    }
  }

  bool hasComments(const YamlNode& node) const {
    auto above = [&](const YamlNode& part) { return above_.contains(part.place.line); };
    return std::ranges::any_of(node.items,
                               [&](const auto& i) { return above(i) || hasComments(i); }) ||
           std::ranges::any_of(node.entries, [&](const auto& e) {
             return above(e.first) || hasComments(e.second);
           });
  }

  void addComment(const std::string& comment, size_t indent) {
    text_ += std::string(indent, ' ') + comment + '\n';
    ++written_;
  }
  void addCommentsAbove(const YamlNode& node, size_t indent) {
    const auto found = above_.find(node.place.line);
    if (found == above_.end()) return;
    for (const std::string& comment : found->second) addComment(comment, indent);
    above_.erase(found);
  }

  static size_t rankOf(const std::string& key) {
    static constexpr const char* kOrder[] = {
        "policy",  "list",      "macro",   "rule",    "test",         "desc",      "action",
        "items",   "condition", "verdict", "reason",  "errno",        "read-only", "timeout",
        "expires", "tools",     "label",   "degrade", "kill-session", "requires",  "examples"};
    const auto found = std::ranges::find(kOrder, key);
    return static_cast<size_t>(found - std::begin(kOrder));
  }

  void addItem(const YamlNode& item) {
    std::vector<const YamlEntry*> entries;
    for (const auto& entry : item.entries) entries.push_back(&entry);
    std::stable_sort(entries.begin() + 1, entries.end(), [](const auto* a, const auto* b) {
      return rankOf(a->first.text) < rankOf(b->first.text);
    });
    for (const auto* entry : entries) {
      const bool first = entry == entries[0];
      addCommentsAbove(entry->first, first ? 0 : 2);
      addEntry(entry->first, entry->second, 2, first ? "- " : "  ");
    }
  }

  // "key: value", in one line if it fits.
  void addEntry(const YamlNode& key, const YamlNode& value, size_t indent,
                const std::string& lead) {
    const std::string start = lead + key.text + ":";
    if (value.kind == YamlNode::Kind::kScalar) return addScalar(start, key, value, indent);
    if (value.kind == YamlNode::Kind::kNull) {
      text_ += start + '\n';
      return;
    }
    if (!hasComments(value)) {
      const std::string flow = start + ' ' + flowOf(value);
      const bool longList = value.kind == YamlNode::Kind::kSequence && value.items.size() > 1 &&
                            value.items[0].kind == YamlNode::Kind::kMap;
      if (flow.size() <= kWidth && !longList && key.text != "examples") {
        text_ += flow + '\n';
        return;
      }
    }
    text_ += start + '\n';
    addBlock(value, indent + 2);
  }

  void addBlock(const YamlNode& value, size_t indent) {
    const std::string lead(indent, ' ');
    for (const auto& [key, inner] : value.entries) {
      addCommentsAbove(key, indent);
      addEntry(key, inner, indent, lead);
    }
    for (const YamlNode& item : value.items) {
      addCommentsAbove(item, indent);
      const std::string flow = item.kind == YamlNode::Kind::kScalar && !item.text.empty()
                                   ? quoted(item, false)
                                   : flowOf(item);
      if (item.kind == YamlNode::Kind::kMap && !item.entries.empty() &&
          (hasComments(item) || indent + 2 + flow.size() > kWidth)) {
        bool first = true;
        for (const auto& [key, inner] : item.entries) {
          if (!first) addCommentsAbove(key, indent + 2);
          addEntry(key, inner, indent + 2, lead + (first ? "- " : "  "));
          first = false;
        }
      } else {
        text_ += lead + "- " + flow + '\n';
      }
    }
  }

  void addScalar(const std::string& start, const YamlNode& key, const YamlNode& value,
                 size_t indent) {
    std::string words = value.text;
    while (words.ends_with('\n') || words.ends_with(' ')) words.pop_back();
    if (key.text == "condition") words = normalised(words);
    const std::string pad(indent + 2, ' ');
    if (words.find('\n') != std::string::npos) {
      text_ += start + " |\n";
      for (size_t at = 0; at <= words.size();) {
        const size_t end = std::min(words.find('\n', at), words.size());
        text_ += end == at ? "\n" : pad + words.substr(at, end - at) + '\n';
        at = end + 1;
      }
      return;
    }
    YamlNode one = value;
    one.text = words;
    const std::string flat = start + ' ' + quoted(one, false);
    const bool foldable =
        words.find("  ") == std::string::npos && words.find(' ') != std::string::npos;
    if (flat.size() <= kWidth || !foldable) {
      text_ += flat + '\n';
      return;
    }
    text_ += start + " >\n";
    for (size_t at = 0; at < words.size();) {
      size_t end = words.size();
      if (end - at > kWidth - pad.size()) {
        end = words.rfind(' ', at + kWidth - pad.size());
        if (end == std::string::npos || end <= at)
          end = std::min(words.find(' ', at), words.size());
      }
      text_ += pad + words.substr(at, end - at) + '\n';
      at = end + 1;
    }
  }

  static std::string flowOf(const YamlNode& node) {
    std::string text;
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        return "~";
      case YamlNode::Kind::kScalar:
        return quoted(node, true);
      case YamlNode::Kind::kSequence:
        for (const YamlNode& item : node.items) text += (text.empty() ? "" : ", ") + flowOf(item);
        return "[" + text + "]";
      case YamlNode::Kind::kMap:
        for (const auto& [key, value] : node.entries)
          text += (text.empty() ? "" : ", ") + quoted(key, true) + ": " + flowOf(value);
        return "{" + text + "}";
    }
    return text;
  }

  // As it is where YAML would read it so, else in double quotes.
  static std::string quoted(const YamlNode& node, bool inFlow) {
    const std::string& text = node.text;
    const std::string_view special = inFlow ? ",[]{}" : "";
    // A word such as --force begins with what is special only before a blank.
    const bool option = text.size() > 1 && text[0] == '-' && text[1] != ' ' && text[1] != '-';
    const bool longOption = text.size() > 2 && text.starts_with("--") && text[2] != '-';
    bool plain =
        !text.empty() && text != "~" && text != "null" && text != "Null" && text != "NULL" &&
        (option || longOption ||
         std::string_view("-?:,[]{}#&*!|>'\"%@` ").find(text[0]) == std::string_view::npos) &&
        !text.ends_with(' ') && !text.ends_with(':') && text.find(": ") == std::string::npos &&
        text.find(" #") == std::string::npos &&
        text.find_first_of("\n\t\r\\") == std::string::npos &&
        text.find_first_of(special) == std::string::npos;
    if (inFlow && text.find(':') != std::string::npos) plain = false;
    if (node.quoted && text.starts_with('$') && !text.starts_with("${")) plain = false;
    if (plain) return text;
    std::string result = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\') result += '\\';
      if (c == '\n') {
        result += "\\n";
      } else if (c == '\t') {
        result += "\\t";
      } else if (c == '\r') {
        result += "\\r";
      } else {
        result += c;
      }
    }
    return result + '"';
  }

  const Source& source_;
  const YamlNode root_;
  std::set<unsigned> anchors_;  // lines at which something begins
  std::map<unsigned, std::vector<std::string>> above_;
  std::vector<std::string> tail_;
  std::string text_;
  size_t comments_ = 0, written_ = 0;
};

// The same but for white space in texts and the order of an item's keys.
bool sameMeaning(const YamlNode& a, const YamlNode& b, bool isCondition = false) {
  if (a.kind != b.kind || a.items.size() != b.items.size() || a.entries.size() != b.entries.size())
    return false;
  if (a.kind == YamlNode::Kind::kScalar) {
    if (a.text == b.text) return true;
    auto trimmed = [](std::string text) {
      while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
      return text;
    };
    return trimmed(a.text) == trimmed(b.text) ||
           (isCondition && normalised(a.text) == normalised(b.text));
  }
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!sameMeaning(a.items[i], b.items[i])) return false;
  for (const auto& [key, value] : a.entries) {
    const YamlNode* other = b.find(key.text);
    if (other == nullptr || !sameMeaning(value, *other, key.text == "condition")) return false;
  }
  return true;
}

}  // namespace

std::string format(const Source& source) {
  Source formatted{source.name, Formatter(source).format()};
  if (!sameMeaning(parseYaml(source), parseYaml(formatted)))
    throw Error(ExitCode::kFailure, source.name + ": formatting it would change what it means",
                "this is a fault of airr: please report it");
  return std::move(formatted.text);
}

}  // namespace airr::policies
