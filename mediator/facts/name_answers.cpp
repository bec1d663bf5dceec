#include "mediator/facts/name_answers.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace airr::facts {
namespace {

constexpr size_t kMaxName = 255;
constexpr unsigned kMaxAnswers = 256;

class Message {
 public:
  explicit Message(std::string_view bytes) : bytes_(bytes) {}

  bool skip(size_t count) { return count <= bytes_.size() - at_ && (at_ += count, true); }
  std::optional<uint16_t> number() {
    if (bytes_.size() - at_ < 2) return std::nullopt;
    at_ += 2;
    return static_cast<uint16_t>(byte(at_ - 2) << 8 | byte(at_ - 1));
  }
  std::string_view take(size_t count) {
    if (count > bytes_.size() - at_) return {};
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }

  // Without compression, which a question cannot have.
  std::optional<std::string> plainName() {
    std::string name;
    while (at_ < bytes_.size()) {
      const size_t length = byte(at_++);
      if (length == 0) return name;
      if (length > 63 || length > bytes_.size() - at_ || name.size() + length >= kMaxName) break;
      if (!name.empty()) name += '.';
      for (size_t i = 0; i < length; ++i) {
        const char c = bytes_[at_ + i];
        if (c == '.' || static_cast<uint8_t>(c) <= ' ') return std::nullopt;
        name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      }
      at_ += length;
    }
    return std::nullopt;
  }
  bool skipName() {
    while (at_ < bytes_.size()) {
      const size_t length = byte(at_++);
      if (length == 0) return true;
      if (length >= 0xc0) return skip(1);
      if (length > 63 || !skip(length)) return false;
    }
    return false;
  }

 private:
  unsigned byte(size_t at) const { return static_cast<uint8_t>(bytes_[at]); }

  std::string_view bytes_;
  size_t at_ = 0;
};

policies::IpAddress addressOf(std::string_view bytes) {
  policies::IpAddress address;
  if (bytes.size() == 4) address.low = 0xffff;
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint64_t& half = bytes.size() == 16 && i < 8 ? address.high : address.low;
    half = half << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return address;
}

}  // namespace

NameAnswer parseNameAnswer(std::string_view bytes) {
  constexpr uint16_t kResponse = 0x8000, kInternet = 1, kA = 1, kAaaa = 28;
  Message message(bytes);
  message.skip(2);
  const auto flags = message.number(), questions = message.number(), answers = message.number();
  if (!answers || (*flags & kResponse) == 0 || *questions != 1 || !message.skip(4)) return {};
  const auto name = message.plainName();
  if (!name || name->empty() || !message.skip(4)) return {};
  NameAnswer result{*name, {}};
  for (unsigned i = 0; i < std::min<unsigned>(*answers, kMaxAnswers); ++i) {
    if (!message.skipName()) break;
    const auto type = message.number(), kind = message.number();
    if (!kind || !message.skip(4)) break;
    const auto length = message.number();
    if (!length) break;
    const std::string_view data = message.take(*length);
    if (data.size() != *length) break;
    if (*kind == kInternet &&
        ((*type == kA && data.size() == 4) || (*type == kAaaa && data.size() == 16)))
      result.addresses.push_back(addressOf(data));
  }
  return result;
}

std::vector<policies::IpAddress> parseNameServers(std::string_view text) {
  std::vector<policies::IpAddress> servers;
  while (!text.empty() && servers.size() < 16) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kKey = "nameserver";
    if (!line.starts_with(kKey)) continue;
    line.remove_prefix(kKey.size());
    const size_t first = line.find_first_not_of(" \t");
    if (first == 0 || first == std::string_view::npos) continue;
    line = line.substr(first);
    if (const auto address = policies::parseIp(line.substr(0, line.find_first_of(" \t\r#;"))))
      servers.push_back(*address);
  }
  return servers;
}

std::vector<NameAnswer> parseHosts(std::string_view text) {
  constexpr size_t kMaxEntries = 4'096;
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<NameAnswer> entries;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos && entries.size() < kMaxEntries;
       text.remove_prefix(end + 1)) {
    std::string_view line = text.substr(0, std::min(end, text.find('#')));
    std::optional<policies::IpAddress> address;
    while (entries.size() < kMaxEntries) {
      const size_t first = line.find_first_not_of(kBlanks);
      if (first == std::string_view::npos) break;
      line.remove_prefix(first);
      const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
      line.remove_prefix(word.size());
      if (!address) {
        address = policies::parseIp(word);
        if (!address) break;
        continue;
      }
      std::string name(word.substr(0, word.ends_with('.') ? word.size() - 1 : word.size()));
      if (name.empty() || name.size() > kMaxName) continue;
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      entries.push_back({std::move(name), {*address}});
    }
  }
  return entries;
}

bool mayNameHosts(std::string_view bytes) {
  const std::string_view all = bytes;
  // A response to one question, with answers (RFC 1035, 4.1.1).
  auto answers = [](std::string_view message) {
    constexpr size_t kHeader = 12;
    return message.size() > kHeader && (static_cast<uint8_t>(message[2]) & 0xf8) == 0x80 && message[4] == 0 &&
           message[5] == 1 && (message[6] != 0 || message[7] != 0);
  };
  if (answers(bytes) || (bytes.size() > 2 && answers(bytes.substr(2)))) return true;
  // One of the first lines that are not remarks names servers or an address. A piece from the middle of
  // a file begins with the rest of a line.
  for (int line = 0; line < 3 && !bytes.empty();) {
    const std::string_view text = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(text.size() + 1, bytes.size()));
    if (text.empty() || text.starts_with('#')) continue;
    ++line;
    constexpr size_t kMaxAddress = 45;
    const size_t blank = text.substr(0, kMaxAddress + 1).find_first_of(" \t");
    if (blank == std::string_view::npos) continue;
    if (policies::parseIp(text.substr(0, blank))) return true;
  }
  return all.find("nameserver") != std::string_view::npos;
}

}  // namespace airr::facts
