#include "mediator/facts/call_actions.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <charconv>

namespace airr::facts {
namespace {

using policies::Action;
using policies::ActionKind;
using policies::Fact;
using policies::Family;
using policies::SocketType;
using syscalls::Authority;

Family familyOf(uint64_t domain) {
  switch (static_cast<int>(domain)) {
    case AF_INET: return Family::kInet;
    case AF_INET6: return Family::kInet6;
    case AF_UNIX: return Family::kUnix;
    case AF_NETLINK: return Family::kNetlink;
    case AF_PACKET: return Family::kPacket;
    case AF_VSOCK: return Family::kVsock;
    default: return Family::kOther;
  }
}

SocketType socketTypeOf(uint64_t type) {
  switch (type & 0xf) {
    case SOCK_STREAM: return SocketType::kStream;
    case SOCK_DGRAM: return SocketType::kDatagram;
    case SOCK_SEQPACKET: return SocketType::kSequential;
    case SOCK_RAW: return SocketType::kRaw;
    default: return SocketType::kOther;
  }
}

Action& add(const CallFacts& facts, CallActions& actions, ActionKind kind) {
  Action& action = actions.action[actions.count++];
  action = Action{};
  action.kind = kind;
  if (const auto* model = syscalls::find(facts.call.number)) {
    action.syscall = model->name;
    action.set(Fact::kSyscall);
  }
  return action;
}

void setPath(Action& action, std::string_view path) {
  if (path.starts_with('/') || path.starts_with('@')) {
    action.setPath(path);
  } else {
    action.setUnknown(Fact::kPath);
    action.setUnknown(Fact::kPathName);
  }
}

Action& addNamed(const CallFacts& facts, CallActions& actions, ActionKind kind) {
  Action& action = add(facts, actions, kind);
  setPath(action, facts.path.empty() ? facts.descriptor.path : facts.path);
  return action;
}

// Names are given or taken: the other end is a fact of both.
void addMove(const CallFacts& facts, CallActions& actions, ActionKind kind, std::string_view from,
             std::string_view to) {
  for (const bool source : {true, false}) {
    Action& action = add(facts, actions, source ? kind : ActionKind::kCreate);
    setPath(action, source ? from : to);
    const std::string_view other = source ? to : from;
    if (other.starts_with('/')) {
      action.otherPath = other;
      action.set(Fact::kOtherPath);
    } else {
      action.setUnknown(Fact::kOtherPath);
    }
  }
}

void addOpen(const CallFacts& facts, CallActions& actions, uint64_t flags) {
  if ((flags & O_PATH) != 0) {
    addNamed(facts, actions, ActionKind::kMetadata);
    return;
  }
  const uint64_t mode = flags & O_ACCMODE;
  // Mode 3 is for ioctl only and checked as both (open(2)).
  if (mode == O_RDONLY || mode == O_RDWR || mode == O_ACCMODE)
    addNamed(facts, actions, ActionKind::kOpenRead);
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    addNamed(facts, actions, ActionKind::kCreate);
  } else if (mode != O_RDONLY || (flags & O_TRUNC) != 0) {
    addNamed(facts, actions, ActionKind::kOpenWrite);
  }
}

void setSocket(const CallFacts& facts, Action& action) {
  if (facts.descriptor.family) {
    action.family = *facts.descriptor.family;
    action.set(Fact::kFamily);
  } else {
    action.setUnknown(Fact::kFamily);
  }
  if (facts.descriptor.socketType) {
    action.socketType = *facts.descriptor.socketType;
    action.set(Fact::kSocketType);
  } else {
    action.setUnknown(Fact::kSocketType);
  }
}

// "inet 10.0.0.1:80", "inet6 [::1]:80": what describeAddress() says.
bool setInternet(Action& action, std::string_view address) {
  const size_t colon = address.rfind(':');
  const bool v6 = address.starts_with("inet6 [");
  if (colon == std::string_view::npos || (!v6 && !address.starts_with("inet "))) return false;
  const std::string_view host =
      v6 ? address.substr(7, colon - 8) : address.substr(5, colon - 5);
  const std::string_view port = address.substr(colon + 1);
  const auto ip = policies::parseIp(host);
  if (!ip || std::from_chars(port.data(), port.data() + port.size(), action.port).ec != std::errc{})
    return false;
  action.host = *ip;
  action.family = v6 ? Family::kInet6 : Family::kInet;
  action.set(Fact::kHost), action.set(Fact::kPort), action.set(Fact::kFamily);
  return true;
}

void addNetwork(const CallFacts& facts, CallActions& actions, ActionKind kind) {
  Action& action = add(facts, actions, kind);
  setSocket(facts, action);
  const std::string_view address = facts.path;
  if (kind == ActionKind::kListen || setInternet(action, address)) return;
  if (address.starts_with("unix ")) {
    action.family = Family::kUnix;
    action.set(Fact::kFamily);
    setPath(action, address.substr(5));
  } else if (address.starts_with('/') || address.starts_with('@')) {
    action.family = Family::kUnix;
    action.set(Fact::kFamily);
    action.setPath(address);
  } else if (address.starts_with("netlink")) {
    action.family = Family::kNetlink;
    action.set(Fact::kFamily);
  } else if (!address.starts_with("unix, ") && !address.starts_with("family 0")) {
    // An unnamed address, and AF_UNSPEC (it ends a connection), name nobody.
    action.setUnknown(Fact::kHost), action.setUnknown(Fact::kPort);
    action.setUnknown(Fact::kHostNames);
    setPath(action, {});
  }
}

void addOperation(const CallFacts& facts, CallActions& actions, ActionKind kind,
                  uint64_t operation) {
  Action& action = add(facts, actions, kind);
  action.operation = static_cast<int64_t>(operation);
  action.set(Fact::kOperation);
  const std::string_view path = facts.path.empty() ? facts.descriptor.path : facts.path;
  if (kind == ActionKind::kSpawn || kind == ActionKind::kPrivilege) return;
  if (path.starts_with('/')) {
    action.setPath(path);
  } else if (path.empty() && facts.descriptor.isUnknown) {
    setPath(action, {});
  }
}

void addProcess(const CallFacts& facts, CallActions& actions, ActionKind kind, uint64_t signal) {
  Action& action = add(facts, actions, kind);
  action.inside = facts.targetIsInside || facts.descriptor.isInside;
  action.set(Fact::kInside);
  if (kind != ActionKind::kSignal) return;
  action.signal = static_cast<int32_t>(signal);
  action.set(Fact::kSignal);
}

// TCP fast open: it connects and sends at once (tcp(7)).
bool opensFast(const syscalls::Call& call) {
  return (call.number == SYS_sendto && (call.arguments[3] & MSG_FASTOPEN) != 0) ||
         (call.number == SYS_sendmsg && (call.arguments[2] & MSG_FASTOPEN) != 0) ||
         (call.number == SYS_sendmmsg && (call.arguments[3] & MSG_FASTOPEN) != 0);
}

void addModify(const CallFacts& facts, CallActions& actions) {
  switch (facts.call.number) {
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
      addMove(facts, actions, ActionKind::kRename, facts.path, facts.other);
      if (facts.call.number == SYS_renameat2 && (facts.call.arguments[4] & RENAME_EXCHANGE) != 0)
        addMove(facts, actions, ActionKind::kRename, facts.other, facts.path);
      return;
    case SYS_link:
    case SYS_linkat:
      return addMove(facts, actions, ActionKind::kLink, facts.path, facts.other);
    case SYS_symlink:
    case SYS_symlinkat: {
      Action& action = addNamed(facts, actions, ActionKind::kCreate);
      if (facts.linkTarget) {
        action.target = *facts.linkTarget;
        action.set(Fact::kTarget);
      } else {
        action.setUnknown(Fact::kTarget);
      }
      return;
    }
    case SYS_mkdir:
    case SYS_mkdirat:
    case SYS_mknod:
    case SYS_mknodat: addNamed(facts, actions, ActionKind::kCreate); return;
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rmdir: addNamed(facts, actions, ActionKind::kUnlink); return;
    case SYS_truncate: addNamed(facts, actions, ActionKind::kOpenWrite); return;
    default: addNamed(facts, actions, ActionKind::kAttributes); return;
  }
}

}  // namespace

void setConnection(Action& action, std::string_view address) {
  action.socketType = SocketType::kStream;
  action.set(Fact::kSocketType);
  if (setInternet(action, address)) return;
  for (const Fact fact : {Fact::kFamily, Fact::kHost, Fact::kHostNames, Fact::kPort}) action.setUnknown(fact);
}

bool writesByOpening(const syscalls::Call& call) {
  constexpr uint64_t kWriting = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
  switch (call.number) {
    case SYS_open: return (call.arguments[1] & kWriting) != 0;
    case SYS_openat: return (call.arguments[2] & kWriting) != 0;
    case SYS_creat:
    case SYS_openat2:
    case SYS_open_by_handle_at: return true;
    default: return false;
  }
}

bool needsRecord(const syscalls::Call& call, const CallActions& actions) {
  switch (call.number) {
    case SYS_execve:
    case SYS_execveat:
    case SYS_openat2:
    case SYS_sendmmsg:
    case SYS_symlink:
    case SYS_symlinkat: return true;
    default: break;
  }
  for (unsigned i = 0; i < actions.count; ++i)
    if (actions.action[i].has(Fact::kInside) && !actions.action[i].inside) return true;
  return false;
}

bool canHaveActions(uint64_t number) {
  const syscalls::Syscall* model = syscalls::find(number);
  return model != nullptr && model->authority != Authority::kNone &&
         model->treatment != syscalls::Treatment::kRefuse;
}

void actionsOf(const CallFacts& facts, CallActions& actions) {
  actions.count = 0;
  const syscalls::Syscall* model = syscalls::find(facts.call.number);
  if (model == nullptr || model->treatment == syscalls::Treatment::kRefuse) return;
  const uint64_t* a = facts.call.arguments;
  switch (model->authority) {
    case Authority::kNone: return;
    case Authority::kOpen:
      switch (facts.call.number) {
        case SYS_open: return addOpen(facts, actions, a[1]);
        case SYS_openat: return addOpen(facts, actions, a[2]);
        case SYS_creat: return addOpen(facts, actions, O_CREAT | O_WRONLY | O_TRUNC);
        case SYS_open_by_handle_at: return addOpen(facts, actions, a[2]);
        default: return addOpen(facts, actions, facts.openFlags.value_or(O_RDWR | O_CREAT));
      }
    case Authority::kMetadata: addNamed(facts, actions, ActionKind::kMetadata); return;
    case Authority::kModify: return addModify(facts, actions);
    case Authority::kExecute: addNamed(facts, actions, ActionKind::kExec); return;
    case Authority::kConnect:
      switch (facts.call.number) {
        case SYS_connect: return addNetwork(facts, actions, ActionKind::kConnect);
        case SYS_bind: return addNetwork(facts, actions, ActionKind::kBind);
        case SYS_listen: return addNetwork(facts, actions, ActionKind::kListen);
        default:
          // Without an address it uses a connection that was granted.
          if (!facts.path.empty())
            addNetwork(facts, actions, opensFast(facts.call) ? ActionKind::kConnect : ActionKind::kSend);
          return;
      }
    case Authority::kSocket: {
      Action& action = add(facts, actions, ActionKind::kSocket);
      action.family = familyOf(a[0]);
      action.socketType = socketTypeOf(a[1]);
      action.set(Fact::kFamily), action.set(Fact::kSocketType);
      return;
    }
    case Authority::kSpawn:
      return addOperation(facts, actions, ActionKind::kSpawn,
                          facts.call.number == SYS_clone   ? a[0]
                          : facts.call.number == SYS_vfork ? uint64_t{CLONE_VFORK | CLONE_VM}
                                                           : 0);
    case Authority::kSignal:
      switch (facts.call.number) {
        case SYS_kill:
        case SYS_tkill:
        case SYS_rt_sigqueueinfo:
        case SYS_pidfd_send_signal:
          return addProcess(facts, actions, ActionKind::kSignal, a[1]);
        case SYS_tgkill:
        case SYS_rt_tgsigqueueinfo: return addProcess(facts, actions, ActionKind::kSignal, a[2]);
        default: return addProcess(facts, actions, ActionKind::kInspect, 0);
      }
    case Authority::kCode:
      if ((a[2] & PROT_EXEC) == 0) return;
      if (facts.call.number == SYS_mmap && (a[3] & MAP_ANONYMOUS) == 0) {
        setPath(add(facts, actions, ActionKind::kLoad), facts.descriptor.path);
      } else {
        add(facts, actions, ActionKind::kMakeCode);
      }
      return;
    case Authority::kDevice: return addOperation(facts, actions, ActionKind::kDevice, a[1] & 0xffffffff);
    case Authority::kSystem: return addOperation(facts, actions, ActionKind::kSystem, a[0]);
    case Authority::kPrivilege: return addOperation(facts, actions, ActionKind::kPrivilege, a[0]);
    case Authority::kIpc: add(facts, actions, ActionKind::kIpc); return;
  }
}

}  // namespace airr::facts
