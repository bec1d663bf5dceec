// How build tools put bytes into the program, and what reads them there.
//
// Pure functions; any thread. What is read is trusted: of bytes that end too soon zeros are made, nothing fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace airr::embedding {

// Seven bits a byte, the lowest first.
inline void packNumber(std::string& bytes, size_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

inline size_t unpackNumber(std::string_view& bytes) {
  size_t value = 0;
  for (unsigned shift = 0; !bytes.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= size_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  return value;
}

// As a C++ string literal, a line for every 100 bytes.
inline std::string literal(std::string_view bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 100 == 99) text += "\"\n    \"";
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\' && byte != '?') {
      text += bytes[i];
    } else {
      char octal[8];
      std::snprintf(octal, sizeof octal, "\\%03o", byte);
      text += octal;
    }
  }
  return text + '"';
}

}  // namespace airr::embedding
