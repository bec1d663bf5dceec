#include "policies/facts.h"

#include <arpa/inet.h>

#include <array>
#include <string>

namespace airr::policies {
namespace {

constexpr const char* kActionNames[] = {
    "exec",      "load",   "make-code",  "open-read",  "open-write", "create", "unlink",
    "rename",    "link",   "attributes", "metadata",   "connect",    "bind",   "listen",
    "send",      "socket", "spawn",      "signal",     "inspect",    "device", "system",
    "privilege", "ipc",    "tool-call",  "model-call",
};
static_assert(std::size(kActionNames) == kActionKinds);
constexpr const char* kVerdictNames[] = {"allow", "read-only", "approve", "restricted", "blocked"};
constexpr const char* kClassNames[] = {
    "inspect",         "modify",          "execute-code",      "network",
    "package-install", "version-control", "credential-access", "destructive",
    "privilege",       "persistence",     "unknown",
};
static_assert(std::size(kClassNames) == kClasses);
constexpr const char* kFileKindNames[] = {"regular", "directory",        "symlink",     "fifo",
                                          "socket",  "character-device", "block-device"};
constexpr const char* kFamilyNames[] = {"inet",   "inet6", "unix", "netlink",
                                        "packet", "vsock", "other"};
constexpr const char* kSocketTypeNames[] = {"stream", "datagram", "sequential", "raw", "other"};

using enum ActionKind;
using enum FactType;
constexpr ActionSet kSockets = kNetworkActions | anyOf(kSocket);
constexpr ActionSet kTools = anyOf(kToolCall, kModelCall);

constexpr FactInfo kTable[] = {
    {Fact::kAction, "action", kEnum, kEveryAction, "what is done"},
    {Fact::kSyscall, "syscall", kString, kEveryAction & ~kTools, "name of the system call"},
    {Fact::kPath, "path", kPath, kFileActions | kNetworkActions | anyOf(kDevice, kSystem, kIpc),
     "canonical path of the object; \"@name\" for an abstract unix socket"},
    {Fact::kPathName, "path.name", kString,
     kFileActions | kNetworkActions | anyOf(kDevice, kSystem, kIpc), "last component of path"},
    {Fact::kOtherPath, "path.other", kPath, anyOf(kRename, kLink, kCreate),
     "the other end of a rename or hard link"},
    {Fact::kTarget, "target", kString, anyOf(kCreate), "what a new symbolic link says"},
    {Fact::kArguments, "argv", kList, anyOf(kExec),
     "arguments of the program that is started, argv[0] first"},
    {Fact::kCommandLine, "cmdline", kString, anyOf(kExec), "argv with one blank between"},
    {Fact::kExe, "exe", kPath, kEveryAction, "executable of the acting process"},
    {Fact::kExeName, "exe.name", kString, kEveryAction, "last component of exe"},
    {Fact::kLineage, "lineage", kPathList, kEveryAction,
     "executables of the acting process and its ancestors in the session"},
    {Fact::kDigest, "digest", kString, anyOf(kExec, kLoad),
     "SHA-256 of the executable's content, lower-case hex"},
    {Fact::kFileExists, "file.exists", kFlag, kFileActions, "the object exists"},
    {Fact::kFileKind, "file.kind", kEnum, kFileActions | anyOf(kDevice), "kind of the object"},
    {Fact::kFileOwner, "file.owner", kNumber, kFileActions, "user id of the object's owner"},
    {Fact::kFileMode, "file.mode", kNumber, kFileActions, "mode bits of the object, as in 0o644"},
    {Fact::kFamily, "family", kEnum, kSockets, "address family"},
    {Fact::kSocketType, "socket.type", kEnum, kSockets, "type of the socket"},
    {Fact::kHost, "host", kHost, kNetworkActions, "address of the other side, or to bind to"},
    {Fact::kHostNames, "host.name", kList, kNetworkActions,
     "names that the session resolved to host"},
    {Fact::kPort, "port", kNumber, kNetworkActions, "TCP or UDP port"},
    {Fact::kSignal, "signal", kNumber, anyOf(ActionKind::kSignal), "number of the signal"},
    {Fact::kInside, "inside", kFlag, anyOf(ActionKind::kSignal, ActionKind::kInspect),
     "the target is a process of the session"},
    {Fact::kOperation, "operation", kNumber,
     anyOf(kDevice, kSystem, ActionKind::kPrivilege, kSpawn),
     "the ioctl request, the prctl option, or the flags of clone, unshare, mount"},
    {Fact::kClass, "class", kClassSet, kEveryAction, "classes of the invocation"},
    {Fact::kShellCommands, "shell.commands", kList, anyOf(kExec),
     "names of the commands in the shell script"},
    {Fact::kShellReads, "shell.reads", kList, anyOf(kExec), "files that it redirects input from"},
    {Fact::kShellWrites, "shell.writes", kList, anyOf(kExec), "files that it redirects output to"},
    {Fact::kShellUnparseable, "shell.unparseable", kFlag, anyOf(kExec),
     "it is a shell script that could not be parsed"},
    {Fact::kToolServer, "tool.server", kString, kTools, "MCP server or model endpoint"},
    {Fact::kToolName, "tool.name", kString, kTools, "name of the tool or model"},
    {Fact::kToolArgument, "tool.argument", kPointer, kTools,
     "argument by JSON pointer: tool.argument[/path]"},
    {Fact::kLabels, "labels", kNames, kEveryAction, "labels that the acting process carries"},
    {Fact::kObjectLabels, "object.labels", kNames, kFileActions,
     "labels that the session has put on path"},
    {Fact::kSessionLabels, "session.labels", kNames, kEveryAction,
     "labels that any process of the session has carried"},
    {Fact::kDegraded, "degraded", kNames, kEveryAction, "degradations of the session"},
    {Fact::kServerName, "tls.name", kString, anyOf(kSend),
     "server that a TLS client asks for in the first bytes of a connection"},
};
static_assert(std::size(kTable) == kFacts);
static_assert([] {
  for (unsigned i = 0; i < kFacts; ++i)
    if (kTable[i].fact != static_cast<Fact>(i)) return false;
  return true;
}());

}  // namespace

const char* toString(ActionKind value) { return kActionNames[static_cast<unsigned>(value)]; }
const char* toString(Verdict value) { return kVerdictNames[static_cast<unsigned>(value)]; }
const char* toString(Class value) { return kClassNames[static_cast<unsigned>(value)]; }
const char* toString(FileKind value) { return kFileKindNames[static_cast<unsigned>(value)]; }
const char* toString(Family value) { return kFamilyNames[static_cast<unsigned>(value)]; }
const char* toString(SocketType value) { return kSocketTypeNames[static_cast<unsigned>(value)]; }

const FactInfo& info(Fact fact) { return kTable[static_cast<unsigned>(fact)]; }
std::span<const FactInfo> allFacts() { return kTable; }

std::span<const char* const> valueNames(Fact fact) {
  switch (fact) {
    case Fact::kAction:
      return kActionNames;
    case Fact::kFileKind:
      return kFileKindNames;
    case Fact::kFamily:
      return kFamilyNames;
    case Fact::kSocketType:
      return kSocketTypeNames;
    case Fact::kClass:
      return kClassNames;
    default:
      return {};
  }
}

std::optional<IpAddress> parseIp(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy;
  text = text.substr(0, text.find('%'));
  if (text.size() >= copy.size()) return std::nullopt;
  text.copy(copy.data(), text.size());
  copy[text.size()] = '\0';
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, copy.data(), bytes.data() + 12) == 1) {
    bytes[10] = bytes[11] = 0xff;
  } else if (inet_pton(AF_INET6, copy.data(), bytes.data()) != 1) {
    return std::nullopt;
  }
  IpAddress address;
  for (unsigned i = 0; i < 8; ++i) {
    address.high = address.high << 8 | bytes[i];
    address.low = address.low << 8 | bytes[8 + i];
  }
  return address;
}

}  // namespace airr::policies
