#include <sys/wait.h>

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>
#include <vector>

#include "tools/inspect.h"
#include "tools/text.h"
#include "replayer/open_trace.h"

namespace airr::tools {
namespace {

constexpr size_t kShown = 20;  // names a list in text; JSON has them all

std::vector<std::pair<uint64_t, SyscallCount>> byCount(const TraceSummary& summary) {
  std::vector<std::pair<uint64_t, SyscallCount>> all(summary.syscalls.begin(),
                                                     summary.syscalls.end());
  std::stable_sort(all.begin(), all.end(),
                   [](auto& a, auto& b) { return a.second.calls > b.second.calls; });
  return all;
}

uint64_t callCount(const TraceSummary& summary) {
  uint64_t calls = 0;
  for (auto& [number, count] : summary.syscalls) calls += count.calls;
  return calls;
}

std::vector<std::string> filesWhere(const TraceSummary& summary, bool changed) {
  std::vector<std::string> names;
  for (auto& [path, use] : summary.files) {
    if ((use.writable || use.changed) == changed) names.push_back(path);
  }
  return names;
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream from(text);
  for (std::string line; std::getline(from, line);) all.push_back(line);
  return all;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : "; ") + printable(text);
  return all;
}

class Printer {
 public:
  explicit Printer(std::ostream& to) : to_(to) {}

  void field(const char* name, const std::string& value) {
    to_ << std::left << std::setw(12) << name << value << '\n';
  }

  template <typename Items, typename Show>
  void list(const std::string& title, const Items& items, Show show) {
    if (items.empty()) return;
    to_ << '\n' << title << " (" << items.size() << ")\n";
    size_t shown = 0;
    for (const auto& item : items) {
      if (shown == kShown) {
        to_ << "  … and " << items.size() - shown << " more (see --json)\n";
        return;
      }
      to_ << "  " << show(item) << '\n';
      ++shown;
    }
  }

 private:
  std::ostream& to_;
};

std::string processLine(const ProcessSummary& process) {
  std::string line = std::to_string(process.number);
  if (process.parent) line += " from " + std::to_string(process.parent);
  line += ": ";
  for (size_t i = 0; i < process.images.size() && i < 4; ++i) {
    if (i) line += " -> ";
    line += commandLine(process.images[i].arguments);
  }
  if (process.images.size() > 4) line += " -> …";
  if (process.images.empty()) line += "(no exec)";
  line += "  [" + plural(process.events, "event");
  if (process.tasks > 1) line += ", " + plural(process.tasks, "task");
  if (process.status) line += ", " + waitStatus(*process.status);
  return line + "]";
}

}  // namespace

void printSummary(const TraceSummary& s, const std::string& notAuthenticated, std::ostream& to) {
  Printer print(to);
  print.field("command", commandLine(s.arguments));
  print.field("program", printable(s.program));
  print.field("directory", printable(s.directory));
  print.field("started", utcTime(s.startedAt));
  print.field("duration", seconds(s.duration));
  print.field("ended", (s.status ? waitStatus(*s.status) : std::string("not recorded")) +
                           (s.reason.empty() ? "" : ": " + printable(s.reason)));
  print.field("machine", printable(s.hostName + ", Linux " + s.kernelRelease + ", " + s.cpuModel));
  print.field("user", std::to_string(s.userId) + ", group " + std::to_string(s.groupId));
  print.field("session", s.sessionId + ", airr " + printable(s.airrVersion));
  print.field("trace", std::string(toString(s.end)) + ", " +
                           (s.authenticated ? "authenticated"
                                            : "NOT authenticated: " + printable(notAuthenticated)));
  print.field("size", byteCount(s.fileSize) + ": " + plural(s.events, "event") + " in " +
                          plural(s.frames, "frame") + " (" + decimal(s.bytesPerEvent()) +
                          " B an event), " + plural(s.blobs, "blob") + " (" +
                          byteCount(s.blobStoredBytes) + ", " + byteCount(s.blobBytes) +
                          " unpacked)");
  print.field("counts", plural(s.processes.size(), "process") + ", " + plural(s.tasks, "task") +
                            ", " + plural(s.execs, "exec") + ", " + plural(callCount(s), "call") +
                            ", " + plural(s.signals, "signal") + ", " +
                            plural(s.clockReadings, "clock reading"));
  if (!s.policy.empty()) {
    print.field("policy", printable(s.policy) + ": " + plural(s.decisions, "decision") + " on record, " +
                              plural(s.denials, "denial"));
  }
  if (!s.bounds.empty()) print.field("Landlock", joined(lines(s.bounds)));
  if (!s.overlays.empty()) print.field("overlay", joined(s.overlays));
  std::string traps;
  for (auto& [kind, count] : s.traps) {
    traps += (traps.empty() ? "" : ", ") + kind + " " + std::to_string(count);
  }
  if (!traps.empty()) print.field("traps", traps);
  print.field("forced", s.forced.total() == 0
                            ? std::string("none")
                            : "spin " + std::to_string(s.forced.spin) + ", quantum " +
                                  std::to_string(s.forced.quantum) + ", signal " +
                                  std::to_string(s.forced.signal));

  print.list("processes", s.processes, [](auto& entry) { return processLine(entry.second); });
  print.list("syscalls", byCount(s), [](auto& entry) {
    std::string line = syscallName(entry.first) + " " + std::to_string(entry.second.calls);
    if (entry.second.failures) line += ", failed " + std::to_string(entry.second.failures);
    return line;
  });
  std::vector<std::string> refusals;
  for (auto& [number, count] : s.syscalls) {
    if (count.refusals) {
      refusals.push_back(syscallName(number) + " " + std::to_string(count.refusals));
    }
  }
  auto asIs = [](const std::string& line) { return line; };
  auto name = [](const std::string& path) { return inQuotes(path); };
  print.list("refused", refusals, asIs);
  print.list("files written or changed", filesWhere(s, true), name);
  print.list("files read", filesWhere(s, false), name);
  print.list("connections", s.connections, [](auto& entry) {
    return printable(entry.first) +
           (entry.second > 1 ? " ×" + std::to_string(entry.second) : std::string());
  });
  if (s.namesLeftOut) to << '\n' << s.namesLeftOut << " further uses of names are not listed\n";
}

void printSummaryJson(const TraceSummary& s, const std::string& notAuthenticated,
                      std::ostream& to) {
  using nlohmann::json;
  auto texts = [](const std::vector<std::string>& all) {
    json list = json::array();
    for (auto& text : all) list.push_back(jsonText(text));
    return list;
  };
  auto status = [](const std::optional<int>& value) -> json {
    if (!value) return nullptr;
    json object = {{"wait", *value}, {"text", waitStatus(*value)}};
    if (WIFEXITED(*value)) object["exit"] = WEXITSTATUS(*value);
    if (WIFSIGNALED(*value)) object["signal"] = signalName(WTERMSIG(*value));
    return object;
  };

  json processes = json::array();
  for (auto& [number, process] : s.processes) {
    json images = json::array();
    for (auto& image : process.images) {
      images.push_back({{"path", jsonText(image.path)}, {"arguments", texts(image.arguments)}});
    }
    processes.push_back({{"process", number},
                         {"parent", process.parent ? json(process.parent) : json(nullptr)},
                         {"tasks", process.tasks},
                         {"events", process.events},
                         {"startedMicroseconds", process.started},
                         {"endedMicroseconds", process.ended},
                         {"execs", std::move(images)},
                         {"status", status(process.status)}});
  }
  json calls = json::array();
  for (auto& [number, count] : byCount(s)) {
    calls.push_back({{"name", syscallName(number)},
                     {"number", number},
                     {"calls", count.calls},
                     {"failures", count.failures},
                     {"refusals", count.refusals}});
  }
  json files = json::array();
  for (auto& [path, use] : s.files) {
    files.push_back({{"path", jsonText(path)},
                     {"opens", use.opens},
                     {"writable", use.writable},
                     {"changed", use.changed}});
  }
  json connections = json::array();
  for (auto& [text, count] : s.connections) {
    connections.push_back({{"what", jsonText(text)}, {"count", count}});
  }
  json document = {
      {"command", texts(s.arguments)},
      {"program", jsonText(s.program)},
      {"policy", {{"name", jsonText(s.policy)}, {"decisions", s.decisions}, {"denials", s.denials}}},
      {"bounds", texts(lines(s.bounds))},
      {"overlays", texts(s.overlays)},
      {"directory", jsonText(s.directory)},
      {"startedAt", utcTime(s.startedAt)},
      {"durationMicroseconds", s.duration},
      {"status", status(s.status)},
      {"reason", jsonText(s.reason)},
      {"machine",
       {{"hostName", jsonText(s.hostName)},
        {"kernelRelease", jsonText(s.kernelRelease)},
        {"cpuModel", jsonText(s.cpuModel)}}},
      {"userId", s.userId},
      {"groupId", s.groupId},
      {"sessionId", s.sessionId},
      {"airrVersion", jsonText(s.airrVersion)},
      {"trace",
       {{"end", toString(s.end)},
        {"authenticated", s.authenticated},
        {"notAuthenticatedBecause",
         notAuthenticated.empty() ? json(nullptr) : jsonText(notAuthenticated)},
        {"size", s.fileSize},
        {"validSize", s.validSize},
        {"frames", s.frames},
        {"events", s.events},
        {"bytesPerEvent", s.bytesPerEvent()},
        {"blobs", s.blobs},
        {"blobBytes", s.blobBytes},
        {"blobStoredBytes", s.blobStoredBytes}}},
      {"tasks", s.tasks},
      {"execs", s.execs},
      {"signals", s.signals},
      {"clockReadings", s.clockReadings},
      {"notes", s.notes},
      {"traps", s.traps},
      {"forced",
       {{"spin", s.forced.spin}, {"quantum", s.forced.quantum}, {"signal", s.forced.signal}}},
      {"processes", std::move(processes)},
      {"syscalls", std::move(calls)},
      {"files", std::move(files)},
      {"connections", std::move(connections)},
      {"namesLeftOut", s.namesLeftOut}};
  to << dump(document) << '\n';
}

}  // namespace airr::tools
