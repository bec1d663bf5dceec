#include "mediator/open_grants.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "recorder/files.h"
#include "schema/error.h"

namespace airr {
namespace {

constexpr uint64_t kWords = AIRR_GATE_NAME_SIZE / sizeof(uint64_t);
constexpr uint64_t kMostNames = AIRR_GATE_GRANTED_NAMES_SIZE / AIRR_GATE_NAME_SIZE;
static_assert(2 * kMostNames <= AIRR_GATE_GRANT_SLOTS, "a search in the table ends");

}  // namespace

OpenGrants::OpenGrants() {
  const UniqueFd made(memfd_create("airr-grants", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (made) memory_.reset(fcntl(made.get(), F_DUPFD_CLOEXEC, kFirstOwnFd));
  if (!memory_ || ftruncate(memory_.get(), static_cast<off_t>(kSize)) != 0)
    throw systemError("making memory for what the gate may open");
  void* const at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (at == MAP_FAILED) throw systemError("mapping memory for what the gate may open");
  slots_ = static_cast<uint32_t*>(at);
  names_ = reinterpret_cast<uint64_t*>(slots_ + AIRR_GATE_GRANT_SLOTS);
  // From here on this mapping alone can be written (Linux 5.1).
  if (fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const int error = errno;
    munmap(slots_, kSize);
    throw systemError("sealing memory for what the gate may open", error);
  }
}

OpenGrants::~OpenGrants() { munmap(slots_, kSize); }

bool OpenGrants::add(std::string_view path) {
  if (const auto found = numbers_.find(path); found != numbers_.end()) {
    show(path, found->second);
    return true;
  }
  if (path.size() < 2 || path.size() > AIRR_GATE_NAME_SIZE || path[0] != '/' || numbers_.size() == kMostNames) return false;
  const auto number = static_cast<uint32_t>(numbers_.size() + 1);
  std::array<uint64_t, kWords> words{};
  memcpy(words.data(), path.data() + 1, path.size() - 1);
  uint64_t* const name = at(number);
  // Race: a task may try to open from here at any moment. What it finds is empty until all but the first word is there.
  for (uint64_t i = kWords - 1; i > 0; --i) __atomic_store_n(name + i, words[i], __ATOMIC_RELAXED);
  __atomic_store_n(name, words[0], __ATOMIC_RELEASE);
  numbers_.emplace(path, number);
  show(path, number);
  return true;
}

void OpenGrants::show(std::string_view path, uint32_t number) {
  const auto count = static_cast<uint32_t>((path.size() - 1) / sizeof(uint64_t) + 1);
  if (*at(number) == 0) return;  // taken back
  for (uint32_t slot = airr_gate_slot(at(number), count);; slot = (slot + 1) % AIRR_GATE_GRANT_SLOTS) {
    if (slots_[slot] == number) return;
    if (slots_[slot] != 0) continue;
    any_ = true;
    return __atomic_store_n(slots_ + slot, number, __ATOMIC_RELEASE);
  }
}

// Race: a task may be opening from here. It has the whole name, or none.
void OpenGrants::takeBack(std::string_view path) {
  const auto found = numbers_.find(path);
  if (found != numbers_.end()) __atomic_store_n(at(found->second), 0, __ATOMIC_RELEASE);
}

void OpenGrants::takeAllBack() {
  for (const auto& [path, number] : numbers_) __atomic_store_n(at(number), 0, __ATOMIC_RELEASE);
}

void OpenGrants::hide() {
  if (!any_) return;
  memset(slots_, 0, AIRR_GATE_GRANT_SLOTS * sizeof *slots_);
  any_ = false;
}

}  // namespace airr
