#include "mediator/site_uses.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <tuple>

namespace airr {
namespace {

// A note has for each program file its version, the number of its sites, and their offsets and uses.
struct NotedProgram {
  FileVersion version;
  uint64_t sites = 0;
};
struct NotedSite {
  uint64_t offset = 0;
  uint64_t uses = 0;
};
constexpr size_t kMostPrograms = 64, kMostSites = 512;

auto keyOf(const FileVersion& v) { return std::tuple(v.device, v.inode, v.size, v.modified, v.changed); }

template <class Value>
void put(std::vector<uint8_t>& note, const Value& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  note.insert(note.end(), bytes, bytes + sizeof value);
}

template <class Value>
bool take(std::span<const uint8_t>& note, Value& value) {
  if (note.size() < sizeof value) return false;
  memcpy(&value, note.data(), sizeof value);
  note = note.subspan(sizeof value);
  return true;
}

// Calls `each` with the programs of a note, and the bytes of their sites.
template <class Each>
void forEachProgram(std::span<const uint8_t> note, Each&& each) {
  NotedProgram program;
  while (take(note, program)) {
    if (program.sites > note.size() / sizeof(NotedSite)) return;
    const auto sites = note.first(program.sites * sizeof(NotedSite));
    note = note.subspan(sites.size());
    each(program, sites);
  }
}

}  // namespace

SiteUses::Executable& SiteUses::of(const ProgramFile& executable) {
  const auto [entry, fresh] = executables_.try_emplace(&executable);
  if (fresh) entry->second.noted_ = notes_.find(executable.version).value_or(std::vector<uint8_t>());
  return entry->second;
}

SiteUses::OfProgram& SiteUses::Executable::of(const ProgramFile& program) {
  const auto [entry, fresh] = used_.try_emplace(&program);
  OfProgram& uses = entry->second;
  if (!fresh || program.version == FileVersion{}) return uses;
  forEachProgram(noted_, [&](const NotedProgram& noted, std::span<const uint8_t> sites) {
    if (noted.version != program.version) return;
    for (NotedSite site; take(sites, site);) {
      const auto found = std::lower_bound(program.sites.begin(), program.sites.end(), site.offset,
                                          [](const CallSite& s, uint64_t at) { return s.offset < at; });
      if (found != program.sites.end() && found->offset == site.offset)
        uses[&*found].uses = static_cast<uint32_t>(std::min<uint64_t>(site.uses, kEnough));
    }
  });
  return uses;
}

bool SiteUses::Executable::note(const ProgramFile& program, const CallSite& site) {
  const uint32_t uses = ++of(program)[&site].uses;
  if (uses <= kEnough) grew_ = true;
  return uses == kEnough;
}

void SiteUses::keep() const {
  for (const auto& [file, executable] : executables_) {
    if (!executable.grew_) continue;
    std::vector<uint8_t> note;
    std::set<decltype(keyOf({}))> kept;
    for (const auto& [program, uses] : executable.used_) {
      if (program->version == FileVersion{} || uses.empty() || kept.size() == kMostPrograms) continue;
      kept.insert(keyOf(program->version));
      put(note, NotedProgram{program->version, std::min(uses.size(), kMostSites)});
      size_t left = kMostSites;
      for (const auto& [site, use] : uses)
        if (left > 0) put(note, NotedSite{site->offset, std::min(use.uses, kEnough)}), --left;
    }
    forEachProgram(executable.noted_, [&](const NotedProgram& noted, std::span<const uint8_t> sites) {
      if (kept.size() == kMostPrograms || !kept.insert(keyOf(noted.version)).second) return;
      put(note, noted);
      note.insert(note.end(), sites.begin(), sites.end());
    });
    notes_.keep(file->version, note);
  }
}

}  // namespace airr
