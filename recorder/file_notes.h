// What was found out about files of this host and costs much to find out again, such as where a
// program has certain instructions. Kept from session to session beside the blob cache
// (recorder/blob_cache.h), for one version of a file each.
//
// A note counts only if its HMAC (with the key's cache key) is right, so one that a tracee wrote is
// never used. Ownership: owns a descriptor of the directory. One thread; other processes may use
// the same directory. Failure: never; without a directory nothing is found and nothing kept.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recorder/blob_cache.h"

namespace airr {

class FileNotes {
 public:
  static constexpr uint64_t kMostBytes = 1 << 20;

  // `subject` is a part of file names: letters and digits. A change of what the bytes mean needs
  // another one.
  FileNotes(const std::array<uint8_t, 32>& key, std::string subject);
  std::optional<std::vector<uint8_t>> find(const FileVersion&) const;
  // Does nothing for a version that could still change unseen, or for more than kMostBytes.
  void keep(const FileVersion&, Bytes note) const;

 private:
  Digest tagOf(const FileVersion&, Bytes note) const;

  std::array<uint8_t, 32> key_;
  std::string subject_;
  UniqueFd directory_;
};

}  // namespace airr
