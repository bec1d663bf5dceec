// Mappings: files as blobs, shared memory as objects, instructions that must not run.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "mediator/input_instructions.h"
#include "mediator/memory_map.h"
#include "mediator/program_sites.h"
#include "mediator/recording.h"
#include "recorder/frame.h"
#include "recorder/gate/gate.h"
#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {
namespace {

using schema::Syscall;

constexpr uint64_t kMseal = 462;        // Linux 6.10
constexpr uint64_t kMapTypeMask = 0xf;  // MAP_TYPE

bool isShared(uint64_t flags) {
  uint64_t type = flags & kMapTypeMask;
  return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
}

TrapSite trapSiteOf(const InputInstruction& found) {
  return {found.kind, found.length, static_cast<uint8_t>(found.operandBits / 8), found.reg};
}

// A site in a note: 8 bytes of offset, then kind, length, operand bytes and destination.
constexpr size_t kNoteOfSite = 12;

std::vector<uint8_t> encodeTrapSites(const std::vector<FileTrapSite>& sites) {
  std::vector<uint8_t> note(sites.size() * kNoteOfSite);
  uint8_t* to = note.data();
  for (const auto& [offset, site] : sites) {
    memcpy(to, &offset, sizeof offset);
    const uint8_t rest[] = {static_cast<uint8_t>(site.kind), site.length, site.operandBytes,
                            site.destination};
    memcpy(to + sizeof offset, rest, sizeof rest);
    to += kNoteOfSite;
  }
  return note;
}

std::vector<FileTrapSite> decodeTrapSites(const std::vector<uint8_t>& note) {
  std::vector<FileTrapSite> sites;
  for (size_t at = 0; at + kNoteOfSite <= note.size(); at += kNoteOfSite) {
    const uint8_t* from = note.data() + at;
    uint64_t offset;
    memcpy(&offset, from, sizeof offset);
    from += sizeof offset;
    sites.push_back(
        {offset, {static_cast<InputInstruction::Kind>(from[0]), from[1], from[2], from[3]}});
  }
  return sites;
}

const MappedRegion* regionAt(const std::vector<MappedRegion>& regions, uint64_t address) {
  for (const MappedRegion& region : regions)
    if (region.start.value <= address && address < region.end.value) return &region;
  return nullptr;
}

}  // namespace

// A tracee may not change what is mapped where its gate lies.
bool Recording::touchesGate(const Task& task) const {
  const uint64_t* a = task.call.arguments;
  auto overlaps = [](uint64_t start, uint64_t length) {
    return start < AIRR_GATE_END && start + length > AIRR_GATE_TEXT;
  };
  switch (task.call.number) {
    case SYS_mmap:
      return (a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && overlaps(a[0], a[1]);
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_madvise:
    case kMseal:
      return overlaps(a[0], a[1]);
    case SYS_mremap:
      return overlaps(a[0], a[1]) || ((a[3] & MREMAP_FIXED) && overlaps(a[4], a[2]));
    default:
      return false;
  }
}

// Advice has been taken. What only marks a mapping, later calls on the mapping succeed with as without; but a child has
// no memory that is marked with MADV_DONTFORK.
void Recording::noteAdvice(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (a[2]) {
    case MADV_DONTFORK: task.space->known.remove(a[0], a[1]); [[fallthrough]];
    case MADV_DOFORK:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP: ++task.space->mapOperations; break;
    default: predictMappings_ = false; break;
  }
}

// Before a call of the mmap family; false if it was answered here.
bool Recording::prepareMapping(Task& task) {
  const uint64_t* a = task.call.arguments;
  if (task.call.number == SYS_madvise && a[2] == MADV_FREE) {
    // When the kernel frees such pages is up to memory pressure; freeing them now is one of the
    // outcomes that the caller must be ready for. Others than private pages of no file it never frees so.
    for (const MappedRegion& region : readMemoryMap(task.tracee.tid())) {
      if (region.end.value <= a[0] || region.start.value >= a[0] + a[1] || (!region.shared && region.inode == 0)) continue;
      refuse(task, EINVAL, "frees what is not private memory");
      return false;
    }
    Registers r = task.tracee.registers();
    r.rdx = MADV_DONTNEED;
    task.tracee.setRegisters(r);
    task.altered = true;
  }
  if (task.call.number == SYS_mmap && !(a[3] & MAP_ANONYMOUS)) {
    const OpenFile* file = openFile(task, static_cast<int>(a[4]));
    if (file != nullptr && !file->fd && file->kind != OpenFile::Kind::kZeroDevice) {
      refuse(task, ENODEV, "maps a device");
      return false;
    }
    struct stat s {};
    if (file != nullptr && file->fd && fstat(file->fd.get(), &s) == 0 &&
        static_cast<uint64_t>(s.st_size) > kMaxBlob) {
      refuse(task, ENOMEM, "maps a file that is too large for a trace");
      return false;
    }
  }
  return true;
}

std::shared_ptr<SharedObjectState> Recording::findShared(uint64_t device, uint64_t inode) {
  std::erase_if(sharedObjects_, [](const auto& object) { return object.expired(); });
  for (const auto& weak : sharedObjects_)
    if (auto object = weak.lock(); object->device == device && object->inode == inode)
      return object;
  return nullptr;
}

// A new mapping that other processes may come to share: makes it part of the session's shared
// objects, and the task part of the object's baton domain.
void Recording::shareMapping(Task& task, uint64_t start) {
  const uint64_t* a = task.call.arguments;
  if (!isShared(a[3])) return;
  const std::vector<MappedRegion> regions = readMemoryMap(task.tracee.tid());
  const MappedRegion* region = regionAt(regions, start);
  if (region == nullptr) return;
  std::shared_ptr<SharedObjectState> object = findShared(region->device, region->inode);
  const bool anonymous = (a[3] & MAP_ANONYMOUS) != 0;
  OpenFile* file = anonymous ? nullptr : openFile(task, static_cast<int>(a[4]));
  if (!anonymous) {
    if (!object && !(a[2] & PROT_WRITE)) {
      // A file that nobody in the session writes through memory: as good as private, if it cannot
      // be made writable later.
      const std::string info = "/proc/" + std::to_string(raw(task.tracee.tid())) + "/fdinfo/" +
                               std::to_string(static_cast<int>(a[4]));
      UniqueFd fd(open(info.c_str(), O_RDONLY | O_CLOEXEC));
      char text[256] = {};
      if (fd && read(fd.get(), text, sizeof text - 1) > 0) {
        const char* flags = strstr(text, "flags:\t");
        if (flags && (strtoul(flags + 7, nullptr, 8) & O_ACCMODE) == O_RDONLY) return;
      }
    }
  }
  if (!object) {
    object = std::make_shared<SharedObjectState>();
    object->number = nextObject_++;
    object->device = region->device;
    object->inode = region->inode;
    object->domain = task.space->domain;
    sharedObjects_.push_back(object);
    auto event = beginEvent(task);
    auto record = event.initSharedObject();
    record.setObject(object->number);
    record.setPath(region->name);
    if (file == nullptr || !file->fd) {
      record.setSize(pageCeil(a[1]) + a[5]);
    } else {
      struct stat s {};
      fstat(file->fd.get(), &s);
      record.setSize(static_cast<uint64_t>(s.st_size));
      if (s.st_size > 0) {
        record.setHasContent(true);
        auto range = record.initContent();
        range.setBlob(trace_->addFile(file->fd.get()));
        range.setLength(static_cast<uint64_t>(s.st_size));
      }
    }
    trace_->commit();
  } else if (auto domain = object->domain.lock(); domain && domain != task.space->domain) {
    merge(domain, task.space->domain);
  }
  object->domain = task.space->domain;
  task.space->sharedMappings[start] = {start + pageCeil(a[1]), object, a[5]};
}

void Recording::noteMapping(Task& task, Syscall::Builder call, int64_t result) {
  const uint64_t* a = task.call.arguments;
  const auto start = static_cast<uint64_t>(result);
  if (auto shared = task.space->sharedMappings.find(start);
      shared != task.space->sharedMappings.end()) {
    auto record = call.initMapping().initShared();
    record.setObject(shared->second.object->number);
    record.setOffset(a[5]);
    return;
  }
  if (a[3] & MAP_ANONYMOUS) return;
  OpenFile* file = openFile(task, static_cast<int>(a[4]));
  if (file == nullptr || file->kind == OpenFile::Kind::kZeroDevice) return;
  struct stat s {};
  if (!file->fd || fstat(file->fd.get(), &s) != 0)
    throw systemError("reading a file that the session mapped, " + describePath(task, -1));
  const uint32_t blob = trace_->addFile(file->fd.get());
  auto range = call.initMapping().initBlob();
  range.setBlob(blob);
  range.setOffset(a[5]);
  const auto size = static_cast<uint64_t>(s.st_size);
  range.setLength(size > a[5] ? size - a[5] : 0);
  if (file->path.empty()) file->path = resolvePath(task, static_cast<int>(a[4]), "");
  call.setPath(file->path);
  if (a[2] & PROT_EXEC) {
    const std::vector<uint64_t> sites =
        patchTrapSites(task, file->fd.get(), blob, start, a[1], a[5]);
    auto writes = call.initWrites(static_cast<unsigned>(sites.size()));
    for (unsigned i = 0; i < sites.size(); ++i) fillWrite(task.tracee, writes[i], {{sites[i]}, 1});
    noteProgram(task, file->fd.get(), blob, start, a[1], a[5]);
  }
}

// Where a program file has instructions that are inputs. Scanning takes 0.3 ms a megabyte, so the
// result is kept for later sessions.
const std::vector<FileTrapSite>& Recording::findProgramTraps(int file, uint32_t blob) {
  const auto known = trapSitesOfBlob_.find(blob);
  if (known != trapSitesOfBlob_.end()) return known->second;
  const auto find = [](std::span<const uint8_t> content) {
    std::vector<FileTrapSite> sites;
    for (const InputInstruction& found : findInputInstructions(content))
      sites.push_back({found.offset, trapSiteOf(found)});
    return sites;
  };
  return trapSitesOfBlob_[blob] =
             sitesOfProgram<FileTrapSite>(file, *programNotes_, find, encodeTrapSites, decodeTrapSites);
}

// Replaces instructions that are inputs in newly mapped code by int3, whose trap the mediator
// answers. Returns the addresses that were changed.
std::vector<uint64_t> Recording::patchTrapSites(Task& task, int file, uint32_t blob, uint64_t start,
                                                uint64_t length, uint64_t offset) {
  std::vector<uint64_t> changed;
  std::vector<PatchedBytes> patch;
  for (const auto& [at, site] : findProgramTraps(file, blob)) {
    if (at < offset || at - offset + site.length > length) continue;
    const uint64_t address = start + (at - offset);
    patch.push_back({address, {kInt3}});
    task.space->trapSites[address] = site;
    changed.push_back(address);
  }
  if (!patch.empty() && !writeCode(task.tracee, patch)) throw TraceeGone{task.tracee.tid()};
  return changed;
}

// Memory that a program made executable may hold code that it has generated. As long as it is not
// executable, the program finds its own bytes there, to read, change or move them.
void Recording::noteProtection(Task& task, Syscall::Builder call) {
  const uint64_t* a = task.call.arguments;
  const uint64_t end = a[0] + pageCeil(a[1]);
  std::set<uint64_t> changed;
  restoreGenerated(task, a[0], end, changed);
  if (a[2] & PROT_EXEC) patchGenerated(task, a[0], end, changed);
  if (changed.empty()) return;
  auto writes = call.initWrites(static_cast<unsigned>(changed.size()));
  unsigned i = 0;
  for (uint64_t address : changed) fillWrite(task.tracee, writes[i++], {{address}, 1});
}

void Recording::restoreGenerated(Task& task, uint64_t start, uint64_t end,
                                 std::set<uint64_t>& changed) {
  auto& sites = task.space->trapSites;
  for (auto at = sites.lower_bound(start); at != sites.end() && at->first < end;) {
    const auto& [address, site] = *at;
    if (!site.generated) {
      ++at;
      continue;
    }
    uint8_t now = 0;
    if (task.tracee.readValue({address}, now) && now == kInt3 &&
        task.tracee.forceWrite({address}, &site.original, 1))
      changed.insert(address);
    at = sites.erase(at);
  }
}

// Only what was written can be code: in private pages, of no file (patchTrapSites has those).
void Recording::patchGenerated(Task& task, uint64_t start, uint64_t end,
                               std::set<uint64_t>& changed) {
  constexpr uint64_t kMostScanned = 16 << 20;
  uint64_t scanned = 0;
  std::vector<Region> runs;
  PageMap(task.tracee.tid()).privatePages({start}, {end}, [&](Address page) {
    if (scanned == kMostScanned) return;
    scanned += kPageSize;
    if (runs.empty() || runs.back().start + runs.back().length != page) runs.push_back({page, 0});
    runs.back().length += kPageSize;
  });
  std::vector<MappedRegion> regions;
  std::vector<uint8_t> code;
  for (const Region& run : runs) {
    code.resize(run.length);
    if (!task.tracee.read(run.start, code.data(), code.size())) continue;
    for (const InputInstruction& found : findInputInstructionsOfCode(code)) {
      if (regions.empty()) regions = readMemoryMap(task.tracee.tid());
      const Address address = run.start + found.offset;
      const MappedRegion* region = regionAt(regions, address.value);
      if (region == nullptr || region->shared || region->inode != 0) continue;
      if (!task.tracee.forceWrite(address, &kInt3, 1)) throw TraceeGone{task.tracee.tid()};
      TrapSite site = trapSiteOf(found);
      site.generated = true;
      allowInGate(task, AIRR_GATE_MAY_PROTECT, false);  // restoreGenerated()
      site.original = code[found.offset];
      task.space->trapSites[address.value] = site;
      changed.insert(address.value);
    }
  }
}

// After a call that succeeded, or that is sure to: what is mapped now.
void Recording::noteMappingCall(Task& task, int64_t result) {
  const uint64_t* a = task.call.arguments;
  AddressSpace& space = *task.space;
  ++space.mapOperations;
  switch (task.call.number) {
    case SYS_mmap:
      noteUnmapping(space, static_cast<uint64_t>(result), a[1]);
      space.known.add(static_cast<uint64_t>(result), a[1]);
      if ((a[3] & (MAP_HUGETLB | MAP_LOCKED | MAP_GROWSDOWN)) != 0) predictMappings_ = false;
      break;
    case SYS_munmap:
      noteUnmapping(space, a[0], a[1]);
      space.known.remove(a[0], a[1]);
      break;
    case SYS_mremap:
      noteRemapping(space, a[0], a[1], static_cast<uint64_t>(result), a[2]);
      if ((a[3] & MREMAP_DONTUNMAP) == 0) space.known.remove(a[0], a[1]);
      space.known.add(static_cast<uint64_t>(result), a[2]);
      break;
    default:
      break;
  }
}

void Recording::noteUnmapping(AddressSpace& space, uint64_t start, uint64_t length) {
  const uint64_t end = start + pageCeil(length);
  space.trapSites.erase(space.trapSites.lower_bound(start), space.trapSites.lower_bound(end));
  const auto overlaps = [&](const auto& program) { return program.first < end && program.second.end > start; };
  if (std::ranges::any_of(*space.sites.programs, overlaps)) std::erase_if(space.sites.programs.change(), overlaps);
  std::map<uint64_t, SharedMapping> kept;
  for (auto& [from, mapping] : space.sharedMappings) {
    if (mapping.end <= start || from >= end) {
      kept[from] = mapping;
      continue;
    }
    if (from < start) kept[from] = {start, mapping.object, mapping.offset};
    if (mapping.end > end) kept[end] = {mapping.end, mapping.object, mapping.offset + (end - from)};
  }
  space.sharedMappings = std::move(kept);
}

void Recording::noteRemapping(AddressSpace& space, uint64_t from, uint64_t fromLength, uint64_t to,
                              uint64_t toLength) {
  std::map<uint64_t, TrapSite> sites;  // move with their code
  const uint64_t keptEnd = from + std::min(pageCeil(fromLength), pageCeil(toLength));
  for (auto at = space.trapSites.lower_bound(from);
       at != space.trapSites.end() && at->first < keptEnd; ++at)
    sites[at->first - from + to] = at->second;
  auto found = space.sharedMappings.find(from);
  if (found == space.sharedMappings.end()) {
    if (from != to) noteUnmapping(space, from, fromLength);
    space.trapSites.merge(sites);
    return;
  }
  SharedMapping moved = found->second;
  noteUnmapping(space, from, fromLength);
  moved.end = to + pageCeil(toLength);
  space.sharedMappings[to] = moved;
}

// A write by syscall to an object that is mapped: the kernel changed memory that tasks can see.
void Recording::noteSharedWrite(Task& task, Syscall::Builder call, int64_t result) {
  const uint64_t* a = task.call.arguments;
  int fd = static_cast<int>(a[0]);
  int64_t offset = -1;  // at the file's position, which has moved on
  bool resized = false;
  switch (task.call.number) {
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2:
      offset = static_cast<int64_t>(a[3]);
      break;
    case SYS_write:
    case SYS_writev:
    case SYS_sendfile:
      break;
    case SYS_copy_file_range:
    case SYS_splice:
      fd = static_cast<int>(a[2]);
      if (a[3] == 0) break;
      if (!task.tracee.readValue({a[3]}, offset)) return;
      offset -= result;
      break;
    case SYS_ftruncate:
    case SYS_fallocate:
      resized = true;
      break;
    default:
      return;
  }
  const std::string link =
      "/proc/" + std::to_string(raw(task.tracee.tid())) + "/fd/" + std::to_string(fd);
  struct stat s {};
  if (stat(link.c_str(), &s) != 0) return;
  const auto object = findShared(s.st_dev, s.st_ino);
  if (!object) return;
  auto record = call.initSharedWrites(1)[0];
  record.setObject(object->number);
  if (resized) {
    record.setNewSize(s.st_size);
    return;
  }
  if (result <= 0) return;
  if (offset < 0) offset = filePosition(task.tracee.tid(), fd) - result;
  record.setOffset(static_cast<uint64_t>(offset));
  auto bytes = record.initBytes(static_cast<unsigned>(result));
  UniqueFd file(open(link.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || pread(file.get(), bytes.begin(), bytes.size(), offset) != result)
    throw systemError("reading back a write to a mapped file");
  record.setNewSize(s.st_size);
}

}  // namespace airr
