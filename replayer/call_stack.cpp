#include "replayer/call_stack.h"

#include <dlfcn.h>
#include <libunwind-ptrace.h>

#include <cstdio>
#include <memory>

namespace airr {
namespace {

#define AIRR_QUOTED(name) #name
// libunwind.h renames its functions after the machine; this is the name that the library has.
#define AIRR_NAME(function) AIRR_QUOTED(function)

// libunwind, loaded when the first stack is wanted: few sessions want one, and loading it takes a
// third of the time in which airr starts. Found once, for ever.
class Unwinder {
 public:
  static const Unwinder& instance() {
    static const Unwinder unwinder;
    return unwinder;
  }
  // Null: none. Else why there are no stacks.
  const char* problem() const { return problem_; }

  decltype(&unw_create_addr_space) createSpace = nullptr;
  decltype(&unw_destroy_addr_space) destroySpace = nullptr;
  decltype(&unw_init_remote) init = nullptr;
  decltype(&unw_get_reg) getRegister = nullptr;
  decltype(&unw_get_proc_name) procedureName = nullptr;
  decltype(&unw_step) step = nullptr;
  decltype(&_UPT_create) createContext = nullptr;
  decltype(&_UPT_destroy) destroyContext = nullptr;
  unw_accessors_t* accessors = nullptr;

 private:
  Unwinder() {
    void* const machine = dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_GLOBAL);
    void* const ptrace = machine ? dlopen("libunwind-ptrace.so.0", RTLD_NOW) : nullptr;
    if (ptrace == nullptr) {
      problem_ = "libunwind8 is not installed";
      return;
    }
    find(machine, AIRR_NAME(unw_create_addr_space), createSpace);
    find(machine, AIRR_NAME(unw_destroy_addr_space), destroySpace);
    find(machine, AIRR_NAME(unw_init_remote), init);
    find(machine, AIRR_NAME(unw_get_reg), getRegister);
    find(machine, AIRR_NAME(unw_get_proc_name), procedureName);
    find(machine, AIRR_NAME(unw_step), step);
    find(ptrace, "_UPT_create", createContext);
    find(ptrace, "_UPT_destroy", destroyContext);
    find(ptrace, "_UPT_accessors", accessors);
  }

  template <class Pointer>
  void find(void* library, const char* name, Pointer& to) {
    to = reinterpret_cast<Pointer>(dlsym(library, name));
    if (to == nullptr) problem_ = "libunwind lacks a function";
  }

  const char* problem_ = nullptr;
};

}  // namespace

std::vector<std::string> callStack(Tid tid, size_t limit) {
  std::vector<std::string> frames;
  const Unwinder& unwinder = Unwinder::instance();
  if (unwinder.problem() != nullptr) return {std::string("(no call stack: ") + unwinder.problem() + ")"};
  std::unique_ptr<unw_addr_space, decltype(&unw_destroy_addr_space)> space(
      unwinder.createSpace(unwinder.accessors, 0), unwinder.destroySpace);
  std::unique_ptr<void, decltype(&_UPT_destroy)> context(unwinder.createContext(raw(tid)), unwinder.destroyContext);
  unw_cursor_t cursor;
  if (!space || !context || unwinder.init(&cursor, space.get(), context.get()) != 0) return frames;
  do {
    unw_word_t ip = 0, offset = 0;
    if (unwinder.getRegister(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0) break;
    char name[512] = {};
    char line[640];
    int known = unwinder.procedureName(&cursor, name, sizeof name, &offset);
    if (known == 0 || known == -UNW_ENOMEM) {
      snprintf(line, sizeof line, "0x%lx %s+0x%lx", static_cast<unsigned long>(ip), name,
               static_cast<unsigned long>(offset));
    } else {
      snprintf(line, sizeof line, "0x%lx", static_cast<unsigned long>(ip));
    }
    frames.emplace_back(line);
  } while (frames.size() < limit && unwinder.step(&cursor) > 0);
  return frames;
}

}  // namespace airr
