// Decisions: what a call is about, what the policy says to it, and what becomes of it.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "mediator/recording_subject.h"
#include "mediator/socket_address.h"
#include "mediator/socket_path.h"
#include "policies/action_record.h"
#include "policies/action_text.h"
#include "recorder/digest.h"
#include "recorder/files.h"

namespace airr {
namespace {

using policies::Action;
using policies::ActionKind;
using policies::Decision;
using policies::Fact;
using policies::Verdict;
using syscalls::Authority;
using syscalls::Type;

// Whether a call follows a link in the last place of its `which`-th name.
bool follows(const syscalls::Call& call, unsigned which) {
  const uint64_t* a = call.arguments;
  auto unless = [&](uint64_t flags) { return (flags & AT_SYMLINK_NOFOLLOW) == 0; };
  // A new file replaces no link, and a link that leads to nothing leads to the new file (open(2)).
  auto opens = [](uint64_t flags) {
    return (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
  };
  switch (call.number) {
    case SYS_lstat:
    case SYS_readlink:
    case SYS_readlinkat:
    case SYS_lchown:
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rmdir:
    case SYS_mkdir:
    case SYS_mkdirat:
    case SYS_mknod:
    case SYS_mknodat:
    case SYS_symlink:
    case SYS_symlinkat:
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_link:
    case SYS_lsetxattr:
    case SYS_lgetxattr:
    case SYS_llistxattr:
    case SYS_lremovexattr: return false;
    case SYS_linkat: return which == 0 && (a[4] & AT_SYMLINK_FOLLOW) != 0;
    case SYS_open: return opens(a[1]);
    case SYS_openat: return opens(a[2]);
    case SYS_newfstatat: return unless(a[3]);
    case SYS_statx: return unless(a[2]);
    case SYS_fchownat: return unless(a[4]);
    case SYS_utimensat: return unless(a[3]);
    case SYS_execveat: return unless(a[4]);
    default: return true;
  }
}

// Whether an empty name is the descriptor itself.
bool takesEmptyName(const syscalls::Call& call) {
  const uint64_t* a = call.arguments;
  switch (call.number) {
    case SYS_statx: return (a[2] & AT_EMPTY_PATH) != 0;
    case SYS_newfstatat:
    case SYS_utimensat:
    case SYS_faccessat2:
    case syscalls::kFchmodat2: return (a[3] & AT_EMPTY_PATH) != 0;
    case SYS_fchownat:
    case SYS_linkat:
    case SYS_name_to_handle_at:
    case SYS_execveat: return (a[4] & AT_EMPTY_PATH) != 0;
    case SYS_readlinkat: return true;
    default: return false;
  }
}

policies::FileKind kindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return policies::FileKind::kDirectory;
    case S_IFLNK: return policies::FileKind::kSymlink;
    case S_IFIFO: return policies::FileKind::kFifo;
    case S_IFSOCK: return policies::FileKind::kSocket;
    case S_IFCHR: return policies::FileKind::kCharacterDevice;
    case S_IFBLK: return policies::FileKind::kBlockDevice;
    default: return policies::FileKind::kRegular;
  }
}

void setFile(Action& action, const ResolvedName& name) {
  action.fileExists = name.exists();
  action.set(Fact::kFileExists);
  if (!name.exists()) return;
  action.fileKind = kindOf(name.status.st_mode);
  action.fileOwner = name.status.st_uid;
  action.fileMode = name.status.st_mode & 07777;
  action.set(Fact::kFileKind), action.set(Fact::kFileOwner), action.set(Fact::kFileMode);
}

std::string hexOf(const Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) text += kDigits[byte >> 4], text += kDigits[byte & 15];
  return text;
}

// Of a whole file; empty if it cannot be read.
std::string digestOf(const ResolvedName& file) {
  const UniqueFd fd(open(file.objectLink().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return {};
  Sha256 hash;
  std::vector<uint8_t> chunk(256 << 10);
  for (;;) {
    const ssize_t n = read(fd.get(), chunk.data(), chunk.size());
    if (n < 0) return {};
    if (n == 0) return hexOf(hash.finish());
    hash.update({chunk.data(), static_cast<size_t>(n)});
  }
}

// "#!interpreter argument": what execve(2) runs instead, the argument left out where there is none.
std::vector<std::string> interpreterOf(const ResolvedName& file) {
  constexpr size_t kLineLength = 256;  // BINPRM_BUF_SIZE, Linux 5.1
  const UniqueFd fd(open(file.objectLink().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char text[kLineLength] = {};
  const ssize_t n = read(fd.get(), text, sizeof text);
  if (n < 2 || text[0] != '#' || text[1] != '!') return {};
  std::string line(text + 2, static_cast<size_t>(n) - 2);
  line.resize(std::min(line.find('\n'), line.size()));
  constexpr const char* kBlanks = " \t\r";
  const size_t start = line.find_first_not_of(kBlanks);
  if (start == std::string::npos) return {};
  const size_t end = std::min(line.find_first_of(" \t", start), line.size());
  std::vector<std::string> words{line.substr(start, end - start)};
  const size_t rest = line.find_first_not_of(kBlanks, end);
  if (rest != std::string::npos) {
    const size_t last = line.find_last_not_of(kBlanks);
    words.push_back(line.substr(rest, last + 1 - rest));
  }
  return words;
}

// The process that a task's pidfd is of, or -1 (proc_pid_fdinfo(5)).
pid_t processOfPidfd(Tid tid, int fd) {
  const std::string path = "/proc/" + std::to_string(raw(tid)) + "/fdinfo/" + std::to_string(fd);
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t n = read(file.get(), text, sizeof text - 1);
  if (n <= 0) return -1;
  text[n] = 0;
  const char* at = strstr(text, "\nPid:\t");
  return at == nullptr ? -1 : static_cast<pid_t>(strtol(at + strlen("\nPid:\t"), nullptr, 10));
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

// The names among the arguments, looked up into task.names. False: one could not be read, or is not
// the mediator's to look up; its path stays unknown.
void Recording::lookUpNames(Task& task) {
  unsigned which = 0;
  const syscalls::Syscall& model = *task.model;
  for (unsigned i = 0; i < model.argumentCount && which < 2; ++i) {
    if (model.arguments[i].type != Type::kPath) continue;
    std::optional<ResolvedName>& found = task.names[which];
    const unsigned number = which++;
    std::string name;
    int dirfd = AT_FDCWD;
    if (i > 0 && model.arguments[i - 1].type == Type::kDirFd)
      dirfd = static_cast<int>(task.call.arguments[i - 1]);
    // No name at all is the descriptor itself too (futimens(3)).
    const bool isDescriptor = task.call.arguments[i] == 0 && dirfd >= 0;
    if (!task.process->plain) continue;
    const auto leadsTo = [&](int error) {
      found.emplace();
      found->error = error;
    };
    if (!isDescriptor && !task.tracee.readString({task.call.arguments[i]}, name, PATH_MAX)) {
      // What only looks goes to the kernel.
      if (model.authority != Authority::kMetadata) leadsTo(EFAULT);
      continue;
    }
    UniqueFd borrowed;
    int from = -1;
    if (!name.empty() && name[0] != '/') from = directoryOf(task, dirfd, borrowed);
    if (name.empty()) {
      if (!isDescriptor && !takesEmptyName(task.call)) {
        leadsTo(ENOENT);
        continue;
      }
      ResolvedName itself;
      itself.object.reset(open(descriptorLink(task.tracee.tid(), dirfd).c_str(), O_PATH | O_CLOEXEC));
      if (!itself.object || fstat(itself.object.get(), &itself.status) != 0) continue;
      itself.path = ownPathOf(itself.object.get());
      found = std::move(itself);
      continue;
    }
    const bool entry = task.model->authority == Authority::kModify || facts::writesByOpening(task.call);
    found = entry ? resolveName(task.tracee.tid(), from, name, follows(task.call, number))
                  : resolveObject(task.tracee.tid(), from, name, follows(task.call, number));
  }
}

// Where nothing decides on an open for reading, its name is looked up only if it failed: whether there
// would have been anything to decide on does not follow from the error.
void Recording::lookUpFailedOpen(Task& task) {
  if (task.names[0]) return;
  lookUpNames(task);
  task.leadsNowhere = task.names[0] && task.names[0]->error != 0;
}

std::string Recording::ownPathOf(int fd) { return linkTarget(ownLink(fd)); }

// Whether the floor alone has to look at a call.
static bool concernsFloor(const syscalls::Syscall& model, const syscalls::Call& call, bool writes) {
  switch (model.authority) {
    case Authority::kModify:
    case Authority::kExecute:
    case Authority::kSignal:
    case Authority::kConnect: return true;
    case Authority::kOpen: return writes;
    default: return call.number == SYS_prlimit64;
  }
}

void Recording::describeDescriptor(Task& task, Subject& subject) {
  const syscalls::Syscall& model = *task.model;
  int fd = -1;
  for (unsigned i = 0; i < model.argumentCount && fd < 0; ++i)
    if (model.arguments[i].type == Type::kFd) fd = static_cast<int>(task.call.arguments[i]);
  if (fd < 0) return;
  facts::DescriptorFacts& facts = subject.facts.descriptor;
  if (model.authority == Authority::kConnect) {
    const UniqueFd own = task.process->files.borrow(task.process->pid, fd);
    int value = 0;
    socklen_t size = sizeof value;
    if (own && getsockopt(own.get(), SOL_SOCKET, SO_DOMAIN, &value, &size) == 0) {
      switch (value) {
        case AF_INET: facts.family = policies::Family::kInet; break;
        case AF_INET6: facts.family = policies::Family::kInet6; break;
        case AF_UNIX: facts.family = policies::Family::kUnix; break;
        case AF_NETLINK: facts.family = policies::Family::kNetlink; break;
        case AF_PACKET: facts.family = policies::Family::kPacket; break;
        case AF_VSOCK: facts.family = policies::Family::kVsock; break;
        default: facts.family = policies::Family::kOther;
      }
    }
    size = sizeof value;
    if (own && getsockopt(own.get(), SOL_SOCKET, SO_TYPE, &value, &size) == 0) {
      switch (value) {
        case SOCK_STREAM: facts.socketType = policies::SocketType::kStream; break;
        case SOCK_DGRAM: facts.socketType = policies::SocketType::kDatagram; break;
        case SOCK_SEQPACKET: facts.socketType = policies::SocketType::kSequential; break;
        case SOCK_RAW: facts.socketType = policies::SocketType::kRaw; break;
        default: facts.socketType = policies::SocketType::kOther;
      }
    }
    return;
  }
  if (model.authority == Authority::kSignal) {
    facts.isInside = tasks_.contains(processOfPidfd(task.tracee.tid(), fd));
    return;
  }
  subject.descriptorPath =
      linkTarget(descriptorLink(task.tracee.tid(), fd));
  if (subject.descriptorPath.empty()) return;
  facts.path = subject.descriptorPath;
}

// The process that a call names by its number, if it names one so; 0 is the caller itself.
std::optional<pid_t> Recording::namedProcess(const Task& task) {
  const syscalls::Syscall& model = *task.model;
  for (unsigned i = 0; i < model.argumentCount; ++i)
    if (model.arguments[i].type == Type::kPid) return static_cast<pid_t>(task.call.arguments[i]);
  return std::nullopt;
}

// Whether all processes that a signal or an inspection reaches are the session's. Group and everybody
// mean those of the session (killForTask).
bool Recording::isInside(const Task& task) const {
  const auto target = namedProcess(task);
  if (!target) return false;
  if (*target == 0 || *target == -1 || tasks_.contains(*target)) return true;
  if (*target > 0 || task.call.number != SYS_kill) return false;
  return -*target == getpgrp() || std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& entry) {
    return getpgid(entry.first) == -*target;
  });
}

void Recording::addProcessFacts(Task& task, Subject& subject) {
  for (const std::string& exe : task.process->lineage) subject.lineage.push_back(exe);
  for (unsigned i = 0; i < subject.actions.count; ++i) {
    Action& action = subject.actions.action[i];
    if (!task.process->lineage.empty()) {
      action.setExe(task.process->lineage.front());
      action.lineage = subject.lineage;
      action.set(Fact::kLineage);
    }
    addHostNames(task, action);
    enforcement_->state().prepare(static_cast<uint32_t>(raw(task.process->pid)), action);
  }
}

std::string Recording::describeMessageName(Task& task, const msghdr& message) {
  uint8_t address[sizeof(sockaddr_storage)];
  const uint64_t at = reinterpret_cast<uint64_t>(message.msg_name);
  if (at == 0) return {};
  // What cannot be read, the kernel cannot send to either; an unknown address is blocked.
  if (message.msg_namelen > sizeof address || !task.tracee.read({at}, address, message.msg_namelen))
    return "unreadable";
  const std::string text = describeAddress(address, message.msg_namelen);
  return task.process->plain ? resolveSocketPath(task.tracee.tid(), text, true)
                             : withoutSocketPath(text);
}

// Decides on a call before it happens. False: it does not happen, and the task has its answer.
bool Recording::decide(Task& task) {
  task.names[0].reset(), task.names[1].reset();
  task.expectedProgram.reset();
  task.decided = task.expectedFile = task.leadsNowhere = task.greets = false;
  if (!decideGreeting(task)) return false;
  if (!facts::canHaveActions(task.call.number)) return true;
  const Authority authority = task.model->authority;
  const bool writes = facts::writesByOpening(task.call);
  if (!enforcement_->decides() && !concernsFloor(*task.model, task.call, writes)) return true;
  if (authority == Authority::kMetadata && enforcement_->isFree(ActionKind::kMetadata)) return true;

  Subject subject;
  lookUpNames(task);
  // A name that leads nowhere gives nothing to decide on.
  if (authority == Authority::kExecute && task.names[0] && task.names[0]->error == 0 && !task.names[0]->exists())
    task.names[0]->error = ENOENT;
  if (authority == Authority::kOpen || authority == Authority::kModify || authority == Authority::kExecute) {
    for (const auto& name : task.names) {
      if (!name || name->error == 0) continue;
      task.leadsNowhere = true;
      hashInputs(task);
      finishPerformed(task, -name->error);
      return false;
    }
  }
  subject.facts.call = task.call;
  if (task.names[0]) subject.facts.path = task.names[0]->path;
  if (task.names[1]) subject.facts.other = task.names[1]->path;
  if (task.call.number == SYS_openat2) {
    open_how how{};
    if (task.tracee.readValue({task.call.arguments[2]}, how)) subject.facts.openFlags = how.flags;
  }
  const bool links = task.call.number == SYS_symlink || task.call.number == SYS_symlinkat;
  if (links && task.tracee.readString({task.call.arguments[0]}, subject.linkTarget, PATH_MAX))
    subject.facts.linkTarget = subject.linkTarget;
  if (task.call.number == SYS_sendmmsg) return decideMessages(task, subject);
  if (authority == Authority::kConnect) {
    subject.address = describeName(task, 0);
    if (subject.address.empty()) subject.address = describePath(task, -EINPROGRESS);
    if (!task.process->plain) subject.address = withoutSocketPath(subject.address);
    subject.facts.path = subject.address;
  }
  describeDescriptor(task, subject);
  subject.facts.targetIsInside = isInside(task);
  facts::actionsOf(subject.facts, subject.actions);
  if (subject.actions.count == 0) return true;
  if (authority == Authority::kConnect && !noteSocketUse(task, &subject.actions.action[0])) return false;
  for (unsigned i = 0; i < subject.actions.count; ++i) {
    Action& action = subject.actions.action[i];
    const bool isSecond = i == 1 && task.names[1].has_value();
    const std::optional<ResolvedName>& name = task.names[isSecond ? 1 : 0];
    if (name) setFile(action, *name);
  }
  if (authority == Authority::kExecute) return decideExec(task, subject);
  addProcessFacts(task, subject);
  return judge(task, subject) && !killForTask(task);
}

// Each message may go to another address.
bool Recording::decideMessages(Task& task, Subject& subject) {
  constexpr uint64_t kMostMessages = 1024;  // UIO_MAXIOV, as the kernel cuts it (sendmmsg(2))
  const uint64_t count = std::min<uint64_t>(static_cast<uint32_t>(task.call.arguments[2]), kMostMessages);
  describeDescriptor(task, subject);
  if (!noteSocketUse(task, nullptr)) return false;
  for (uint64_t i = 0; i < count; ++i) {
    mmsghdr message{};
    if (!task.tracee.readValue({task.call.arguments[1] + i * sizeof message}, message)) return true;  // EFAULT
    subject.address = describeMessageName(task, message.msg_hdr);
    subject.facts.path = subject.address;
    facts::actionsOf(subject.facts, subject.actions);
    if (subject.actions.count == 0) continue;
    subject.lineage.clear();
    addProcessFacts(task, subject);
    if (!judge(task, subject)) return false;
  }
  return true;
}

// A script's interpreters are started with it, and decided on with it.
bool Recording::decideExec(Task& task, Subject& subject) {
  Action& action = subject.actions.action[0];
  const bool byDescriptor = task.call.number == SYS_execveat;
  subject.arguments = readArguments(task, task.call.arguments[byDescriptor ? 2 : 1]);
  subject.argumentViews = views(subject.arguments);
  action.setArguments(subject.argumentViews);
  const bool classified = (enforcement_->policy().factsUsed() & facts::kInvocationFacts) != 0;
  if (classified) subject.invocation.describe(action);
  addProcessFacts(task, subject);
  if (!task.names[0] || !task.names[0]->exists()) return judge(task, subject);
  auto addDigest = [&](const ResolvedName& program) {
    if (!enforcement_->uses(Fact::kDigest)) return;
    subject.digest = digestOf(program);
    action.digest = subject.digest;
    if (subject.digest.empty()) {
      action.setUnknown(Fact::kDigest);
    } else {
      action.set(Fact::kDigest);
    }
  };
  addDigest(*task.names[0]);
  if (!judge(task, subject)) return false;
  ResolvedName* program = &*task.names[0];
  constexpr int kMostInterpreters = 5;  // exec_binprm() in fs/exec.c
  for (int i = 0; i < kMostInterpreters; ++i) {
    std::vector<std::string> words = interpreterOf(*program);
    if (words.empty()) break;
    const std::string workingDirectory = "/proc/" + std::to_string(raw(task.tracee.tid())) + "/cwd";
    const UniqueFd from(open(workingDirectory.c_str(), O_PATH | O_CLOEXEC));
    task.names[1] = resolveObject(task.tracee.tid(), from.get(), words[0], true);
    if (!task.names[1]->exists()) break;  // exec fails
    words.push_back(program->path);
    if (subject.arguments.size() > 1)
      words.insert(words.end(), subject.arguments.begin() + 1, subject.arguments.end());
    subject.arguments = std::move(words);
    subject.argumentViews = views(subject.arguments);
    action.setPath(task.names[1]->path);
    action.setArguments(subject.argumentViews);
    setFile(action, *task.names[1]);
    addDigest(*task.names[1]);
    if (classified) subject.invocation.describe(action);
    if (!judge(task, subject)) return false;
    task.names[0] = std::move(task.names[1]);
    program = &*task.names[0];
  }
  task.expectedProgram = {program->status.st_dev, program->status.st_ino};
  return true;
}

// Evaluates the actions, writes the decision down, and carries it out.
bool Recording::judge(Task& task, Subject& subject) {
  const auto process = static_cast<uint32_t>(raw(task.process->pid));
  std::array<Decision, facts::kMostActions> decisions;
  const char* forbidden = nullptr;
  unsigned strictest = 0;
  for (unsigned i = 0; i < subject.actions.count; ++i) {
    Action& action = subject.actions.action[i];
    const std::optional<ResolvedName>& name = task.names[i == 1 && task.names[1] ? 1 : 0];
    if (forbidden == nullptr)
      forbidden = enforcement_->floor().forbids(action, name && name->exists() ? &name->status : nullptr);
    if (forbidden == nullptr && action.has(Fact::kInside) && namedProcess(task) == getpid())
      forbidden = "the mediator is out of a session's reach";
    if (forbidden == nullptr && overlay_) forbidden = overlayForbids(task, action, name);
    enforcement_->policy().evaluate(action, decisions[i]);
    if (decisions[i].isStricterThan(decisions[strictest])) strictest = i;
  }
  const Decision& decision = decisions[strictest];
  schema::Decision::Approved approved = schema::Decision::Approved::NOT_ASKED;
  bool runs = forbidden == nullptr && decision.runs();
  // A program runs read-only; a write does not.
  const bool cannotWrite = decision.verdict == Verdict::kReadOnly && task.model->authority != Authority::kExecute &&
                           !goesToOverlay(subject, decisions);
  if (cannotWrite) runs = false;
  std::string reason, by;
  if (forbidden != nullptr) {
    reason = std::string("the floor forbids it: ") + forbidden;
  } else if (decision.verdict != Verdict::kAllow) {
    reason = enforcement_->policy().reason(decision);
  }
  if (runs && decision.verdict == Verdict::kApprove) {
    approved = approval(subject, decision, reason, by);
    runs = approved == schema::Decision::Approved::YES || approved == schema::Decision::Approved::EARLIER;
    if (approved == schema::Decision::Approved::NO_ANSWER) reason += " (nobody answered)";
    if (approved == schema::Decision::Approved::NO) reason += " (denied by " + by + ")";
  }
  const int error = forbidden != nullptr ? EPERM : cannotWrite ? EROFS : decision.error;
  bool killed = false;
  for (unsigned i = 0; i < subject.actions.count; ++i) {
    enforcement_->state().apply(process, subject.actions.action[i], decisions[i], runs);
    killed = killed || decisions[i].killSession;
  }
  const bool effects = decision.labels != 0 || decision.degrade != 0 || decision.restrictions != 0;
  // What a host was called when it was decided on is known now only.
  const bool named = std::any_of(subject.actions.action, subject.actions.action + subject.actions.count,
                                 [](const Action& action) { return action.has(Fact::kHostNames); });
  const bool matters = !runs || killed || effects || named || task.greets ||
                       decision.verdict != Verdict::kAllow || facts::needsRecord(task.call, subject.actions);
  if (matters) {
    auto event = beginEvent(task);
    auto record = event.initDecision();
    record.setSyscall(static_cast<uint16_t>(task.call.number));
    record.setVerdict(static_cast<schema::Decision::Verdict>(forbidden != nullptr ? Verdict::kBlocked
                                                                                : decision.verdict));
    auto list = record.initActions(subject.actions.count);
    for (unsigned i = 0; i < subject.actions.count; ++i) {
      policies::write(subject.actions.action[i], decisions[i], enforcement_->policy(), list[i]);
      if (forbidden != nullptr) list[i].setReason(reason);
    }
    record.setError(runs ? 0 : error);
    record.setApproved(approved);
    if (!by.empty()) record.setAnsweredBy(by);
    policies::setDigest(record);
    trace_->commit(Digested::kAlone);
  }
  if (killed)
    throw Error(ExitCode::kFailure, "the policy ended the session: " + reason,
                "see the trace's last decision: airr inspect --events");
  if (runs) {
    task.decided = enforcement_->decides();
    return true;
  }
  enforcement_->report(std::string(policies::toString(forbidden != nullptr ? Verdict::kBlocked : decision.verdict)) +
                       ": " + policies::describe(subject.actions.action[strictest], enforcement_->policy()) +
                       ": " + reason);
  refuse(task, error, reason.c_str());
  return false;
}

// What could change the trees beneath the session's overlays.
const char* Recording::overlayForbids(const Task& task, const Action& action,
                                      const std::optional<ResolvedName>& name) const {
  if (task.call.number == SYS_open_by_handle_at) return overlay::SessionOverlay::kUnresolved;
  const syscalls::Syscall& model = *task.model;
  if (name || action.kind == ActionKind::kSystem) return overlay_->forbids(action, name ? &*name : nullptr);
  if ((policies::kWritingActions & policies::only(action.kind)) == 0) return nullptr;
  for (unsigned i = 0; i < model.argumentCount; ++i) {
    const int argument = static_cast<int>(task.call.arguments[i]);
    switch (model.arguments[i].type) {
      case Type::kPath:
        if (!task.process->plain) return overlay::SessionOverlay::kUnresolved;
        break;
      case Type::kFd:
        return overlay_->forbids(action, descriptorLink(task.tracee.tid(), argument));
      default: break;
    }
  }
  return nullptr;
}

// Whether all that the policy lets happen read-only is a write in a tree with an overlay, for rules that
// send it there.
bool Recording::goesToOverlay(const Subject& subject, std::span<const Decision> decisions) const {
  if (!overlay_) return false;
  for (unsigned i = 0; i < subject.actions.count; ++i) {
    const Action& action = subject.actions.action[i];
    if (decisions[i].verdict != Verdict::kReadOnly) continue;
    if (decisions[i].readOnly != policies::ReadOnlyMode::kOverlay || !action.has(Fact::kPath) ||
        !overlay_->covers(action.path))
      return false;
  }
  return true;
}

// Asks for an approval, which is bound to exactly these actions and to the executable that asks. `by`:
// who answered.
schema::Decision::Approved Recording::approval(const Subject& subject, const Decision& decision,
                                               const std::string& reason, std::string& by) {
  ApprovalRequest request{options_.tracePath, reason, {}, decision.approval.timeout};
  for (unsigned i = 0; i < subject.actions.count; ++i)
    request.actions.push_back(actionText(subject.actions.action[i], enforcement_->policy()));
  const Digest digest = request.digest();
  if (const auto known = approvals_.find(digest); known != approvals_.end()) {
    if (steadyNow() < known->second) return schema::Decision::Approved::EARLIER;
    approvals_.erase(known);
  }
  trace_->flush();
  const Answered answered = approver_.ask(request);
  by = answered.by;
  switch (answered.answer) {
    case Answer::kYes:
      if (decision.approval.expires.count() > 0)
        approvals_[digest] = steadyNow() + decision.approval.expires;
      return schema::Decision::Approved::YES;
    case Answer::kNo: return schema::Decision::Approved::NO;
    case Answer::kNone: break;
  }
  return schema::Decision::Approved::NO_ANSWER;
}

// kill(2) to a group that the mediator is in, or to everybody, is for the session's processes alone.
// True: the task has its answer.
bool Recording::killForTask(Task& task) {
  const auto target = static_cast<pid_t>(task.call.arguments[0]);
  const auto signal = static_cast<int>(task.call.arguments[1]);
  const pid_t self = raw(task.process->pid);
  if (task.call.number != SYS_kill || target > 0) return false;
  const pid_t group = target == 0 ? getpgid(self) : -target;
  if (target != -1 && group != getpgrp()) return false;
  if (signal < 0 || signal > 64) return false;
  writeEnter(task);
  trace_->flush();
  bool includesSelf = false;
  std::set<pid_t> others;
  for (const auto& [tid, other] : tasks_) {
    const pid_t process = raw(other->process->pid);
    if (target != -1 && getpgid(process) != group) continue;
    if (process == self) {
      includesSelf = target != -1;  // everybody but the caller (kill(2))
    } else {
      others.insert(process);
    }
  }
  for (const pid_t process : others) ::kill(process, signal);
  if (!includesSelf) {
    finishPerformed(task, others.empty() ? -ESRCH : 0);
    return true;
  }
  Registers r = task.tracee.registers();
  r.rdi = static_cast<uint64_t>(self);
  task.tracee.setRegisters(r);
  task.state = TaskState::kInKernel;
  task.tracee.resume(Resume::kToSyscallExit);
  return true;
}

// Right after exec, before the program's first instruction: the names that the decision was about may
// have been changed by another process since.
void Recording::checkProgram(Task& task) {
  struct stat status {};
  const std::string link = "/proc/" + std::to_string(raw(task.tracee.tid())) + "/exe";
  if (task.expectedProgram && stat(link.c_str(), &status) == 0 &&
      *task.expectedProgram == std::pair<uint64_t, uint64_t>(status.st_dev, status.st_ino)) {
    task.expectedProgram.reset();
    return;
  }
  kill(raw(task.tracee.tid()), SIGKILL);
  throw Error(ExitCode::kFailure,
              "process " + std::to_string(raw(task.process->pid)) +
                  " did not start the program that was decided on",
              "another process changed what its name leads to; the session was ended");
}

// The same for a file that the task itself opened.
void Recording::checkOpened(Task& task, int fd) {
  struct stat status {};
  const struct stat& expected = task.names[0]->status;
  const std::string link = descriptorLink(task.tracee.tid(), fd);
  if (stat(link.c_str(), &status) == 0 && status.st_dev == expected.st_dev && status.st_ino == expected.st_ino) return;
  // A terminal's multiplexer and the like give another object for each opening.
  if (S_ISCHR(status.st_mode) && status.st_rdev == expected.st_rdev) return;
  kill(raw(task.tracee.tid()), SIGKILL);
  throw Error(ExitCode::kFailure,
              "process " + std::to_string(raw(task.process->pid)) + " did not open the file that was decided on",
              "another process changed what its name leads to; the session was ended");
}

}  // namespace airr
