#include <capnp/dynamic.h>
#include <kj/exception.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <memory>

#include "replayer/trace_summary.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/text.h"
#include "replayer/open_trace.h"

namespace airr::tools {
namespace {

struct Options {
  std::string trace;
  bool json = false;
};

struct Report {
  TraceEnd end = TraceEnd::kTruncated;
  uint64_t frames = 0, events = 0, blobs = 0, redacted = 0, missing = 0, blobBytes = 0,
           fileSize = 0, validSize = 0;
  std::string command, started;
  std::optional<int> status;
  std::string reason;

  ExitCode code() const {
    return end == TraceEnd::kSealed ? ExitCode::kSuccess : ExitCode::kUnsealed;
  }
};

// Decodes every field, so that what verifies can also be read, and checks that the parts of blobs
// that it names exist: at the end, as blobs may come after the events that name them.
class EventChecker {
 public:
  explicit EventChecker(const TraceReader& trace) : trace_(trace) {}

  void check(const schema::Event::Reader& event) {
    try {
      walk(capnp::DynamicStruct::Reader(event));
    } catch (const kj::Exception& error) {
      fail(trace_.eventNumber(), error.getDescription().cStr());
    }
  }

  // After the last event; the number of blobs that are named but come after the end of the trace.
  uint64_t missingBlobs() const {
    uint64_t missing = 0;
    for (const auto& [blob, use] : uses_) {
      const std::string name = "blob " + std::to_string(blob);
      if (blob >= trace_.blobCount()) {
        if (trace_.end() == TraceEnd::kSealed) {
          fail(use.event, "it names " + name + ", which the trace has not");
        }
        ++missing;
      } else if (use.end > trace_.blobInfo(blob).size) {
        fail(use.event, "it names bytes beyond the end of " + name);
      }
    }
    return missing;
  }

 private:
  // How far a blob is used, and the event that uses it that far.
  struct Use {
    uint64_t end = 0, event = 0;
  };

  [[noreturn]] static void fail(uint64_t event, const std::string& why) {
    throw Error(ExitCode::kTampered, "event " + std::to_string(event) + " is damaged: " + why);
  }

  void walk(capnp::DynamicStruct::Reader value) {
    if (value.getSchema() == capnp::Schema::from<schema::BlobRange>()) {
      checkRange(value.as<schema::BlobRange>());
      return;
    }
    for (auto field : value.getSchema().getNonUnionFields()) walk(value.get(field));
    KJ_IF_MAYBE (field, value.which()) {
      walk(value.get(*field));
    }
  }

  void walk(capnp::DynamicValue::Reader value) {
    switch (value.getType()) {
      case capnp::DynamicValue::STRUCT:
        walk(value.as<capnp::DynamicStruct>());
        break;
      case capnp::DynamicValue::LIST: {
        auto list = value.as<capnp::DynamicList>();
        auto element = list.getSchema().whichElementType();
        bool plain = element != capnp::schema::Type::STRUCT &&
                     element != capnp::schema::Type::TEXT && element != capnp::schema::Type::DATA;
        if (!plain) {
          for (auto item : list) walk(item);
        }
        break;
      }
      default:
        break;  // text, data and numbers were decoded by reading them
    }
  }

  void checkRange(schema::BlobRange::Reader range) {
    if (range.getBlob() == 0 && range.getOffset() == 0 && range.getLength() == 0) return;
    if (range.getLength() > UINT64_MAX - range.getOffset()) {
      fail(trace_.eventNumber(), "it names an impossible part of a blob");
    }
    const uint64_t end = range.getOffset() + range.getLength();
    Use& use = uses_[range.getBlob()];
    if (use.event == 0 || end > use.end) use = {end, trace_.eventNumber()};
  }

  const TraceReader& trace_;
  std::map<uint32_t, Use> uses_;
};

Report verify(TraceReader& trace) {
  Report report;
  std::vector<std::string> words;
  for (auto word : trace.header().getArguments()) words.emplace_back(word.begin(), word.end());
  report.command = commandLine(words);
  report.started = utcTime(trace.header().getStartedAt());

  EventChecker checker(trace);
  while (auto event = trace.next()) {
    checker.check(*event);
    ++report.events;
    if (event->isSessionEnd()) {
      report.status = event->getSessionEnd().getStatus();
      report.reason = event->getSessionEnd().getReason().cStr();
    }
  }
  report.missing = checker.missingBlobs();
  for (uint32_t blob = 0; blob < trace.blobCount(); ++blob) {
    report.blobBytes += trace.blobInfo(blob).size;
    if (trace.blobInfo(blob).redacted) {
      ++report.redacted;
    } else {
      trace.checkBlob(blob);
    }
  }
  report.end = trace.end();
  report.frames = trace.frameCount();
  report.blobs = trace.blobCount();
  report.fileSize = trace.fileSize();
  report.validSize = trace.validSize();
  return report;
}

const char* verdictName(ExitCode code) {
  switch (code) {
    case ExitCode::kSuccess:
      return "intact";
    case ExitCode::kUnsealed:
      return "unsealed";
    case ExitCode::kTampered:
      return "tampered";
    case ExitCode::kWrongKey:
      return "wrong-key";
    case ExitCode::kUnreadable:
      return "unreadable";
    case ExitCode::kVersion:
      return "version";
    default:
      return "failure";
  }
}

void printText(const Report& report, const std::string& path) {
  switch (report.end) {
    case TraceEnd::kSealed:
      std::cout << printable(path) << ": intact and sealed\n";
      break;
    case TraceEnd::kUnsealed:
      std::cout << printable(path)
                << ": unsealed: intact up to its end, but the session did not end in order\n";
      break;
    case TraceEnd::kTruncated:
      std::cout << printable(path) << ": truncated: intact up to its last whole frame; "
                << report.fileSize - report.validSize << " bytes after it are not proved\n";
      break;
  }
  std::cout << "  proved    bytes 0 to " << report.validSize << " of " << report.fileSize << '\n'
            << "  content   " << plural(report.frames, "frame") << ", "
            << plural(report.events, "event") << ", " << plural(report.blobs, "blob") << " ("
            << byteCount(report.blobBytes)
            << (report.redacted ? ", " + std::to_string(report.redacted) + " redacted" : "")
            << (report.missing ? ", " + std::to_string(report.missing) + " more cut off" : "")
            << ")\n"
            << "  command   " << report.command << '\n'
            << "  started   " << report.started << '\n'
            << "  ended     " << (report.status ? waitStatus(*report.status) : "not recorded");
  if (!report.reason.empty()) std::cout << ": " << printable(report.reason);
  std::cout << '\n';
}

nlohmann::json toJson(const Report& report) {
  nlohmann::json json = {{"verdict", verdictName(report.code())},
                         {"end", toString(report.end)},
                         {"frames", report.frames},
                         {"events", report.events},
                         {"blobs", report.blobs},
                         {"blobBytes", report.blobBytes},
                         {"redactedBlobs", report.redacted},
                         {"missingBlobs", report.missing},
                         {"fileSize", report.fileSize},
                         {"provedSize", report.validSize},
                         {"command", report.command},
                         {"started", report.started},
                         {"status", nullptr},
                         {"reason", jsonText(report.reason)}};
  if (report.status) json["status"] = *report.status;
  return json;
}

int run(const Options& options) {
  try {
    OpenTrace trace = openAuthenticated(options.trace);
    Report report = verify(*trace.reader);
    if (options.json) {
      std::cout << dump(toJson(report)) << '\n';
    } else {
      printText(report, options.trace);
    }
    return static_cast<int>(report.code());
  } catch (const Error& error) {
    if (options.json) {
      std::cout << dump({{"verdict", verdictName(error.code())},
                         {"message", jsonText(error.what())}})
                << '\n';
    }
    throw;
  }
}

}  // namespace

Command addVerify(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Print one JSON object");
  app.add_option("trace", options->trace, "Trace to verify")->type_name("TRACE")->required();
  app.footer(
      "Exits with 0 if the trace is intact and sealed, 110 if it is unsealed or truncated, 111 if\n"
      "it was altered, 112 if the key at hand is not the one that it was recorded with.");
  return [options] { return run(*options); };
}

}  // namespace airr::tools
