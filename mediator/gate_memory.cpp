#include "mediator/gate_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
uint64_t makeFile(Tracee& tracee) {
  const auto make = [&](uint64_t flags) {
    return tracee.inject({AIRR_GATE_INJECT}, SYS_memfd_create, {AIRR_GATE_FILE_NAME, flags});
  };
  int64_t fd = make(MFD_CLOEXEC | kNoExecSeal);
  if (fd == -EINVAL) fd = make(MFD_CLOEXEC);
  rlimit limit{};
  if (fd == -EMFILE && prlimit(raw(tracee.tid()), RLIMIT_NOFILE, nullptr, &limit) == 0) {
    // The program has as many open as it may: for this one it may have more.
    const rlimit more{limit.rlim_max, limit.rlim_max};
    if (prlimit(raw(tracee.tid()), RLIMIT_NOFILE, &more, nullptr) == 0) {
      fd = make(MFD_CLOEXEC);
      prlimit(raw(tracee.tid()), RLIMIT_NOFILE, &limit, nullptr);
    }
  }
  return require(fd, "making memory for the gate");
}

// A limit on the size of files counts for memory too (memfd_create(2) is of tmpfs): it is lifted for this one, as far
// as it may be.
bool makeRoom(int fd, uint64_t size) {
  if (ftruncate(fd, static_cast<off_t>(size)) == 0) return true;
  rlimit limit{};
  if (errno != EFBIG || getrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY}, most{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_FSIZE, &none) != 0) setrlimit(RLIMIT_FSIZE, &most);
  const bool made = ftruncate(fd, static_cast<off_t>(size)) == 0;
  const int error = errno;
  setrlimit(RLIMIT_FSIZE, &limit);
  errno = error;
  return made;
}

}  // namespace

std::unique_ptr<GateMemory> GateMemory::map(Tracee& tracee) {
  const uint64_t fd = makeFile(tracee);
  auto file = std::make_shared<File>();
  file->fd = openOwn(descriptorLink(tracee.tid(), static_cast<int>(fd)), O_RDWR);
  if (!file->fd) throw systemError("opening the gate's memory");
  auto memory = std::unique_ptr<GateMemory>(new GateMemory(std::move(file), true));
  require(tracee.inject({AIRR_GATE_INJECT}, SYS_mmap,
                        {AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0}),
          "mapping the gate's memory");
  tracee.inject({AIRR_GATE_INJECT}, SYS_close, {fd});
  return memory;
}

GateMemory::GateMemory(std::shared_ptr<File> file, bool attached)
    : file_(std::move(file)), place_(file_->made++), attached_(attached) {
  if (file_->made > file_->places) {
    file_->places = 2 * place_ + 1;
    if (!makeRoom(file_->fd.get(), file_->places * AIRR_GATE_DATA_SIZE))
      throw systemError("making room for a gate's memory", errno, "raise the limit on the size of files (ulimit -f)");
  }
  void* const at = mmap(nullptr, AIRR_GATE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file_->fd.get(),
                        static_cast<off_t>(place_ * AIRR_GATE_DATA_SIZE));
  if (at == MAP_FAILED) throw systemError("mapping a gate's memory");
  data_ = static_cast<airr_gate_data*>(at);
}

GateMemory::~GateMemory() {
  if (data_ == nullptr) return;
  if (file_.use_count() > 1) madvise(data_, AIRR_GATE_DATA_SIZE, MADV_REMOVE);
  munmap(data_, AIRR_GATE_DATA_SIZE);
}

std::unique_ptr<GateMemory> GateMemory::fork() const {
  auto child = std::unique_ptr<GateMemory>(new GateMemory(file_, false));
  memcpy(child->data_, data_, offsetof(airr_gate_data, stack));
  child->data_->position = child->data_->log_used = 0;
  return child;
}

void GateMemory::attach(Tracee& child) {
  if (attached_) return;
  // The one way to move a mapping in its file with no descriptor of it. MAP_NONBLOCK: without touching its pages
  // (mm/mmap.c, remap_file_pages).
  require(child.inject({AIRR_GATE_INJECT}, SYS_remap_file_pages,
                       {AIRR_GATE_DATA, AIRR_GATE_DATA_SIZE, 0, place_ * (AIRR_GATE_DATA_SIZE / kPageSize), MAP_NONBLOCK}),
          "giving a child its gate's memory");
  attached_ = true;
}

}  // namespace airr
