#include "policies/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <set>
#include <streambuf>

#include "policies/classify/embedding.h"

namespace airr::policies {
namespace {

using embedding::packNumber;
using embedding::unpackNumber;

constexpr unsigned kMaxLineBytes = 64 << 10;

// Builds the tree on the way, so that nothing exists of what is refused.
class Builder : public YAML::EventHandler {
 public:
  Builder(const Source& source, const std::vector<size_t>& lines)
      : source_(source), lines_(lines) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, "", anchor, YamlNode::Kind::kNull);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw source_.error(placeOf(mark), "aliases are not part of the policy language",
                        "use a list or a macro");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const bool isKey = !stack_.empty() && stack_.back().node->kind == YamlNode::Kind::kMap &&
                       !stack_.back().hasKey;
    YamlNode* node = add(mark, tag, anchor, YamlNode::Kind::kScalar);
    node->text = value;
    node->quoted = tag == "!";
    if (!isKey) return;
    Level& level = stack_.back();
    if (!level.keys.insert(value).second)
      throw source_.error(node->place, "'" + value + "' is there twice");
    level.hasKey = true;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(add(mark, tag, anchor, YamlNode::Kind::kSequence));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(add(mark, tag, anchor, YamlNode::Kind::kMap));
  }
  void OnMapEnd() override { close(); }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    throw source_.error(placeOf(mark), "anchors are not part of the policy language",
                        "use a list or a macro");
  }

 private:
  struct Level {
    YamlNode* node;
    bool hasKey = false;
    std::set<std::string> keys;
  };

  Place placeOf(const YAML::Mark& mark) const {
    return {static_cast<unsigned>(std::max(mark.line, 0)) + 1,
            static_cast<unsigned>(std::max(mark.column, 0)) + 1};
  }

  // yaml-cpp's `pos` counts characters of what it converted; line and column are exact.
  size_t offsetOf(const YAML::Mark& mark) const {
    const auto line = static_cast<size_t>(std::max(mark.line, 0));
    if (line >= lines_.size()) return source_.text.size();
    size_t at = lines_[line];
    for (int column = 0; column < mark.column && at < source_.text.size(); ++at)
      if ((static_cast<uint8_t>(source_.text[at]) & 0xc0) != 0x80) ++column;
    while (at < source_.text.size() && (static_cast<uint8_t>(source_.text[at]) & 0xc0) == 0x80)
      ++at;
    return at;
  }

  YamlNode* add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                YamlNode::Kind kind) {
    const Place place = placeOf(mark);
    if (anchor != 0)
      throw source_.error(place, "anchors are not part of the policy language",
                          "use a list or a macro");
    if (!tag.empty() && tag != "?" && tag != "!")
      throw source_.error(place, "tags are not part of the policy language");
    if (++count_ > kMaxYamlNodes)
      throw source_.error(
          place, "there are more than " + std::to_string(kMaxYamlNodes) + " values in this policy");
    YamlNode node;
    node.kind = kind;
    node.place = place;
    node.offset = offsetOf(mark);
    if (stack_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    Level& level = stack_.back();
    if (level.node->kind == YamlNode::Kind::kSequence) {
      level.node->items.push_back(std::move(node));
      return &level.node->items.back();
    }
    if (!level.hasKey) {
      if (kind != YamlNode::Kind::kScalar) throw source_.error(place, "a key must be a word");
      level.node->entries.push_back({std::move(node), {}});
      return &level.node->entries.back().first;
    }
    level.hasKey = false;
    level.node->entries.back().second = std::move(node);
    return &level.node->entries.back().second;
  }

  void open(YamlNode* node) {
    if (stack_.size() >= kMaxYamlDepth)
      throw source_.error(node->place,
                          "values are nested more than " + std::to_string(kMaxYamlDepth) + " deep");
    stack_.push_back({node, false, {}});
  }
  void close() { stack_.pop_back(); }

  const Source& source_;
  const std::vector<size_t>& lines_;
  YamlNode root_;
  std::vector<Level> stack_;
  size_t count_ = 0;
};

class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // only read from
    setg(begin, begin, begin + text.size());
  }
};

// Length of the UTF-8 character at `at`, or 0.
size_t characterAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  const uint8_t first = byte(at);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  if ((first == 0xe0 && byte(at + 1) < 0xa0) || (first == 0xed && byte(at + 1) > 0x9f) ||
      (first == 0xf0 && byte(at + 1) < 0x90) || (first == 0xf4 && byte(at + 1) > 0x8f))
    return 0;
  return length;
}

// What the parser is spared: other encodings, control characters, nesting that it would recurse
// into, lines of a length that only a machine writes.
std::vector<size_t> checkText(const Source& source) {
  const std::string& text = source.text;
  if (text.size() > kMaxPolicyBytes)
    throw Error(ExitCode::kPolicy, source.name + ": a policy has at most 10 MiB, this file has " +
                                       std::to_string(text.size()) + " bytes");
  std::vector<size_t> lines{0};
  unsigned depth = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = characterAt(text, at);
    const char c = text[at];
    const bool control =
        (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
    if (length == 0 || control)
      throw source.error(source.placeOf(at),
                         length == 0 ? "this is not UTF-8" : "a control character is in the way");
    // Brackets in scalars count as well; that many in one file are no policy.
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > 4 * kMaxYamlDepth)
      throw source.error(source.placeOf(at), "too many brackets are open");
    at += length;
    if (c == '\n') lines.push_back(at);
    if (at - lines.back() > kMaxLineBytes)
      throw source.error({static_cast<unsigned>(lines.size()), 1},
                         "this line is longer than 64 KiB");
  }
  return lines;
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name.text == key) return &value;
  return nullptr;
}

Place Source::placeOf(size_t offset) const {
  Place place;
  for (size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((static_cast<uint8_t>(text[i]) & 0xc0) != 0x80) {
      ++place.column;
    }
  }
  return place;
}

Error Source::error(Place place, const std::string& why, std::string remedy) const {
  return Error(
      ExitCode::kPolicy,
      name + ':' + std::to_string(place.line) + ':' + std::to_string(place.column) + ": " + why,
      std::move(remedy));
}

bool YamlNode::operator==(const YamlNode& other) const {
  return kind == other.kind && quoted == other.quoted && offset == other.offset && place == other.place &&
         text == other.text && items == other.items && entries == other.entries;
}

namespace {

void pack(std::string& bytes, const YamlNode& node) {
  packNumber(bytes, static_cast<size_t>(node.kind) << 1 | (node.quoted ? 1 : 0));
  packNumber(bytes, node.offset);
  packNumber(bytes, node.place.line);
  packNumber(bytes, node.place.column);
  packNumber(bytes, node.text.size());
  bytes += node.text;
  packNumber(bytes, node.items.size());
  for (const YamlNode& item : node.items) pack(bytes, item);
  packNumber(bytes, node.entries.size());
  for (const auto& [key, value] : node.entries) pack(bytes, key), pack(bytes, value);
}

void unpack(std::string_view& bytes, YamlNode& node) {
  const size_t kind = unpackNumber(bytes);
  node.kind = static_cast<YamlNode::Kind>(kind >> 1);
  node.quoted = (kind & 1) != 0;
  node.offset = unpackNumber(bytes);
  node.place.line = static_cast<unsigned>(unpackNumber(bytes));
  node.place.column = static_cast<unsigned>(unpackNumber(bytes));
  const size_t size = unpackNumber(bytes);
  node.text = bytes.substr(0, size);
  bytes.remove_prefix(node.text.size());
  node.items.resize(unpackNumber(bytes));
  for (YamlNode& item : node.items) unpack(bytes, item);
  node.entries.resize(unpackNumber(bytes));
  for (auto& [key, value] : node.entries) unpack(bytes, key), unpack(bytes, value);
}

}  // namespace

std::string packYaml(const YamlNode& node) {
  std::string bytes;
  pack(bytes, node);
  return bytes;
}

YamlNode unpackYaml(std::string_view packed) {
  YamlNode root;
  unpack(packed, root);
  return root;
}

YamlNode parseYaml(const Source& source) {
  const std::vector<size_t> lines = checkText(source);
  Builder builder(source, lines);
  TextBuffer buffer(source.text);
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return {};
    YamlNode root = builder.take();
    Builder rest(source, lines);
    if (parser.HandleNextDocument(rest))
      throw source.error(rest.take().place, "a policy is one document; here a second one begins");
    return root;
  } catch (const YAML::Exception& error) {
    const Place place{static_cast<unsigned>(std::max(error.mark.line, 0)) + 1,
                      static_cast<unsigned>(std::max(error.mark.column, 0)) + 1};
    throw source.error(place, "not YAML: " + error.msg);
  }
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr size_t kLongest = 64;
  if (word.size() > kLongest) return {};
  std::string_view best;
  size_t bestDistance = 1 + std::max<size_t>(1, word.size() / 3);
  std::vector<size_t> row, above, twoAbove;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    row.resize(candidate.size() + 1);
    for (size_t i = 0; i < row.size(); ++i) row[i] = i;
    for (size_t i = 1; i <= word.size(); ++i) {
      twoAbove = std::exchange(above, row);
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const bool same = word[i - 1] == candidate[j - 1];
        row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          row[j] = std::min(row[j], twoAbove[j - 2] + 1);  // two that changed places
      }
    }
    if (row.back() < bestDistance) bestDistance = row.back(), best = candidate;
  }
  return best;
}

}  // namespace airr::policies
