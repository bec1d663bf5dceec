// Runs a program with the gate mapped into it, as the mediator does but no more of it: for the
// tests of the gate and of the shim.
//
// One run at a time and thread: it waits for any child. Throws airr::Error when ptrace refuses.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "recorder/gate/gate.h"

namespace airr::test {

struct GatedRun {
  int status = 0;                                  // of waitpid
  std::string output;                              // standard output and standard error
  std::vector<std::pair<int, std::string>> notes;  // AIRR_NOTE_* and text, in order, of all tasks
  std::vector<long> calls;  // the numbers of all stopped system calls, of all tasks
  airr_gate_data data{};    // of the first process, as it exited
};

// Executes argv with `environment` added; each program that any of its processes executes gets the
// gate with a copy of `data`. Notes are answered with 0.
GatedRun runGated(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                  const airr_gate_data& data);

}  // namespace airr::test
