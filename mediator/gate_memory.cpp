#include "mediator/gate_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "mediator/open_files.h"
#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr uint64_t kNoExecSeal = 8;  // MFD_NOEXEC_SEAL (Linux 6.3)

bool failed(int64_t result) { return result < 0 && result > -4096; }

uint64_t require(int64_t result, const char* what) {
  if (failed(result)) throw systemError(what, static_cast<int>(-result));
  return static_cast<uint64_t>(result);
}

// A descriptor of the tracee's, for a moment.
uint64_t makeFile(Injection& injection) {
  const Tid tid = injection.tracee().tid();
  const auto make = [&](uint64_t flags) { return injection.call(SYS_memfd_create, {AIRR_GATE_FILE_NAME, flags}); };
  int64_t fd = make(MFD_CLOEXEC | kNoExecSeal);
  if (fd == -EINVAL) fd = make(MFD_CLOEXEC);
  rlimit limit{};
  if (fd == -EMFILE && prlimit(raw(tid), RLIMIT_NOFILE, nullptr, &limit) == 0) {
    // The program has as many open as it may: for this one it may have more.
    const rlimit more{limit.rlim_max, limit.rlim_max};
    if (prlimit(raw(tid), RLIMIT_NOFILE, &more, nullptr) == 0) {
      fd = make(MFD_CLOEXEC);
      prlimit(raw(tid), RLIMIT_NOFILE, &limit, nullptr);
    }
  }
  return require(fd, "making memory for the gate");
}

}  // namespace

bool fileSizesAreLimited() {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

std::unique_ptr<GateMemory> GateMemory::map(Injection& injection) {
  if (fileSizesAreLimited()) {
    auto memory = inSegment();
    memory->attachSegment(injection);
    memory->attached_ = true;
    return memory;
  }
  const uint64_t fd = makeFile(injection);
  auto file = std::make_shared<File>();
  file->fd = openOwn(descriptorLink(injection.tracee().tid(), static_cast<int>(fd)), O_RDWR);
  if (!file->fd) throw systemError("opening the gate's memory");
  auto memory = inFile(std::move(file));
  require(injection.call(SYS_mmap, {AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                                    fd, 0}),
          "mapping the gate's memory");
  memory->attached_ = true;
  injection.call(SYS_close, {fd});
  return memory;
}

std::unique_ptr<GateMemory> GateMemory::inFile(std::shared_ptr<File> file) {
  auto memory = std::unique_ptr<GateMemory>(new GateMemory);
  if (!file->free.empty()) {
    memory->place_ = file->free.back();
    file->free.pop_back();
  } else {
    const uint64_t number = file->made++;
    if (file->made > file->places) {
      file->places = 2 * number + 1;
      if (ftruncate(file->fd.get(), static_cast<off_t>(file->places * AIRR_GATE_DATA_SIZE)) != 0)
        throw systemError("making room for a gate's memory");
    }
    void* const at = mmap(nullptr, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd.get(),
                          static_cast<off_t>(number * AIRR_GATE_DATA_SIZE));
    if (at == MAP_FAILED) throw systemError("mapping a gate's memory");
    memory->place_ = {number, static_cast<airr_gate_data*>(at)};
  }
  memory->file_ = std::move(file);
  return memory;
}

std::unique_ptr<GateMemory> GateMemory::inSegment() {
  auto memory = std::unique_ptr<GateMemory>(new GateMemory);
  memory->segment_ = shmget(IPC_PRIVATE, AIRR_GATE_DATA_SIZE, IPC_CREAT | 0600);
  if (memory->segment_ < 0) throw systemError("making memory for a gate");
  void* const at = shmat(memory->segment_, nullptr, 0);
  const int error = errno;
  // It can be attached all the same, and ends with those that are (shmctl(2), IPC_RMID).
  shmctl(memory->segment_, IPC_RMID, nullptr);
  if (at == reinterpret_cast<void*>(-1)) throw systemError("attaching a gate's memory", error);
  memory->place_.data = static_cast<airr_gate_data*>(at);
  return memory;
}

// Whether that was little work: a page that is made anew costs more than one that is cleared (13 µs here).
bool GateMemory::clear() {
  constexpr size_t kPages = AIRR_GATE_DATA_SIZE / kPageSize, kFew = 12;
  unsigned char resident[kPages];
  auto* const start = reinterpret_cast<uint8_t*>(place_.data);
  if (mincore(start, AIRR_GATE_DATA_SIZE, resident) != 0) return false;
  const auto isResident = [](unsigned char page) { return (page & 1) != 0; };
  if (std::count_if(resident, resident + kPages, isResident) > static_cast<ptrdiff_t>(kFew)) return false;
  for (size_t page = 0; page < kPages; ++page) {
    if (isResident(resident[page])) memset(start + page * kPageSize, 0, kPageSize);
  }
  return true;
}

GateMemory::~GateMemory() {
  constexpr size_t kMostFree = 4;
  if (place_.data == nullptr) return;
  if (!file_) {
    shmdt(place_.data);
    return;
  }
  if (file_.use_count() > 1) {
    if (file_->free.size() < kMostFree && clear()) {
      file_->free.push_back(place_);
      return;
    }
    madvise(place_.data, AIRR_GATE_DATA_SIZE, MADV_REMOVE);
  }
  munmap(place_.data, AIRR_GATE_DATA_SIZE);
}

GateMemory::File::~File() {
  for (const Place& place : free) munmap(place.data, AIRR_GATE_DATA_SIZE);
}

std::unique_ptr<GateMemory> GateMemory::fork() const {
  auto child = file_ ? inFile(file_) : inSegment();
  const airr_gate_data& from = *place_.data;
  airr_gate_data& to = *child->place_.data;
  memcpy(&to, &from, offsetof(airr_gate_data, stack));
  for (size_t i = 0; i < AIRR_GATE_DIRECTORIES; ++i) {
    if (load(from.directories[i].length) != 0) memcpy(&to.directories[i], &from.directories[i], sizeof to.directories[i]);
  }
  to.here = from.here;
  to.position = to.log_used = 0;
  return child;
}

void GateMemory::attach(Tracee& child) {
  if (attached_) return;
  if (file_) {
    enter(child);
  } else {
    Injection injection(child);
    attachSegment(injection);
    injection.end();
  }
  attached_ = true;
}

// As an injected call that needs no stop behind it: the gate puts the registers back, from memory that is there only
// if the call has done its work.
void GateMemory::enter(Tracee& child) {
  const Registers saved = child.registers();
  const uint64_t kept[] = {saved.rax, saved.rdi, saved.rsi, saved.rdx, saved.r10,
                           saved.r8,  saved.r9,  saved.rcx, saved.r11, saved.rip};
  memcpy(place_.data->log, kept, sizeof kept);
  // The one way to move a mapping in its file with no descriptor of it. MAP_NONBLOCK: without touching its pages
  // (mm/mmap.c, remap_file_pages).
  const uint64_t move[] = {AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, 0, place_.number * (AIRR_GATE_DATA_SIZE / kPageSize),
                           MAP_NONBLOCK};
  Registers r = saved;
  setArguments(r, move);
  r.rip = AIRR_GATE_ENTER;
  r.rax = SYS_remap_file_pages;
  r.orig_rax = static_cast<uint64_t>(-1);
  child.setRegisters(r);
  std::vector<int> postponed;
  runToCall(child, postponed);
  for (int signal : postponed) syscall(SYS_tkill, raw(child.tid()), signal);
}

void GateMemory::attachSegment(Injection& injection) {
  require(injection.call(SYS_shmat, {static_cast<uint64_t>(segment_), AIRR_GATE_DATA, SHM_REMAP}),
          "giving a task its gate's memory");
}

}  // namespace airr
