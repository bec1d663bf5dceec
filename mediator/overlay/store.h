// Where the overlays of sessions are kept until a human merges or drops them: a directory for each
// session in $XDG_DATA_HOME/airr/overlays, which the floor keeps from all sessions.
//
// In it: `record`, what the session was; for the N-th tree N/upper, with what it changed, and N/work,
// which is the kernel's; and `baseline`, what the changed entries of the trees were when it ended. Records
// are NUL-separated fields, read with bounds.
//
// A Store owns a lock on its directory while it lives: the recorder's for the session, a merge's for the
// merge. One thread. Failure: Error (kFailure).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/unique_fd.h"

namespace airr::overlay {

struct Record {
  std::string session;  // 32 hex digits
  std::string trace;
  int64_t began = 0;    // nanoseconds since 1970, by the clock that stamps files
  std::vector<std::string> trees, command;
};

// What an entry of a tree was at the session's end.
struct Baseline {
  std::string state;     // stateOf() in hex
  bool touched = false;  // it had changed beneath the session
};
using Baselines = std::map<std::string, Baseline>;  // by name in its tree; not there: it was not

class Store {
 public:
  static Store make(Record record);
  // Throws if there is none, or if its session or a merge still runs.
  static Store open(const std::string& session);
  static std::vector<Record> list();

  const Record& record() const { return record_; }
  const std::string& path() const { return path_; }
  std::string upperOf(size_t tree) const { return path_ + "/" + std::to_string(tree) + "/upper"; }
  std::string workOf(size_t tree) const { return path_ + "/" + std::to_string(tree) + "/work"; }

  void keepBaselines(const std::vector<Baselines>&) const;  // of each tree
  // Empty if the session did not come to its end.
  std::vector<Baselines> baselines() const;
  void remove();

 private:
  Store(std::string path, Record record, UniqueFd lock);
  std::string path_;
  Record record_;
  UniqueFd lock_;
};

}  // namespace airr::overlay
