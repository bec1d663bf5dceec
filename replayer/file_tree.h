// The names that a session gave to files, directories and links, and writing them out.
//
// A FileTree holds only what the session made or may have changed, by absolute path. Nodes are
// shared: by their names, and by the descriptors that are open on them. Not thread-safe.
// Failure: writeTo() throws Error when the disk does not take the files; what could not be placed
// for another reason is a note in its result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replayer/file_content.h"

namespace airr {

struct FileNode {
  enum class Kind { kFile, kDirectory, kLink };
  Kind kind = Kind::kFile;
  uint32_t mode = 0644;
  bool changed = false;  // made, written or truncated by the session: only then written out
  bool inexact = false;  // parts of the content are not in the trace
  FileContent content;
  std::string target;  // of a link
};

struct MaterializeResult {
  uint64_t files = 0, directories = 0, links = 0;
  std::vector<std::string> notes;  // "/path: why it is missing or inexact"
};

class FileTree {
 public:
  // An absolute path without ".", ".." and the links that the session made to directories.
  std::string resolve(const std::string& absolutePath) const;

  std::shared_ptr<FileNode> find(const std::string& path) const;
  void put(const std::string& path, std::shared_ptr<FileNode> node);
  // With everything below it.
  void remove(const std::string& path);
  void rename(const std::string& from, const std::string& to, bool exchange);
  // The name stands for something whose content is not in the trace.
  void markMissing(const std::string& path, const std::string& why);

  // Beneath `directory`, which is made if need be. Links found there are never followed, so nothing
  // is written outside of it. Files of the same names are replaced.
  MaterializeResult writeTo(const std::string& directory, const Spool& spool,
                            const ReadBlob& readBlob) const;

 private:
  // Takes the subtree away, keyed by what follows `path` ("" for the path itself).
  template <typename Value>
  static std::map<std::string, Value> take(std::map<std::string, Value>& from,
                                           const std::string& path);

  std::map<std::string, std::shared_ptr<FileNode>> nodes_;
  std::map<std::string, std::string> missing_;
};

}  // namespace airr
