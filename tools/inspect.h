// The parts of `airr inspect`: what to show, and the two ways of showing it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "replayer/trace_reader.h"
#include "replayer/trace_summary.h"

namespace airr::tools {

struct InspectOptions {
  std::string trace;
  bool json = false;
  bool events = false;
  std::optional<uint32_t> process;
  std::string syscall;  // name; empty for any
  std::vector<std::string> identities;  // files of private keys
  std::string path;     // glob, in which * passes over slashes; empty for any
  bool showEvents() const { return events || process || !syscall.empty() || !path.empty(); }
};

void printSummary(const TraceSummary& summary, const std::string& notAuthenticated,
                  std::ostream& to);
void printSummaryJson(const TraceSummary& summary, const std::string& notAuthenticated,
                      std::ostream& to);
// One line an event, of the events that pass the filters.
void printEvents(TraceReader& trace, const InspectOptions& options, std::ostream& to);

// One event by itself.
std::string eventLine(const schema::Event::Reader& event);
nlohmann::json eventObject(const schema::Event::Reader& event);

// The table's name for a number, or "syscall_9999".
std::string syscallName(uint64_t number);

}  // namespace airr::tools
