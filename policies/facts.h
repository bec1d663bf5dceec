// The facts that a decision rests on: what one action is about. docs/policy.md lists them for
// users.
//
// An Action is about one object. A call that reaches for several (rename, an open for reading and
// writing) gives several actions, and the call's verdict is the strictest of theirs.
//
// The numbers of the enums are part of the trace format (schema DecidedAction): append only.
//
// Value types; an Action owns nothing: whoever fills it keeps the memory behind its views for as
// long as the action is used. Usable from any thread; nothing here fails.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace airr::policies {

enum class ActionKind : uint8_t {
  kExec,        // start a program
  kLoad,        // map a file's content as code
  kMakeCode,    // make memory executable that is no file's content
  kOpenRead,    // open a file for reading, or list a directory
  kOpenWrite,   // open a file that exists for writing, or truncate it
  kCreate,      // make a name: a new file, directory, link, or the new end of a rename
  kUnlink,      // remove a name
  kRename,      // take a name away from what it names; the new name is a create
  kLink,        // give what has this name another one; the new name is a create
  kAttributes,  // change mode, owner, times or extended attributes
  kMetadata,    // ask about a name
  kConnect,
  kBind,
  kListen,
  kSend,       // send to an address without a connection
  kSocket,     // make a socket
  kSpawn,      // make a process or thread
  kSignal,     // signal a process
  kInspect,    // look into another process, or change how it runs
  kDevice,     // operate on a device (ioctl)
  kSystem,     // change the machine: mounts, namespaces, clocks, names
  kPrivilege,  // change identity, capabilities or how the kernel treats the process
  kIpc,        // named System V and POSIX objects, keys
  kToolCall,   // an MCP tools/call
  kModelCall,  // a request to a model
};
constexpr unsigned kActionKinds = 25;
using ActionSet = uint32_t;
constexpr ActionSet only(ActionKind kind) { return 1u << static_cast<unsigned>(kind); }
template <class... Kinds>
constexpr ActionSet anyOf(Kinds... kinds) {
  return (only(kinds) | ...);
}

constexpr ActionSet kEveryAction = (1u << kActionKinds) - 1;
constexpr ActionSet kWritingActions =
    anyOf(ActionKind::kOpenWrite, ActionKind::kCreate, ActionKind::kUnlink, ActionKind::kRename,
          ActionKind::kLink, ActionKind::kAttributes);
constexpr ActionSet kNetworkActions =
    anyOf(ActionKind::kConnect, ActionKind::kBind, ActionKind::kListen, ActionKind::kSend);
constexpr ActionSet kFileActions =
    kWritingActions |
    anyOf(ActionKind::kExec, ActionKind::kLoad, ActionKind::kOpenRead, ActionKind::kMetadata);

// From the weakest to the strictest.
enum class Verdict : uint8_t { kAllow, kReadOnly, kApprove, kRestricted, kBlocked };

// What an invocation is for (docs/classification.md).
enum class Class : uint8_t {
  kInspect,
  kModify,
  kExecuteCode,
  kNetwork,
  kPackageInstall,
  kVersionControl,
  kCredentialAccess,
  kDestructive,
  kPrivilege,
  kPersistence,
  kUnknown,
};
constexpr unsigned kClasses = 11;
using ClassSet = uint16_t;
constexpr ClassSet only(Class value) {
  return static_cast<ClassSet>(1u << static_cast<unsigned>(value));
}

enum class FileKind : uint8_t {
  kRegular,
  kDirectory,
  kSymlink,
  kFifo,
  kSocket,
  kCharacterDevice,
  kBlockDevice,
};
enum class Family : uint8_t { kInet, kInet6, kUnix, kNetlink, kPacket, kVsock, kOther };
enum class SocketType : uint8_t { kStream, kDatagram, kSequential, kRaw, kOther };

// Members of up to 64 named sets of one policy (labels, degradations, restrictions).
using NameSet = uint64_t;

enum class Fact : uint8_t {
  kAction,
  kSyscall,
  kPath,
  kPathName,  // last component of kPath
  kOtherPath,
  kTarget,
  kArguments,
  kCommandLine,  // kArguments with a blank between
  kExe,
  kExeName,
  kLineage,
  kDigest,
  kFileExists,
  kFileKind,
  kFileOwner,
  kFileMode,
  kFamily,
  kSocketType,
  kHost,
  kHostNames,
  kPort,
  kSignal,
  kInside,
  kOperation,
  kClass,
  kShellCommands,
  kShellReads,
  kShellWrites,
  kShellUnparseable,
  kToolServer,
  kToolName,
  kToolArgument,
  kLabels,
  kObjectLabels,
  kSessionLabels,
  kDegraded,
  kServerName,
};
constexpr unsigned kFacts = 37;
using FactSet = uint64_t;
constexpr FactSet only(Fact fact) { return 1ull << static_cast<unsigned>(fact); }

// An IP address as 16 bytes, IPv4 in its mapped form (::ffff:a.b.c.d).
struct IpAddress {
  uint64_t high = 0, low = 0;  // big end first
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};
// Nothing if `text` is no address. A scope ("%eth0") is not part of one.
std::optional<IpAddress> parseIp(std::string_view text);

struct ShellFacts {
  std::span<const std::string_view> commands;  // names of the commands that the script runs
  std::span<const std::string_view> reads;     // where redirections read from, as written
  std::span<const std::string_view> writes;
  bool unparseable = false;
};

// Path facts are absolute and canonical as seen in the tracee's root: no ".", "..", "//" or links
// on the way. An abstract unix socket is "@" and its name.
struct Action {
  ActionKind kind = ActionKind::kExec;
  // Facts that this action has. Tests on one that it does not have are false.
  FactSet present = only(Fact::kAction);
  // Facts that it should have but that could not be found out. Tests on one cannot be answered, and
  // what cannot be answered is blocked.
  FactSet unknown = 0;

  std::string_view syscall;
  std::string_view path;
  std::string_view otherPath;                   // the other end of a rename or hard link
  std::string_view target;                      // what a new symbolic link says
  std::span<const std::string_view> arguments;  // exec: argv
  std::string_view exe;                         // the acting process' executable
  std::span<const std::string_view> lineage;    // executables: the process, its parent, …
  std::string_view digest;                      // exec, load: SHA-256 of the file, lower-case hex
  bool fileExists = false, inside = false;      // inside: a signal's target is in the session
  FileKind fileKind = FileKind::kRegular;
  Family family = Family::kOther;
  SocketType socketType = SocketType::kOther;
  uint32_t fileOwner = 0, fileMode = 0;  // mode: permission bits and set-id bits
  uint16_t port = 0;
  std::string_view serverName;  // that the first bytes on a TCP connection ask for (TLS, RFC 6066)
  IpAddress host;
  std::span<const std::string_view> hostNames;  // that the session resolved to `host`
  int64_t signal = 0;
  int64_t operation = 0;  // device: the request; privilege and system: the option or flags
  ClassSet classes = 0;
  ShellFacts shell;
  std::string_view toolServer, toolName;
  // JSON pointer and value (strings as they are, others as JSON) of each leaf of the arguments.
  std::span<const std::pair<std::string_view, std::string_view>> toolArguments;

  // From the state of the session (session_state.h), as sets of the policy that is asked.
  NameSet labels = 0, objectLabels = 0, sessionLabels = 0, degraded = 0;
  NameSet restrictions = 0;      // `restricted` rules that bind the process
  bool readOnlyProcess = false;  // a `read-only` verdict on its exec binds it
  bool overlayProcess = false;   // and its writes go to an overlay

  bool has(Fact fact) const { return (present & only(fact)) != 0; }
  bool isUnknown(Fact fact) const { return (unknown & only(fact)) != 0; }
  void set(Fact fact) { present |= only(fact), unknown &= ~only(fact); }
  void setUnknown(Fact fact) { unknown |= only(fact); }

  void setPath(std::string_view value) {
    path = value;
    set(Fact::kPath), set(Fact::kPathName);
  }
  void setArguments(std::span<const std::string_view> value) {
    arguments = value;
    set(Fact::kArguments), set(Fact::kCommandLine);
  }
  void setExe(std::string_view value) {
    exe = value;
    set(Fact::kExe), set(Fact::kExeName);
  }
};

// The part after the last '/'; of "@name" all.
constexpr std::string_view baseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}
// Whether `path` is `tree` or below it. Both canonical.
constexpr bool isUnder(std::string_view path, std::string_view tree) {
  if (!path.starts_with(tree)) return false;
  return path.size() == tree.size() || tree.ends_with('/') || path[tree.size()] == '/';
}

const char* toString(ActionKind);
const char* toString(Verdict);
const char* toString(Class);
const char* toString(FileKind);
const char* toString(Family);
const char* toString(SocketType);

// How a fact is tested.
enum class FactType : uint8_t {
  kEnum,
  kString,
  kPath,
  kList,      // of strings: a test holds if it holds for one of them
  kPathList,  // the same, of paths
  kNumber,
  kFlag,
  kHost,
  kNames,  // a set of names that the policy declares by using them (labels)
  kClassSet,
  kPointer,  // tool.argument[/json/pointer]: a string
};

struct FactInfo {
  Fact fact;
  const char* name;  // in policies
  FactType type;
  ActionSet kinds;  // which actions can have it
  const char* meaning;
};
// Whether its text is names of hosts: `under` means domains.
constexpr bool isHostName(Fact fact) { return fact == Fact::kHostNames || fact == Fact::kServerName; }
const FactInfo& info(Fact);
std::span<const FactInfo> allFacts();
// The names of an enum's or class set's values, in the order of their numbers; empty for others.
std::span<const char* const> valueNames(Fact);

}  // namespace airr::policies
