#include "policies/classify/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "policies/classify/embedding.h"

namespace airr::classify {
namespace {

using embedding::packNumber;
using embedding::unpackNumber;

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxNodes = 200'000;
constexpr size_t kMaxLineBytes = 64 << 10;

Place placeOf(const YAML::Mark& mark) {
  return {static_cast<unsigned>(std::max(mark.line, 0)) + 1,
          static_cast<unsigned>(std::max(mark.column, 0)) + 1};
}

class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const Source& source) : source_(source) {}
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(mark, "", YamlNode::Kind::kNull);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw source_.error(placeOf(mark), "aliases are not supported");
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    throw source_.error(placeOf(mark), "anchors are not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    const bool isKey = atKey();
    add(mark, tag, YamlNode::Kind::kScalar).text = value;
    if (isKey && !open_.back().keys.insert(value).second) {
      throw source_.error(placeOf(mark), "'" + value + "' is there twice");
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  // The node does not move while it is open: only the innermost list or map grows.
  struct Level {
    YamlNode* node;
    bool hasKey = false;
    std::set<std::string> keys;
  };

  bool atKey() const {
    return !open_.empty() && open_.back().node->kind == YamlNode::Kind::kMap &&
           !open_.back().hasKey;
  }

  YamlNode& add(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
    const Place place = placeOf(mark);
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw source_.error(place, "tags are not supported");
    }
    if (++count_ > kMaxNodes) throw source_.error(place, "the file has too many values");
    YamlNode* node = &root_;
    if (atKey()) {
      if (kind != YamlNode::Kind::kScalar) throw source_.error(place, "a key must be a word");
      node = &open_.back().node->keys.emplace_back();
      open_.back().hasKey = true;
    } else if (!open_.empty() && open_.back().node->kind == YamlNode::Kind::kMap) {
      node = &open_.back().node->items.emplace_back();
      open_.back().hasKey = false;
    } else if (!open_.empty()) {
      node = &open_.back().node->items.emplace_back();
    }
    node->kind = kind;
    node->place = place;
    return *node;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
    YamlNode& node = add(mark, tag, kind);
    if (open_.size() >= kMaxDepth) {
      throw source_.error(node.place, "values are nested too deeply");
    }
    open_.push_back({&node, false, {}});
  }

  const Source& source_;
  YamlNode root_;
  std::vector<Level> open_;
  size_t count_ = 0;
};

// Spares yaml-cpp what it would recurse or search far for.
void checkText(const Source& source) {
  if (source.text.size() > kMaxRuleFileBytes) {
    throw source.error({}, "a rule file has at most 1 MiB");
  }
  Place place;
  size_t brackets = 0;
  for (const char c : source.text) {
    if (c == '\0') throw source.error(place, "a NUL byte is in the way");
    if (c == '[' || c == '{') ++brackets;
    if ((c == ']' || c == '}') && brackets > 0) --brackets;
    if (brackets > 4 * kMaxDepth) throw source.error(place, "too many brackets are open");
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else if (++place.column > kMaxLineBytes) {
      throw source.error({place.line, 1}, "this line is longer than 64 KiB");
    }
  }
}

}  // namespace

Error Source::error(Place place, const std::string& why, std::string remedy) const {
  return {ExitCode::kPolicy,
          name + ':' + std::to_string(place.line) + ':' + std::to_string(place.column) + ": " + why,
          std::move(remedy)};
}

std::vector<std::pair<const YamlNode&, const YamlNode&>> YamlNode::entries() const {
  std::vector<std::pair<const YamlNode&, const YamlNode&>> result;
  for (size_t i = 0; kind == Kind::kMap && i < std::min(keys.size(), items.size()); ++i) {
    result.emplace_back(keys[i], items[i]);
  }
  return result;
}

YamlNode parseYaml(const Source& source) {
  checkText(source);
  try {
    std::istringstream stream(source.text);
    YAML::Parser parser(stream);
    Builder builder(source);
    if (!parser.HandleNextDocument(builder)) return {};
    Builder rest(source);
    if (parser.HandleNextDocument(rest)) {
      throw source.error(rest.take().place,
                         "a rule file is one document; a second one begins here");
    }
    return builder.take();
  } catch (const YAML::Exception& error) {
    throw source.error(placeOf(error.mark), "not YAML: " + error.msg);
  }
}

namespace {

void pack(std::string& to, const YamlNode& node) {
  std::string bytes(1, static_cast<char>(node.kind));
  packNumber(bytes, node.place.line);
  packNumber(bytes, node.place.column);
  packNumber(bytes, node.text.size());
  bytes += node.text;
  packNumber(bytes, node.keys.size());
  packNumber(bytes, node.items.size());
  for (const YamlNode& key : node.keys) pack(bytes, key);
  for (const YamlNode& item : node.items) pack(bytes, item);
  packNumber(to, bytes.size());
  to += bytes;
}

void unpack(std::string_view& from, YamlNode& node, unsigned levels) {
  const std::string_view whole = from;
  const size_t length = unpackNumber(from);
  std::string_view bytes = from.substr(0, length);
  from.remove_prefix(bytes.size());
  if (bytes.empty()) return;
  node.kind = static_cast<YamlNode::Kind>(bytes.front());
  if (levels == 0) {
    node.packed = whole.substr(0, whole.size() - from.size());
    return;
  }
  bytes.remove_prefix(1);
  node.place.line = static_cast<unsigned>(unpackNumber(bytes));
  node.place.column = static_cast<unsigned>(unpackNumber(bytes));
  const size_t size = unpackNumber(bytes);
  node.text = bytes.substr(0, size);
  bytes.remove_prefix(node.text.size());
  node.keys.resize(unpackNumber(bytes));
  node.items.resize(unpackNumber(bytes));
  for (YamlNode& key : node.keys) unpack(bytes, key, levels);
  for (YamlNode& item : node.items) unpack(bytes, item, levels - 1);
}

}  // namespace

std::string packYaml(const YamlNode& node) {
  std::string bytes;
  pack(bytes, node);
  return bytes;
}

YamlNode unpackYaml(std::string_view packed, unsigned levels) {
  YamlNode root;
  unpack(packed, root, levels);
  return root;
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr size_t kLongest = 64;
  if (word.size() > kLongest) return {};
  std::string_view best;
  size_t bestDistance = 1 + std::max<size_t>(1, word.size() / 3);
  std::vector<size_t> row;
  for (const std::string_view candidate : candidates) {
    row.resize(candidate.size() + 1);
    for (size_t i = 0; i < row.size(); ++i) row[i] = i;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < bestDistance) {
      bestDistance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace airr::classify
