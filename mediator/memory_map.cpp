#include "mediator/memory_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

std::vector<MappedRegion> readMemoryMap(Tid tid) {
  const std::string path = "/proc/" + std::to_string(raw(tid)) + "/maps";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw systemError("reading " + path);
  std::string text;
  char chunk[16384];
  for (ssize_t n; (n = read(fd.get(), chunk, sizeof chunk)) > 0;) text.append(chunk, n);

  std::vector<MappedRegion> regions;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    uint64_t start, stop, offset, inode;
    unsigned major, minor;
    char flags[5] = {};
    int name = 0;
    if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start,
               &stop, flags, &offset, &major, &minor, &inode, &name) < 7)
      throw Error(ExitCode::kFailure, path + ": cannot parse '" + line + "'");
    MappedRegion region;
    region.start = {start};
    region.end = {stop};
    region.protection = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) |
                        (flags[2] == 'x' ? PROT_EXEC : 0);
    region.shared = flags[3] == 's';
    region.offset = offset;
    region.device = makedev(major, minor);
    region.inode = inode;
    if (name > 0 && static_cast<size_t>(name) < line.size()) region.name = line.substr(name);
    regions.push_back(std::move(region));
  }
  return regions;
}

PageMap::PageMap(Tid tid) {
  const std::string path = "/proc/" + std::to_string(raw(tid)) + "/pagemap";
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw systemError("reading " + path);
}

PageMap::~PageMap() { close(fd_); }

uint64_t PageMap::read(Address from, Address end, uint64_t (&entries)[512]) const {
  uint64_t pages = std::min<uint64_t>((end - from) / kPageSize, 512);
  ssize_t n = pread(fd_, entries, pages * sizeof(uint64_t),
                    static_cast<off_t>(from.value / kPageSize * sizeof(uint64_t)));
  return n < 0 ? 0 : static_cast<uint64_t>(n) / sizeof(uint64_t);
}

}  // namespace airr
