// Words for people and JSON for programs, from strings that nobody has vouched for.
//
// Names and data in a trace were chosen by the recorded program: printed as they are they could
// drive a terminal. Everything here is pure and may be called from any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace airr::tools {

// The text with control characters, bidirectional overrides and bytes that are not UTF-8 replaced
// by escapes (\n, \x1b, \u202e). Backslashes stay.
std::string printable(std::string_view text);
// The same in double quotes, with quotes and backslashes escaped: unambiguous.
std::string inQuotes(std::string_view text);
// A shell-like line: words without odd characters as they are, others quoted.
template <typename Words>
std::string commandLine(const Words& words);

// A JSON string, or {"hex": "…"} for bytes that are not UTF-8.
nlohmann::json jsonText(std::string_view bytes);
// One line, ASCII only.
std::string dump(const nlohmann::json& value);

std::string hex(const void* bytes, size_t size);
std::string hex(uint64_t value);                       // 0x2a
std::string byteCount(uint64_t bytes);                 // 17 B, 4.2 MiB
std::string seconds(uint64_t microseconds);            // 1.234567 s
std::string utcTime(int64_t nanosecondsSince1970);     // 2024-05-01T12:00:00.123Z
std::string waitStatus(int status);                    // exited with 3, killed by SIGKILL
std::string signalName(int number);                    // SIGTERM, or "signal 64"
std::string plural(uint64_t count, const char* noun);  // 1 event, 2 events

// --- implementation ---

std::string commandWord(std::string_view word);

template <typename Words>
std::string commandLine(const Words& words) {
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    line += commandWord(std::string_view(word.begin(), word.end()));
  }
  return line;
}

}  // namespace airr::tools
