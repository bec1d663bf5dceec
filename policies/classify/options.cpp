#include "policies/classify/options.h"

#include <algorithm>

namespace airr::classify {

bool Arguments::has(OptionId id) const {
  return std::any_of(options.begin(), options.end(),
                     [id](const Option& option) { return option.id == id; });
}

OptionId OptionTable::find(std::string_view name) const {
  const auto found =
      std::lower_bound(order_.begin(), order_.end(), name,
                       [&](OptionId id, std::string_view key) { return entries_[id].name < key; });
  return found != order_.end() && entries_[*found].name == name ? *found : kNoOption;
}

OptionId OptionTable::add(std::string_view name, OptionValue value) {
  OptionId id = find(name);
  if (id != kNoOption) {
    if (value != OptionValue::kNone) entries_[id].value = value;
    return id;
  }
  id = static_cast<OptionId>(entries_.size());
  const auto place = std::lower_bound(
      order_.begin(), order_.end(), name,
      [&](OptionId each, std::string_view key) { return entries_[each].name < key; });
  order_.insert(place, id);
  entries_.push_back({std::string(name), value});
  return id;
}

void OptionTable::addAll(const OptionTable& other) {
  for (const Entry& entry : other.entries_) {
    if (find(entry.name) == kNoOption) add(entry.name, entry.value);
  }
}

std::span<const OptionId> OptionTable::resolve(std::string_view name) const {
  const auto first =
      std::lower_bound(order_.begin(), order_.end(), name,
                       [&](OptionId id, std::string_view key) { return entries_[id].name < key; });
  if (first == order_.end() || !entries_[*first].name.starts_with(name)) return {};
  const bool exact = entries_[*first].name == name;
  if (!exact && (!name.starts_with("--") || name.size() < 4)) return {};
  auto end = first + 1;
  while (!exact && end != order_.end() && entries_[*end].name.starts_with(name)) ++end;
  return {first, end};
}

Arguments OptionTable::divide(const Argument* arguments, size_t count) const {
  Arguments result;
  result.firstOperand = count;
  result.operands.reserve(count);
  size_t i = 0;
  auto operand = [&] {
    if (result.operands.empty()) result.firstOperand = i;
    result.operands.push_back(arguments[i]);
  };
  auto part = [&](size_t from, size_t size = std::string_view::npos) {
    Argument piece = arguments[i];
    piece.text = piece.text.substr(from, size);
    return piece;
  };
  auto nextIsValue = [&](Option& option) {
    if (i + 1 >= count) return;
    option.value = arguments[++i];
    option.hasValue = true;
  };
  for (; i < count; ++i) {
    const std::string_view text = arguments[i].text;
    if (text.size() < 2 || text[0] != '-') {
      operand();
      if (result.operands.size() < stopAfter) continue;
      for (++i; i < count; ++i) result.operands.push_back(arguments[i]);
      break;
    }
    if (text == "--") {
      for (++i; i < count; ++i) operand();
      break;
    }
    const size_t equals = text.find('=');
    const bool isLong = text[1] == '-' || wholeWords;
    const std::string_view name = isLong ? text.substr(0, equals) : text;
    Option option;
    const std::span<const OptionId> found = resolve(name);
    if (!found.empty()) option.id = found.front();
    if (isLong || option.id != kNoOption) {
      option.name = part(0, name.size());
      const OptionValue kind =
          option.id == kNoOption ? OptionValue::kNone : entries_[option.id].value;
      if (isLong && equals != std::string_view::npos) {
        option.value = part(equals + 1);
        option.hasValue = true;
      } else if (kind == OptionValue::kRequired) {
        nextIsValue(option);
      }
      result.options.push_back(option);
      for (size_t other = 1; other < found.size(); ++other) {
        option.id = found[other];
        result.options.push_back(option);
      }
      continue;
    }
    // A cluster of short options: the first that takes a value ends it.
    for (size_t at = 1; at < text.size(); ++at) {
      const char key[2] = {'-', text[at]};
      Option flag;
      flag.id = find({key, 2});
      flag.name = part(at, 1);
      const OptionValue kind = flag.id == kNoOption ? OptionValue::kNone : entries_[flag.id].value;
      const bool takes = kind != OptionValue::kNone;
      if (takes && at + 1 < text.size()) {
        flag.value = part(at + 1);
        flag.hasValue = true;
      } else if (kind == OptionValue::kRequired) {
        nextIsValue(flag);
      }
      result.options.push_back(flag);
      if (takes) break;
    }
  }
  return result;
}

}  // namespace airr::classify
