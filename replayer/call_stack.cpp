#include "replayer/call_stack.h"

#include <libunwind-ptrace.h>

#include <cstdio>
#include <memory>

namespace airr {

std::vector<std::string> callStack(Tid tid, size_t limit) {
  std::vector<std::string> frames;
  std::unique_ptr<unw_addr_space, decltype(&unw_destroy_addr_space)> space(
      unw_create_addr_space(&_UPT_accessors, 0), unw_destroy_addr_space);
  std::unique_ptr<void, decltype(&_UPT_destroy)> context(_UPT_create(raw(tid)), _UPT_destroy);
  unw_cursor_t cursor;
  if (!space || !context || unw_init_remote(&cursor, space.get(), context.get()) != 0) return frames;
  do {
    unw_word_t ip = 0, offset = 0;
    if (unw_get_reg(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0) break;
    char name[512] = {};
    char line[640];
    int known = unw_get_proc_name(&cursor, name, sizeof name, &offset);
    if (known == 0 || known == -UNW_ENOMEM) {
      snprintf(line, sizeof line, "0x%lx %s+0x%lx", static_cast<unsigned long>(ip), name,
               static_cast<unsigned long>(offset));
    } else {
      snprintf(line, sizeof line, "0x%lx", static_cast<unsigned long>(ip));
    }
    frames.emplace_back(line);
  } while (frames.size() < limit && unw_step(&cursor) > 0);
  return frames;
}

}  // namespace airr
