#include "mediator/facts/client_hello.h"

#include <cstdint>
#include <optional>

namespace airr::facts {
namespace {

constexpr size_t kMaxRecord = 1 << 14;
constexpr size_t kMaxName = 255;
constexpr uint8_t kHandshake = 22, kClientHello = 1;
constexpr uint16_t kServerName = 0;

class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  // Big-endian, of `size` bytes.
  std::optional<size_t> number(size_t size) {
    if (rest_.size() < size) return std::nullopt;
    size_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(rest_[i]);
    rest_.remove_prefix(size);
    return value;
  }
  std::optional<std::string_view> take(size_t count) {
    if (count > rest_.size()) return std::nullopt;
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  // What has its length in front of it.
  std::optional<std::string_view> vector(size_t lengthSize) {
    const auto length = number(lengthSize);
    return length ? take(*length) : std::nullopt;
  }

 private:
  std::string_view rest_;
};

// The handshake messages in the records, in a row. Nothing: malformed, or cut inside a record.
std::optional<std::string> unwrap(std::string_view bytes) {
  std::string messages;
  Bytes records(bytes);
  while (!records.empty()) {
    const auto type = records.number(1), major = records.number(1), minor = records.number(1);
    const auto content = records.vector(2);
    if (!minor || *major != 3) return std::nullopt;
    if (*type != kHandshake) break;  // early data after a whole hello
    if (!content || content->empty() || content->size() > kMaxRecord) return std::nullopt;
    messages += *content;
  }
  return messages;
}

std::optional<std::string> hostName(std::string_view extension) {
  Bytes list(extension);
  const auto names = list.vector(2);
  if (!names || !list.empty()) return std::nullopt;
  Bytes entries(*names);
  const auto type = entries.number(1);
  const auto name = entries.vector(2);
  // One name, and no other kind of name has ever been defined.
  if (!type || *type != 0 || !name || name->empty() || name->size() > kMaxName || !entries.empty())
    return std::nullopt;
  std::string text;
  for (const char c : *name) {
    if (static_cast<uint8_t>(c) <= ' ' || static_cast<uint8_t>(c) >= 0x7f) return std::nullopt;
    text += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  if (text.ends_with('.')) text.pop_back();
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

ClientHello parseClientHello(std::string_view bytes) {
  if (bytes.empty() || static_cast<uint8_t>(bytes[0]) != kHandshake) return {};
  const ClientHello unclear{ClientHello::Kind::kUnclear, {}};
  const auto messages = unwrap(bytes);
  if (!messages) return unclear;
  Bytes handshake(*messages);
  const auto type = handshake.number(1);
  const auto body = handshake.vector(3);
  if (!type || *type != kClientHello || !body) return unclear;
  constexpr size_t kVersionAndRandom = 2 + 32;
  Bytes hello(*body);
  if (!hello.take(kVersionAndRandom) || !hello.vector(1) || !hello.vector(2) || !hello.vector(1))
    return unclear;
  ClientHello result{ClientHello::Kind::kHello, {}};
  if (hello.empty()) return result;
  const auto extensions = hello.vector(2);
  if (!extensions || !hello.empty()) return unclear;
  Bytes rest(*extensions);
  bool named = false;
  while (!rest.empty()) {
    const auto kind = rest.number(2);
    const auto content = rest.vector(2);
    if (!kind || !content) return unclear;
    if (*kind != kServerName) continue;
    const auto name = hostName(*content);
    if (!name || named) return unclear;
    named = true;
    result.server = *name;
  }
  return result;
}

}  // namespace airr::facts
