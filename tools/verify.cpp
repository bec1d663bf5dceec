#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recorder/files.h"
#include "recorder/keys.h"
#include "recorder/signing.h"
#include "replayer/content_check.h"
#include "replayer/event_proof.h"
#include "replayer/open_trace.h"
#include "replayer/trace_verifier.h"
#include "schema/error.h"
#include "tools/commands.h"
#include "tools/identity_option.h"
#include "tools/inspect.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

struct Options {
  std::string trace;
  std::string publicKey;
  std::string proof;
  std::string redactor;
  std::string witness;
  std::vector<std::string> identities;  // files of private keys
  unsigned threads = 0;
  bool content = false;
  bool json = false;
};

struct Report {
  Verification proof;
  std::string command, started;
  std::vector<std::string> readers;  // fingerprints of those whom it is encrypted to
  bool hidesMetadata = false;        // events without their contents, too, are for them alone
  std::optional<ContentCheck> content;
};

Report verify(const Options& options) {
  Report report;
  VerifyWith with{.witness = options.witness, .threads = options.threads};
  if (!options.redactor.empty()) with.redactor = loadPublicKey(options.redactor);
  OpenTrace trace;
  if (options.publicKey.empty()) {
    trace = openForVerifying(options.trace, options.identities);
    with.keys = trace.keys.get();
  } else {
    if (options.content || !options.identities.empty())
      trace.identities = identitiesFor(options.trace, options.identities);
    trace.reader = std::make_unique<TraceReader>(options.trace, nullptr, trace.identities);
    with.publicKey = loadPublicKey(options.publicKey);
  }
  report.proof = verifyTrace(options.trace, with);
  std::vector<std::string> words;
  const auto header = trace.reader->header();
  for (auto word : header.getArguments()) words.emplace_back(word.begin(), word.end());
  report.command = commandLine(words);
  report.started = utcTime(header.getStartedAt());
  for (const SealedKey& one : trace.reader->recipients())
    report.readers.push_back(fingerprint(one.recipient));
  report.hidesMetadata = trace.reader->hidesMetadata();
  if (options.content && report.proof.verdict != ExitCode::kTampered) {
    report.content = checkContent(*trace.reader);
  }
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
    case ExitCode::kWitness:
      return "witness";
    case ExitCode::kEncrypted:
      return "encrypted";
    case ExitCode::kUnreadable:
      return "unreadable";
    case ExitCode::kVersion:
      return "version";
    default:
      return "failure";
  }
}

const char* keyName(const Options& options) {
  return options.publicKey.empty() ? "root key and signatures" : "signatures, by the public key";
}

// "frame 3", "frames 3 to 7"
std::string frameRange(uint64_t first, uint64_t last) {
  if (first == last) return "frame " + std::to_string(first);
  return "frames " + std::to_string(first) + " to " + std::to_string(last);
}

std::string describe(const FrameFault& fault) {
  return frameRange(fault.firstFrame, fault.lastFrame) + " (bytes " + std::to_string(fault.start) +
         "-" + std::to_string(fault.stop) + "): " + fault.why;
}

std::vector<std::string> readersOf(const RedactionRecord& redaction) {
  std::vector<std::string> readers;
  for (const SealedKey& one : redaction.recipients) readers.push_back(fingerprint(one.recipient));
  return readers;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void printText(const Report& report, const Options& options) {
  const Verification& proof = report.proof;
  std::cout << printable(options.trace) << ": ";
  if (proof.fault) {
    std::cout << "TAMPERED: " << describe(*proof.fault) << '\n';
  } else if (proof.end == TraceEnd::kSealed) {
    std::cout << "intact and sealed\n";
  } else if (proof.end == TraceEnd::kUnsealed) {
    std::cout << "unsealed: intact up to its end, but the session did not end in order\n";
  } else {
    std::cout << "truncated: intact up to its last whole frame; "
              << proof.fileSize - proof.whole.bytes << " bytes after it are not proved\n";
  }
  const auto& proved = proof.proved;
  std::cout << "  proved    bytes 0 to " << proved.bytes << " of " << proof.fileSize << ": "
            << plural(proved.frames, "frame") << ", " << plural(proved.events, "event") << ", "
            << plural(proved.blobs, "blob") << '\n'
            << "  by        " << keyName(options) << " (" << fingerprint(proof.publicKey) << "); "
            << plural(proof.checkpoints.size(), "checkpoint") << '\n';
  if (proved.frames > proof.signedPart.frames) {
    std::cout << "  unsigned  " << frameRange(proof.signedPart.frames + 1, proved.frames)
              << ": proved by the root key only\n";
  } else if (!proof.fault && proved.frames < proof.whole.frames) {
    std::cout << "  unproved  " << frameRange(proved.frames + 1, proof.whole.frames)
              << ": no checkpoint covers them\n";
  }
  if (!report.readers.empty()) {
    std::cout << "  encrypted to " << joined(report.readers)
              << (report.hidesMetadata ? "" : "; metadata in the clear") << '\n';
  }
  for (const RedactionRecord& redaction : proof.redactions) {
    std::cout << (redaction.recipients.empty() ? "  redacted  " : "  encrypted ")
              << plural(redaction.blobs.size(), "blob") << " by "
              << printable(redaction.by) << " (" << fingerprint(redaction.publicKey) << ") on "
              << utcTime(redaction.time);
    if (!redaction.recipients.empty()) std::cout << ", to " << joined(readersOf(redaction));
    if (!redaction.reason.empty()) std::cout << ": " << printable(redaction.reason);
    std::cout << '\n';
  }
  if (!options.witness.empty()) {
    std::cout << "  witness   "
              << (proof.witnessFault.empty() ? plural(proof.witnessed, "head") + " that it has seen"
                                             : "DISAGREES: " + proof.witnessFault)
              << '\n';
  }
  if (report.content) {
    const ContentCheck& content = *report.content;
    std::cout << "  content   every event and blob can be read (" << byteCount(content.blobBytes)
              << " of blobs"
              << (content.redactedBlobs ? ", " + std::to_string(content.redactedBlobs) + " redacted"
                                        : "")
              << (content.missingBlobs
                      ? ", " + std::to_string(content.missingBlobs) + " more cut off"
                      : "")
              << (content.encryptedBlobs
                      ? ", " + std::to_string(content.encryptedBlobs) + " encrypted to others"
                      : "")
              << ")\n";
  }
  if (!report.command.empty()) std::cout << "  command   " << report.command << '\n';
  std::cout << "  started   " << report.started << '\n';
  if (report.content) {
    const ContentCheck& content = *report.content;
    std::cout << "  ended     " << (content.status ? waitStatus(*content.status) : "not recorded");
    if (!content.reason.empty()) std::cout << ": " << printable(content.reason);
    std::cout << '\n';
  }
}

nlohmann::json toJson(const Verification::Extent& extent) {
  return {{"bytes", extent.bytes},
          {"frames", extent.frames},
          {"events", extent.events},
          {"blobs", extent.blobs}};
}

nlohmann::json toJson(const Report& report, const Options& options) {
  const Verification& proof = report.proof;
  nlohmann::json json = {
      {"verdict", verdictName(proof.verdict)},
      {"end", proof.fault ? nlohmann::json(nullptr) : nlohmann::json(toString(proof.end))},
      {"by", options.publicKey.empty() ? "root-key" : "public-key"},
      {"publicKey", hex(proof.publicKey.data(), proof.publicKey.size())},
      {"fileSize", proof.fileSize},
      {"proved", toJson(proof.proved)},
      {"signed", toJson(proof.signedPart)},
      {"whole", toJson(proof.whole)},
      {"redactedFrames", proof.removed},
      {"reencryptedFrames", proof.reencrypted},
      {"encryption", nullptr},
      {"checkpoints", nlohmann::json::array()},
      {"fault", nullptr},
      {"content", nullptr},
      {"command", report.command},
      {"started", report.started}};
  if (!report.readers.empty()) {
    json["encryption"] = {{"recipients", report.readers}, {"metadata", report.hidesMetadata}};
  }
  json["redactions"] = nlohmann::json::array();
  for (const RedactionRecord& redaction : proof.redactions) {
    nlohmann::json blobs = nlohmann::json::array();
    for (const auto& [blob, redacted] : redaction.blobs) {
      blobs.push_back({{"blob", blob}, {"why", jsonText(redacted.why)}});
    }
    json["redactions"].push_back({{"frame", redaction.frame},
                                  {"time", utcTime(redaction.time)},
                                  {"by", jsonText(redaction.by)},
                                  {"reason", jsonText(redaction.reason)},
                                  {"publicKey", hex(redaction.publicKey.data(), 32)},
                                  {"recipients", readersOf(redaction)},
                                  {"blobs", std::move(blobs)}});
  }
  json["witness"] = nullptr;
  if (!options.witness.empty()) {
    json["witness"] = {{"heads", proof.witnessed},
                       {"fault", proof.witnessFault.empty() ? nlohmann::json(nullptr)
                                                            : nlohmann::json(proof.witnessFault)}};
  }
  for (const auto& covered : proof.checkpoints) {
    json["checkpoints"].push_back({{"epoch", covered.epoch},
                                   {"firstFrame", covered.firstFrame},
                                   {"lastFrame", covered.lastFrame},
                                   {"start", covered.start},
                                   {"stop", covered.stop},
                                   {"digest", hex(covered.digest.data(), covered.digest.size())}});
  }
  if (proof.fault) {
    json["fault"] = {{"firstFrame", proof.fault->firstFrame},
                     {"lastFrame", proof.fault->lastFrame},
                     {"start", proof.fault->start},
                     {"stop", proof.fault->stop},
                     {"why", proof.fault->why}};
  }
  if (report.content) {
    const ContentCheck& content = *report.content;
    json["content"] = {{"events", content.events},
                       {"blobBytes", content.blobBytes},
                       {"redactedBlobs", content.redactedBlobs},
                       {"missingBlobs", content.missingBlobs},
                       {"encryptedBlobs", content.encryptedBlobs},
                       {"status", content.status ? nlohmann::json(*content.status) : nullptr},
                       {"reason", jsonText(content.reason)}};
  }
  return json;
}

std::vector<uint8_t> readProof(const std::string& path) {
  UniqueFd file = openOwn(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kUnreadable, "cannot open the proof '" + path + "'");
  }
  std::vector<uint8_t> bytes(
      std::min<uint64_t>(static_cast<uint64_t>(status.st_size), EventProof::kMaxSize + 1));
  if (readWhole(file.get(), bytes, 0) != static_cast<ssize_t>(bytes.size())) {
    throw systemError("cannot read the proof '" + path + "'");
  }
  return bytes;
}

void verifyProof(const Options& options) {
  const PublicKey key = options.publicKey.empty()
                            ? KeyStore::peek(KeyStore::defaultPath()).publicKey
                            : loadPublicKey(options.publicKey);
  const EventProof proof(readProof(options.proof), key, options.proof);
  const auto header = proof.header();
  const auto session = header.getSessionId();
  if (options.json) {
    std::cout << dump({{"verdict", "intact"},
                       {"publicKey", hex(key.data(), key.size())},
                       {"session", hex(session.begin(), session.size())},
                       {"started", utcTime(header.getStartedAt())},
                       {"frame", proof.frame()},
                       {"event", proof.eventNumber()},
                       {"alone", proof.isAlone()},
                       {"content", eventObject(proof.event())}})
              << '\n';
    return;
  }
  std::cout << printable(options.proof) << ": proved: event " << proof.eventNumber()
            << " of session " << hex(session.begin(), session.size()) << '\n'
            << "  by        signatures, by the public key (" << fingerprint(key) << ")\n"
            << "  started   " << utcTime(header.getStartedAt()) << '\n'
            << "  at        " << seconds(proof.event().getTime()) << ", task "
            << proof.event().getTask() << ", frame " << proof.frame() << '\n'
            << "  event     " << eventLine(proof.event()) << '\n';
}

Error tamperedTrace(const Options& options, const Verification& proof) {
  return Error(ExitCode::kTampered,
               "'" + options.trace + "' was altered: " + describe(*proof.fault),
               "bytes 0 to " + std::to_string(proof.proved.bytes) +
                   " are authentic; for the rest, use an unaltered copy");
}

int run(const Options& options) {
  std::optional<Error> fault;
  try {
    if (options.proof.empty() == options.trace.empty()) {
      throw Error(ExitCode::kFailure, "verify: give either a trace or --proof",
                  "See 'airr verify --help'");
    }
    if (!options.proof.empty()) {
      verifyProof(options);
      return 0;
    }
    const Report report = verify(options);
    if (options.json) {
      std::cout << dump(toJson(report, options)) << '\n';
    } else {
      printText(report, options);
    }
    if (report.proof.fault) {
      fault = tamperedTrace(options, report.proof);
    } else if (!report.proof.witnessFault.empty()) {
      fault = Error(ExitCode::kWitness,
                    "'" + options.trace + "' is not what the witness '" + options.witness +
                        "' has seen: " + report.proof.witnessFault,
                    "the trace by itself is consistent; whoever made it had its keys");
    } else {
      return static_cast<int>(report.proof.verdict);
    }
  } catch (const Error& error) {
    if (options.json) {
      std::cout << dump({{"verdict", verdictName(error.code())},
                         {"message", jsonText(error.what())}})
                << '\n';
    }
    throw;
  }
  throw *fault;
}

}  // namespace

Command addVerify(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Print one JSON object");
  app.add_option("--public-key", options->publicKey,
                 "Verify with this public key alone (airr key export-public)")
      ->type_name("FILE");
  app.add_flag("--content", options->content,
               "Also read every event and every blob (slower; finds a faulty recorder)");
  app.add_option("--jobs", options->threads, "Threads; all CPUs if it is not given")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
  app.add_option("--witness", options->witness,
                 "Compare with what this witness has seen (record --witness)")
      ->type_name("FILE|URL");
  app.add_option("--redactor", options->redactor,
                 "Public key of somebody else than the recorder who may redact")
      ->type_name("FILE");
  app.add_option("--proof", options->proof, "Verify a proof that 'airr prove' wrote, not a trace")
      ->type_name("FILE");
  addIdentityOption(app, options->identities);
  app.add_option("trace", options->trace, "Trace to verify")->type_name("TRACE");
  app.footer(
      "Exits with 0 if the trace is intact and sealed, 110 if it is unsealed or truncated, 111 if\n"
      "it was altered, 112 if the key at hand is not the one that it was recorded with, 121 if it\n"
      "is no trace, 113 if the witness disagrees. The public key alone proves what checkpoints "
      "cover; the root key every frame.");
  return [options] { return run(*options); };
}

}  // namespace airr::tools
