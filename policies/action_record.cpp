#include "policies/action_record.h"

#include <capnp/message.h>
#include <capnp/orphan.h>

#include <algorithm>
#include <cstring>

#include "recorder/digest.h"

namespace airr::policies {
namespace {

// Facts that follow from the events before, or from the past of the session.
constexpr FactSet kNotRecorded = only(Fact::kExe) | only(Fact::kExeName) | only(Fact::kLineage) |
                                 only(Fact::kLabels) | only(Fact::kObjectLabels) |
                                 only(Fact::kSessionLabels) | only(Fact::kDegraded);

capnp::Text::Reader text(std::string_view view, std::string& scratch) {
  scratch = view;  // Cap'n Proto wants a NUL behind it
  return {scratch.data(), scratch.size()};
}

template <class Init>
void writeList(std::span<const std::string_view> from, Init init) {
  if (from.empty()) return;
  auto list = init(static_cast<unsigned>(from.size()));
  std::string scratch;
  for (unsigned i = 0; i < from.size(); ++i) list.set(i, text(from[i], scratch));
}

std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

std::vector<std::string_view> views(capnp::List<capnp::Text>::Reader list) {
  std::vector<std::string_view> result;
  result.reserve(list.size());
  for (auto item : list) result.push_back(view(item));
  return result;
}

Digest digestOf(schema::Decision::Reader decision) {
  capnp::MallocMessageBuilder message;
  message.setRoot(decision);
  message.getRoot<schema::Decision>().disownDigest();
  const auto words = capnp::canonicalize(message.getRoot<schema::Decision>().asReader());
  const auto bytes = words.asBytes();
  return sha256({bytes.begin(), bytes.size()});
}

}  // namespace

void write(const Action& action, const Decision& decision, const Policy& policy,
           schema::DecidedAction::Builder to) {
  std::string scratch;
  to.setKind(static_cast<uint8_t>(action.kind));
  to.setPresent(action.present & ~kNotRecorded);
  to.setUnknown(action.unknown & ~kNotRecorded);
  to.setVerdict(static_cast<schema::Decision::Verdict>(decision.verdict));
  if (!decision.rules.empty()) {
    auto rules = to.initRules(static_cast<unsigned>(decision.rules.size()));
    for (unsigned i = 0; i < decision.rules.size(); ++i)
      rules.set(i, policy.rules()[decision.rules[i]].name);
  }
  if (decision.verdict != Verdict::kAllow) to.setReason(policy.reason(decision));
  auto has = [&](Fact fact) { return action.has(fact); };
  if (has(Fact::kPath)) to.setPath(text(action.path, scratch));
  if (has(Fact::kOtherPath)) to.setOtherPath(text(action.otherPath, scratch));
  if (has(Fact::kTarget)) to.setTarget(text(action.target, scratch));
  if (has(Fact::kArguments))
    writeList(action.arguments, [&](unsigned n) { return to.initArguments(n); });
  if (has(Fact::kDigest)) to.setDigest(text(action.digest, scratch));
  to.setFileExists(action.fileExists);
  to.setInside(action.inside);
  to.setFileKind(static_cast<uint8_t>(action.fileKind));
  to.setFamily(static_cast<uint8_t>(action.family));
  to.setSocketType(static_cast<uint8_t>(action.socketType));
  to.setFileOwner(action.fileOwner);
  to.setFileMode(action.fileMode);
  to.setPort(action.port);
  to.setHostHigh(action.host.high);
  to.setHostLow(action.host.low);
  writeList(action.hostNames, [&](unsigned n) { return to.initHostNames(n); });
  to.setSignal(action.signal);
  to.setOperation(action.operation);
  to.setClasses(action.classes);
  writeList(action.shell.commands, [&](unsigned n) { return to.initShellCommands(n); });
  writeList(action.shell.reads, [&](unsigned n) { return to.initShellReads(n); });
  writeList(action.shell.writes, [&](unsigned n) { return to.initShellWrites(n); });
  to.setShellUnparseable(action.shell.unparseable);
  if (has(Fact::kServerName)) to.setServerName(text(action.serverName, scratch));
  if (has(Fact::kToolServer)) to.setToolServer(text(action.toolServer, scratch));
  if (has(Fact::kToolName)) to.setToolName(text(action.toolName, scratch));
  std::vector<std::string_view> flat;
  for (const auto& [pointer, value] : action.toolArguments) flat.insert(flat.end(), {pointer, value});
  writeList(flat, [&](unsigned n) { return to.initToolArguments(n); });
}

RecordedAction::RecordedAction(schema::DecidedAction::Reader from)
    : arguments_(views(from.getArguments())),
      hostNames_(views(from.getHostNames())),
      shellCommands_(views(from.getShellCommands())),
      shellReads_(views(from.getShellReads())),
      shellWrites_(views(from.getShellWrites())) {
  auto within = [](unsigned value, unsigned count, const char* what) {
    if (value >= count)
      throw Error(ExitCode::kTampered, std::string("a recorded decision has an impossible ") + what);
    return value;
  };
  action_.kind = static_cast<ActionKind>(within(from.getKind(), kActionKinds, "action"));
  action_.present = (from.getPresent() & ~kNotRecorded) | only(Fact::kAction);
  action_.unknown = from.getUnknown() & ~kNotRecorded & ~action_.present;
  action_.path = view(from.getPath());
  action_.otherPath = view(from.getOtherPath());
  action_.target = view(from.getTarget());
  action_.arguments = arguments_;
  action_.digest = view(from.getDigest());
  action_.fileExists = from.getFileExists();
  action_.inside = from.getInside();
  auto count = [](Fact fact) { return static_cast<unsigned>(valueNames(fact).size()); };
  action_.fileKind =
      static_cast<FileKind>(within(from.getFileKind(), count(Fact::kFileKind), "kind of file"));
  action_.family = static_cast<Family>(within(from.getFamily(), count(Fact::kFamily), "family"));
  action_.socketType =
      static_cast<SocketType>(within(from.getSocketType(), count(Fact::kSocketType), "socket type"));
  action_.fileOwner = from.getFileOwner();
  action_.fileMode = from.getFileMode();
  action_.port = from.getPort();
  action_.host = {from.getHostHigh(), from.getHostLow()};
  action_.hostNames = hostNames_;
  action_.signal = from.getSignal();
  action_.operation = from.getOperation();
  action_.classes = from.getClasses() & ((1u << kClasses) - 1);
  action_.shell = {shellCommands_, shellReads_, shellWrites_, from.getShellUnparseable()};
  action_.serverName = view(from.getServerName());
  action_.toolServer = view(from.getToolServer());
  action_.toolName = view(from.getToolName());
  const auto flat = from.getToolArguments();
  for (unsigned i = 0; i + 1 < flat.size(); i += 2)
    toolArguments_.emplace_back(view(flat[i]), view(flat[i + 1]));
  action_.toolArguments = toolArguments_;
}

void setDigest(schema::Decision::Builder decision) {
  const Digest digest = digestOf(decision.asReader());
  decision.setDigest({digest.data(), digest.size()});
}

bool hasItsDigest(schema::Decision::Reader decision) {
  const Digest digest = digestOf(decision);
  const auto recorded = decision.getDigest();
  return recorded.size() == digest.size() &&
         std::memcmp(recorded.begin(), digest.data(), digest.size()) == 0;
}

}  // namespace airr::policies
