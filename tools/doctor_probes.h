// What this host can do, found out by trying: nothing is concluded from a version number.
//
// Probes that change or may kill the process that tries them run in a forked child. Call from a
// process with one thread. Probes do not throw: one that cannot be carried out says so.
#pragma once

#include <string>
#include <vector>

namespace airr::tools {

enum class Answer { kYes, kNo, kUnknown };

struct Probe {
  std::string name;  // stable: a key in --json
  Answer answer = Answer::kUnknown;
  bool needed = false;  // without it airr cannot record or replay
  std::string detail;   // what was seen
  std::string meaning;  // what airr does with it, or without it
};

std::vector<Probe> probeHost();

}  // namespace airr::tools
