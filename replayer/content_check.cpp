#include "replayer/content_check.h"

#include <capnp/dynamic.h>
#include <kj/exception.h>

#include <map>

#include "schema/error.h"

namespace airr {
namespace {

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

}  // namespace

ContentCheck checkContent(TraceReader& trace) {
  ContentCheck result;
  EventChecker checker(trace);
  trace.requireContents();
  trace.rewind();
  while (auto event = trace.next()) {
    checker.check(*event);
    ++result.events;
    if (event->isSessionEnd()) {
      result.status = event->getSessionEnd().getStatus();
      result.reason = event->getSessionEnd().getReason().cStr();
    }
  }
  result.missingBlobs = checker.missingBlobs();
  for (uint32_t blob = 0; blob < trace.blobCount(); ++blob) {
    result.blobBytes += trace.blobInfo(blob).size;
    if (trace.blobInfo(blob).redacted) {
      ++result.redactedBlobs;
      continue;
    }
    try {
      trace.checkBlob(blob);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kEncrypted || !trace.blobInfo(blob).reencrypted) throw;
      ++result.encryptedBlobs;
    }
  }
  return result;
}

}  // namespace airr
