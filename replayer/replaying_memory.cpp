// Memory in replay: the calls of the mmap family run for real, at the recorded addresses.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "recorder/gate/gate.h"
#include "replayer/replaying.h"
#include "schema/error.h"

namespace airr {
namespace {

// Flags that say nothing about content, and that this machine may be unable to honour.
constexpr uint64_t kDropped = MAP_POPULATE | MAP_LOCKED | MAP_HUGETLB | MAP_32BIT |
                              MAP_FIXED_NOREPLACE | MAP_NONBLOCK | MAP_SYNC | MAP_GROWSDOWN |
                              (0x3full << MAP_HUGE_SHIFT);
constexpr uint64_t kMostObject = 1ull << 40;

// Room for strings and arrays of injected calls: behind the gate's data.
constexpr uint64_t kScratch = AIRR_GATE_DATA + sizeof(airr_gate_data);
constexpr uint64_t kScratchSize = AIRR_GATE_DATA_SIZE - sizeof(airr_gate_data);

// Advice that changes what memory holds, or what a child of fork gets (madvise(2)).
bool changesContent(uint64_t advice) {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case 24:   // MADV_DONTNEED_LOCKED (Linux 5.18)
    case 102:  // MADV_GUARD_INSTALL (Linux 6.13)
    case 103:  // MADV_GUARD_REMOVE
      return true;
    default: return false;
  }
}

}  // namespace

int64_t Replaying::require(int64_t result, const char* what) {
  if (result < 0 && result > -4096)
    throw systemError("replay, event " + std::to_string(trace_.eventNumber()) + ": " + what,
                      static_cast<int>(-result));
  return result;
}

int Replaying::openIn(Task& task, Injection& injection, const std::string& path, int flags) {
  auto& open = task.process->openFiles;
  if (auto found = open.find(path); found != open.end()) return found->second;
  if (path.size() + 1 > kScratchSize) throw Error(ExitCode::kFailure, "path too long: " + path);
  const Address text{kScratch};
  if (!task.tracee.write(text, path.c_str(), path.size() + 1)) throw TraceeGone{task.tracee.tid()};
  auto attempt = [&] {
    return injection.call(SYS_openat, {static_cast<uint64_t>(AT_FDCWD), text.value, static_cast<uint64_t>(flags), 0});
  };
  int64_t fd = attempt();
  if (fd == -EMFILE) {
    for (const auto& [name, opened] : open) injection.call(SYS_close, {static_cast<uint64_t>(opened)});
    open.clear();
    fd = attempt();
  }
  require(fd, "opening a file of the trace in a task");
  open[path] = static_cast<int>(fd);
  return static_cast<int>(fd);
}

void Replaying::mapFile(Task& task, Injection& injection, uint64_t address, uint64_t length, int protection,
                        uint64_t flags, const std::string& path, int openFlags, uint64_t offset) {
  const int fd = openIn(task, injection, path, openFlags);
  require(injection.call(SYS_mmap, {address, length, static_cast<uint64_t>(protection), flags | MAP_FIXED,
                                    static_cast<uint64_t>(fd), offset}),
          "mapping a file of the trace");
}

void Replaying::mapBlob(Task& task, Injection& injection, uint64_t address, uint64_t length, int protection,
                        uint64_t flags, schema::BlobRange::Reader range) {
  const std::string& opened = blobs_.lastPathOf(range.getBlob());
  const std::string& path = task.process->openFiles.contains(opened) ? opened : blobs_.pathOf(range.getBlob());
  mapFile(task, injection, address, length, protection, flags, path, O_RDONLY, range.getOffset());
}

void Replaying::mapPrivate(Injection& injection, uint64_t address, uint64_t length, uint64_t protection,
                           uint64_t flags) {
  require(injection.call(SYS_mmap, {address, length, protection,
                                    flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                                    static_cast<uint64_t>(-1), 0}),
          "mapping memory");
}

void Replaying::setBreak(Task& task, Injection& injection, uint64_t result) {
  uint64_t& now = task.space->programBreak;
  const uint64_t from = pageCeil(now), to = pageCeil(result);
  if (now != 0 && to > from) {
    mapPrivate(injection, from, to - from, PROT_READ | PROT_WRITE);
  } else if (now != 0 && to < from) {
    require(injection.call(SYS_munmap, {to, from - to}), "shrinking the heap");
  }
  now = result;
}

bool Replaying::runMemoryCall(Task& task, schema::Syscall::Reader event) {
  const uint64_t* a = task.call.arguments;
  const auto result = static_cast<uint64_t>(event.getResult());
  Injection injection(task.tracee);
  switch (task.call.number) {
    case SYS_brk:
      setBreak(task, injection, result);
      break;
    case SYS_mmap: {
      auto mapping = event.getMapping();
      const int protection = static_cast<int>(a[2]);
      const uint64_t flags = a[3] & ~kDropped;
      if (event.hasMapping() && mapping.isBlob()) {
        mapBlob(task, injection, result, a[1], protection, (flags & ~uint64_t{MAP_TYPE}) | MAP_PRIVATE, mapping.getBlob());
      } else if (event.hasMapping() && mapping.isShared()) {
        auto object = objects_.find(mapping.getShared().getObject());
        if (object == objects_.end())
          throw Error(ExitCode::kUnreadable, options_.tracePath + ": a mapping of an unknown object");
        mapFile(task, injection, result, a[1], protection, (flags & ~uint64_t{MAP_TYPE | MAP_ANONYMOUS}) | MAP_SHARED,
                object->second.path, O_RDWR, mapping.getShared().getOffset());
      } else {
        mapPrivate(injection, result, a[1], a[2], flags & ~uint64_t{MAP_TYPE});
      }
      break;
    }
    case SYS_mremap: {
      const uint64_t moved = result == a[0] ? (a[3] & ~uint64_t{MREMAP_FIXED | MREMAP_MAYMOVE})
                                            : (a[3] | MREMAP_FIXED | MREMAP_MAYMOVE);
      require(injection.call(SYS_mremap, {a[0], a[1], a[2], moved, result}), "moving a mapping");
      break;
    }
    case SYS_madvise:
      if (!changesContent(a[2])) return true;
      require(injection.call(SYS_madvise, {a[0], a[1], a[2] == MADV_FREE ? uint64_t{MADV_DONTNEED} : a[2]}),
              "advising on memory");
      break;
    case SYS_munmap:
    case SYS_mprotect:
      require(injection.call(task.call.number, {a[0], a[1], a[2]}), "changing a mapping");
      break;
    default: return false;
  }
  injection.end();
  return true;
}

std::vector<uint8_t> Replaying::contentOf(schema::MemoryWrite::Reader write) {
  switch (write.which()) {
    case schema::MemoryWrite::BYTES: {
      auto bytes = write.getBytes();
      return {bytes.begin(), bytes.end()};
    }
    case schema::MemoryWrite::BLOB: {
      auto range = write.getBlob();
      return trace_.readBlob(range.getBlob(), range.getOffset(), range.getLength());
    }
    default: return std::vector<uint8_t>(std::min(write.getZeros(), syscalls::kMaxRegionBytes));
  }
}

void Replaying::applyWrites(Task& task, capnp::List<schema::MemoryWrite>::Reader writes) {
  for (auto write : writes) {
    const Address at{write.getAddress()};
    if (write.isBytes()) {
      auto bytes = write.getBytes();
      if (task.tracee.write(at, bytes.begin(), bytes.size()) ||
          task.tracee.forceWrite(at, bytes.begin(), bytes.size()))
        continue;
    } else {
      const std::vector<uint8_t> content = contentOf(write);
      if (task.tracee.write(at, content.data(), content.size()) ||
          task.tracee.forceWrite(at, content.data(), content.size()))
        continue;
    }
    diverge(task, "memory at its recorded address", "none where the trace has a call's results");
  }
}

void Replaying::onSharedObject(schema::SharedObject::Reader event) {
  Object object;
  object.file.reset(memfd_create("airr-shared", MFD_CLOEXEC));
  if (!object.file) throw systemError("memfd_create");
  object.path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(object.file.get());
  if (event.getSize() > kMostObject)
    throw Error(ExitCode::kUnreadable, options_.tracePath + ": a shared object of impossible size");
  if (event.getHasContent()) trace_.writeBlob(event.getContent().getBlob(), object.file.get());
  if (ftruncate(object.file.get(), static_cast<off_t>(event.getSize())) != 0)
    throw systemError("sizing a shared object");
  objects_[event.getObject()] = std::move(object);
}

void Replaying::applySharedWrites(capnp::List<schema::SharedWrite>::Reader writes) {
  for (auto write : writes) {
    auto object = objects_.find(write.getObject());
    if (object == objects_.end()) continue;
    const int fd = object->second.file.get();
    auto bytes = write.getBytes();
    if (bytes.size() > 0 && pwrite(fd, bytes.begin(), bytes.size(), static_cast<off_t>(write.getOffset())) !=
                                static_cast<ssize_t>(bytes.size()))
      throw systemError("writing to a shared object");
    if (write.getNewSize() >= 0 && ftruncate(fd, write.getNewSize()) != 0)
      throw systemError("sizing a shared object");
  }
}

void Replaying::onForced(Task& task, schema::Forced::Reader event) {
  auto& pages = task.space->pages;
  for (uint64_t page : event.getGone()) pages.erase(page);
  for (auto run : event.getPages()) {
    const std::vector<uint8_t> content = contentOf(run);
    for (size_t at = 0; at + kPageSize <= content.size(); at += kPageSize)
      pages[run.getAddress() + at].assign(content.begin() + static_cast<ptrdiff_t>(at),
                                          content.begin() + static_cast<ptrdiff_t>(at + kPageSize));
  }
  uint8_t now[kPageSize];
  for (const auto& [page, content] : pages) {
    if (task.tracee.read({page}, now, kPageSize) && memcmp(now, content.data(), kPageSize) == 0)
      continue;
    if (!task.tracee.write({page}, content.data(), kPageSize) &&
        !task.tracee.forceWrite({page}, content.data(), kPageSize))
      diverge(task, "memory at a forced point", "none at its address");
  }
  const uint64_t hookCount = event.getHookCount();
  task.tracee.write({AIRR_GATE_DATA + AIRR_GATE_DATA_HOOK_COUNT}, &hookCount, sizeof hookCount);
  task.space->clocks.clear();  // readings behind the last call were never recorded
  task.space->gateHasOld = true;
  setRegisters(task, event.getRegisters());
  auto state = event.getXstate();
  task.tracee.setExtendedState(state.begin(), state.size());
}

}  // namespace airr
