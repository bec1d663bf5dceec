#include "tools/text.h"

#include <sys/wait.h>

#include <cstring>
#include <ctime>

namespace airr::tools {
namespace {

constexpr char32_t kInvalid = 0xffffffff;

// Decodes the character at `at` and moves past it; kInvalid, and past one byte, if it is not UTF-8
// (overlong forms, surrogates and what lies beyond U+10FFFF included).
char32_t nextCharacter(std::string_view text, size_t& at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t first = byte(at++);
  if (first < 0x80) return first;
  int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < static_cast<size_t>(more)) return kInvalid;
  char32_t value = first & (0x3f >> more);
  for (int i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return kInvalid;
    value = value << 6 | (byte(at + i) & 0x3f);
  }
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  bool surrogate = value >= 0xd800 && value < 0xe000;
  if (value < kLeast[more] || surrogate || value > 0x10ffff) return kInvalid;
  at += more;
  return value;
}

// Characters that move the cursor, change the terminal, or reorder and hide what is printed.
bool isDangerous(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe0fff);
}

std::string escape(std::string_view text, bool quoting) {
  std::string to;
  to.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t start = at;
    char32_t c = nextCharacter(text, at);
    char code[16];
    if (c == kInvalid) {
      std::snprintf(code, sizeof code, "\\x%02x", static_cast<uint8_t>(text[start]));
      to += code;
    } else if (c == '\n') {
      to += "\\n";
    } else if (c == '\t') {
      to += "\\t";
    } else if (c == '\r') {
      to += "\\r";
    } else if (isDangerous(c)) {
      std::snprintf(code, sizeof code,
                    c < 0x80      ? "\\x%02x"
                    : c < 0x10000 ? "\\u%04x"
                                  : "\\U%08x",
                    static_cast<unsigned>(c));
      to += code;
    } else {
      if (quoting && (c == '"' || c == '\\')) to += '\\';
      to += text.substr(start, at - start);
    }
  }
  return to;
}

bool isUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (nextCharacter(text, at) == kInvalid) return false;
  }
  return true;
}

}  // namespace

std::string printable(std::string_view text) { return escape(text, false); }

std::string inQuotes(std::string_view text) { return '"' + escape(text, true) + '"'; }

std::string commandWord(std::string_view word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  bool plain = !word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos;
  return plain ? std::string(word) : inQuotes(word);
}

nlohmann::json jsonText(std::string_view bytes) {
  if (isUtf8(bytes)) return std::string(bytes);
  return {{"hex", hex(bytes.data(), bytes.size())}};
}

std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string hex(const void* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (size_t i = 0; i < size; ++i) {
    uint8_t byte = static_cast<const uint8_t*>(bytes)[i];
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string byteCount(uint64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string seconds(uint64_t microseconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%llu.%06u s",
                static_cast<unsigned long long>(microseconds / 1'000'000),
                static_cast<unsigned>(microseconds % 1'000'000));
  return text;
}

std::string utcTime(int64_t nanosecondsSince1970) {
  constexpr int64_t kSecond = 1'000'000'000;
  time_t whole = nanosecondsSince1970 / kSecond;
  int64_t rest = nanosecondsSince1970 % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --whole;
  }
  tm parts{};
  gmtime_r(&whole, &parts);
  char date[64], text[80];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(rest / 1'000'000));
  return text;
}

std::string waitStatus(int status) {
  if (WIFEXITED(status)) return "exited with " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    return "killed by " + signalName(WTERMSIG(status)) +
           (WCOREDUMP(status) ? " (core dumped)" : "");
  }
  return "wait status " + hex(static_cast<uint64_t>(static_cast<unsigned>(status)));
}

std::string signalName(int number) {
  const char* name = sigabbrev_np(number);
  return name ? std::string("SIG") + name : "signal " + std::to_string(number);
}

std::string plural(uint64_t count, const char* noun) {
  const char* ending = std::string_view(noun).ends_with('s') ? "es" : "s";
  return std::to_string(count) + " " + noun + (count == 1 ? "" : ending);
}

}  // namespace airr::tools
