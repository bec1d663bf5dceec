#include "mediator/syscalls/model.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "mediator/syscalls/rows.h"

namespace airr::syscalls {
namespace {

class Registry {
 public:
  Registry() {
    for (const std::span<const Row> rows :
         {fileRows(), ioRows(), ipcRows(), memoryRows(), pollingRows(), processRows(), signalRows(),
          socketRows(), systemRows(), timeRows()}) {
      for (const Row& row : rows) {
        byNumber_.at(row.number) = &row;
        ordered_.push_back(&row);
      }
    }
    std::ranges::sort(ordered_, {}, &Syscall::number);
  }

  const Syscall* find(uint64_t number) const {
    return number < byNumber_.size() ? byNumber_[number] : nullptr;
  }
  std::span<const Syscall* const> all() const { return ordered_; }

 private:
  std::array<const Syscall*, 512> byNumber_{};
  std::vector<const Syscall*> ordered_;
};

const Registry& registry() {
  static const Registry instance;
  return instance;
}

}  // namespace

const Syscall* find(uint64_t number) { return registry().find(number); }

std::span<const Syscall* const> all() { return registry().all(); }

const Syscall* findByName(const char* name) {
  const auto rows = all();
  const auto found = std::ranges::find_if(
      rows, [name](const Syscall* row) { return std::string_view(row->name) == name; });
  return found == rows.end() ? nullptr : *found;
}

const char* toString(Authority authority) {
  switch (authority) {
    case Authority::kNone:
      return "none";
    case Authority::kOpen:
      return "open";
    case Authority::kMetadata:
      return "metadata";
    case Authority::kModify:
      return "modify";
    case Authority::kExecute:
      return "execute";
    case Authority::kConnect:
      return "connect";
    case Authority::kSocket:
      return "socket";
    case Authority::kSpawn:
      return "spawn";
    case Authority::kSignal:
      return "signal";
    case Authority::kCode:
      return "code";
    case Authority::kDevice:
      return "device";
    case Authority::kSystem:
      return "system";
    case Authority::kPrivilege:
      return "privilege";
    case Authority::kIpc:
      return "ipc";
  }
  return "?";
}

const char* toString(Treatment treatment) {
  switch (treatment) {
    case Treatment::kEmulate:
      return "emulate";
    case Treatment::kMemory:
      return "memory";
    case Treatment::kSpawn:
      return "spawn";
    case Treatment::kExec:
      return "exec";
    case Treatment::kExit:
      return "exit";
    case Treatment::kSignalReturn:
      return "signal return";
    case Treatment::kThreadState:
      return "thread state";
    case Treatment::kRefuse:
      return "refuse";
  }
  return "?";
}

const char* toString(Blocking blocking) { return blocking == Blocking::kMaybe ? "maybe" : "never"; }

}  // namespace airr::syscalls
