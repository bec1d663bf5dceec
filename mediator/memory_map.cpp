#include "mediator/memory_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "schema/error.h"
#include "schema/unique_fd.h"

namespace airr {

namespace {

// Takes a number, and the character behind it.
template <class Number>
bool take(std::string_view& line, Number& number, int base, char behind) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number, base);
  if (error != std::errc() || end == line.data() + line.size() || *end != behind) return false;
  line.remove_prefix(static_cast<size_t>(end - line.data()) + 1);
  return true;
}

// "start-end perms offset major:minor inode", then perhaps spaces and a name (proc_pid_maps(5)).
bool parseRegion(std::string_view line, MappedRegion& region) {
  unsigned deviceMajor = 0, deviceMinor = 0;
  if (!take(line, region.start.value, 16, '-') || !take(line, region.end.value, 16, ' ') || line.size() < 5) return false;
  const std::string_view flags = line.substr(0, 4);
  line.remove_prefix(5);
  if (!take(line, region.offset, 16, ' ') || !take(line, deviceMajor, 16, ':') || !take(line, deviceMinor, 16, ' '))
    return false;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), region.inode);
  if (error != std::errc()) return false;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  region.protection = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) |
                      (flags[2] == 'x' ? PROT_EXEC : 0);
  region.shared = flags[3] == 's';
  region.device = makedev(deviceMajor, deviceMinor);
  region.name = line;
  return true;
}

}  // namespace

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
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    MappedRegion region;
    if (!parseRegion(line, region)) throw Error(ExitCode::kFailure, path + ": cannot parse '" + std::string(line) + "'");
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
