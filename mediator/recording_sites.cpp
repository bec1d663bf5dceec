// Call sites: which of them are led into the gate, when, and what takes that back.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "mediator/gate_patch.h"
#include "mediator/instruction.h"
#include "mediator/program_sites.h"
#include "mediator/recording.h"
#include "recorder/gate/gate.h"
#include "schema/error.h"

namespace airr {
namespace {

// Calls of a site before it is patched, which costs about as much as a call that stops.
constexpr uint8_t kPatience = SiteUses::kEnough;

constexpr size_t kNoteOfSite = 13;

std::vector<uint8_t> encodeCallSites(const std::vector<CallSite>& sites) {
  std::vector<uint8_t> note(sites.size() * kNoteOfSite);
  uint8_t* to = note.data();
  for (const CallSite& site : sites) {
    memcpy(to, &site.offset, sizeof site.offset);
    to[8] = site.before;
    to[9] = site.behind;
    to[10] = static_cast<uint8_t>(site.padding);
    memcpy(to + 11, &site.number, sizeof site.number);
    to += kNoteOfSite;
  }
  return note;
}

std::vector<CallSite> decodeCallSites(const std::vector<uint8_t>& note) {
  std::vector<CallSite> sites;
  for (size_t at = 0; at + kNoteOfSite <= note.size(); at += kNoteOfSite) {
    CallSite site;
    memcpy(&site.offset, note.data() + at, sizeof site.offset);
    site.before = note[at + 8];
    site.behind = note[at + 9];
    site.padding = static_cast<int8_t>(note[at + 10]);
    memcpy(&site.number, note.data() + at + 11, sizeof site.number);
    sites.push_back(site);
  }
  return sites;
}

// Nothing, if they cannot be read.
SiteBytes bytesAt(Tracee& tracee, const CallSite& site, uint64_t instruction) {
  SiteBytes bytes;
  bytes.former.resize(site.before + kSiteLength);
  if (site.padding != 0) bytes.padding.resize(CallSite::kJump);
  if (!tracee.read({instruction - site.before}, bytes.former.data(), bytes.former.size()) ||
      (site.padding != 0 && !tracee.read({jumpOf(site, instruction)}, bytes.padding.data(), bytes.padding.size())))
    return {};
  return bytes;
}

}  // namespace

// Where a program file can be led into the gate.
const ProgramFile& Recording::findProgramCalls(int file, uint32_t blob) {
  const auto [entry, fresh] = programFiles_.try_emplace(blob);
  ProgramFile& program = entry->second;
  if (!fresh) return program;
  struct stat status {};
  if (fstat(file, &status) == 0) program.version = FileVersion::of(status);
  program.sites = sitesOfProgram<CallSite>(file, *callNotes_, findCallSites, encodeCallSites, decodeCallSites);
  return program;
}

// A fresh image, before its first instruction: instructions that are inputs are replaced, and what
// the loader is about to call is led into the gate, all in one piece.
void Recording::patchImage(Task& task, const std::vector<ImageFile>& files) {
  AddressSpace& space = *task.space;
  std::vector<PatchedBytes> patch;
  for (const ImageFile& file : files)
    if (space.sites.uses == nullptr || !file.isLoader) space.sites.uses = &siteUses_->of(findProgramCalls(-1, file.blob));
  for (const ImageFile& file : files) {
    noteProgram(task, -1, file.blob, file.start, file.length, file.offset);
    std::set<uint64_t> led;
    if (file.isLoader) {
      for (const CallSite& site : findProgramCalls(-1, file.blob).sites) {
        const bool wanted =
            site.number == CallSite::kCounter ? !counterTraps_ : gateMakes(site.number);
        if (!wanted || site.offset < file.offset + site.before ||
            site.offset - file.offset + kSiteLength + site.behind > file.length ||
            space.sites.trampolines == AIRR_GATE_TRAMPOLINE_COUNT)
          continue;
        const uint64_t instruction = file.start + (site.offset - file.offset);
        const uint64_t jump = jumpOf(site, instruction);
        if (jump < file.start || jump + CallSite::kJump > file.start + file.length) continue;
        std::vector<uint8_t> moved(site.before + site.behind);
        const Address movedFrom{site.before != 0 ? jump : instruction + kSiteLength};
        if (!moved.empty() && !task.tracee.read(movedFrom, moved.data(), moved.size())) continue;
        if (site.number == CallSite::kCounter)
          space.trapSites[counterTrapOf(space.sites.trampolines)] = {InputInstruction::Kind::kRdtsc, 1};
        for (PatchedBytes& piece : patchOf(site, instruction, space.sites.trampolines, moved))
          patch.push_back(std::move(piece));
        notePatched(space, site, instruction);
        ++space.sites.trampolines;
        space.sites.unpatchable.change().insert(instruction + kSiteLength);
        led.insert(site.offset);
      }
    }
    for (const auto& [at, site] : trapSitesOfBlob_[file.blob]) {
      if (led.contains(at) || at < file.offset || at - file.offset + site.length > file.length)
        continue;
      const uint64_t address = file.start + (at - file.offset);
      patch.push_back({address, {kInt3}});
      space.trapSites[address] = site;
    }
  }
  if (!patch.empty()) writePatch(task, patch);
  if (space.sites.trampolines != 0) startGateCalls(task);
  for (const ImageFile& file : files) leadUsedSites(task, file.start, true);
}

void Recording::noteProgram(Task& task, int file, uint32_t blob, uint64_t start, uint64_t length,
                            uint64_t offset) {
  task.space->sites.programs.change()[start] = {start + length, offset, &findProgramCalls(file, blob)};
}

// Leads the site of a call that has come to its end into the gate, if it is one that the gate could
// have made. No other task may be inside a call of that site: if the kernel restarted it, it would
// go back to what is no `syscall` any more.
void Recording::patchSite(Task& task) {
  if (!gateMakes(task.call.number) || !task.stash.empty() || !isAlone(task)) return;
  AddressSpace& space = *task.space;
  const uint64_t behind = task.entry.instruction;
  if (isInGate(behind)) return;
  if (space.sites.unpatchable->contains(behind)) return;
  const auto refuse = [&] { space.sites.unpatchable.change().insert(behind); };
  auto program = space.sites.programs->upper_bound(behind);
  if (program == space.sites.programs->begin()) return refuse();
  --program;
  const auto& [end, offset, file] = program->second;
  if (behind > end) return refuse();
  const uint64_t instruction = behind - kSiteLength;
  const uint64_t inFile = instruction - program->first + offset;
  const auto site = std::lower_bound(file->sites.begin(), file->sites.end(), inFile,
                                     [](const CallSite& s, uint64_t at) { return s.offset < at; });
  if (site == file->sites.end() || site->offset != inFile) return refuse();
  if (space.sites.uses != nullptr && space.sites.uses->note(*file, *site)) ++usedSites_;
  if (++space.sites.siteUses.change()[behind] < kPatience) return;
  for (const auto& [tid, other] : tasks_)
    if (other->space == task.space && other.get() != &task && other->entry.instruction == behind &&
        other->state != TaskState::kRunning)
      return;
  std::vector<PatchedBytes> patch;
  if (!leadSite(task, *site, program->first, end, instruction, bytesAt(task.tracee, *site, instruction), patch))
    return refuse();
  writePatch(task, patch);
  startGateCalls(task);
}

// Adds what leads a site into the gate, in a program that is mapped from `start` to `end`; false if nothing can.
bool Recording::leadSite(Task& task, const CallSite& site, uint64_t start, uint64_t end, uint64_t instruction,
                         const SiteBytes& there, std::vector<PatchedBytes>& patch) {
  SiteState& state = task.space->sites;
  const uint64_t jump = jumpOf(site, instruction);
  if (state.trampolines == AIRR_GATE_TRAMPOLINE_COUNT || instruction - site.before < start || jump < start ||
      jump + CallSite::kJump > end)
    return false;
  if (there.former.size() != site.before + kSiteLength || there.former[site.before] != 0x0f ||
      there.former[site.before + 1] != 0x05)
    return false;
  for (PatchedBytes& piece : patchOf(site, instruction, state.trampolines++, {there.former.data(), site.before}))
    patch.push_back(std::move(piece));
  state.patches.change()[instruction] = {jump, there};
  state.unpatchable.change().insert(instruction + kSiteLength);  // a second time
  notePatched(*task.space, site, instruction);
  return true;
}

// In a program file that is mapped at `start`, the sites that earlier processes of the executable used, at least one in
// two of those that could: there each use would be a stop. `fresh`: it has just been mapped, in one process more.
void Recording::leadUsedSites(Task& task, uint64_t start, bool fresh) {
  const auto program = task.space->sites.programs->find(start);
  if (program == task.space->sites.programs->end() || task.space->sites.uses == nullptr || !task.stash.empty() ||
      !isAlone(task))
    return;
  const auto& [end, offset, file] = program->second;
  std::vector<PatchedBytes> patch;
  for (auto& [site, use] : task.space->sites.uses->of(*file)) {
    if (site->offset < offset || site->offset - offset + kSiteLength + site->behind > end - start) continue;
    const uint64_t instruction = start + (site->offset - offset);
    if (use.uses < kPatience || use.uses < use.processes / 2 ||
        task.space->sites.unpatchable->contains(instruction + kSiteLength)) {
      use.processes += fresh;
      continue;
    }
    // Nobody has changed a fresh mapping, so it has what another had.
    if (fresh && use.bytes.former.empty()) use.bytes = bytesAt(task.tracee, *site, instruction);
    const SiteBytes there = fresh ? use.bytes : bytesAt(task.tracee, *site, instruction);
    if (!leadSite(task, *site, start, end, instruction, there, patch)) use.processes += fresh;
  }
  if (patch.empty()) return;
  writePatch(task, patch);
  startGateCalls(task);
}

void Recording::notePatched(AddressSpace& space, const CallSite& site, uint64_t instruction) {
  const uint64_t jump = jumpOf(site, instruction);
  uint64_t& start = space.sites.patchedStart;
  uint64_t& end = space.sites.patchedEnd;
  start = std::min({start, instruction - site.before, jump});
  end = std::max({end, instruction + kSiteLength + site.behind, jump + CallSite::kJump});
}

// Sites have been led into the gate.
void Recording::startGateCalls(Task& task) {
  SiteState& sites = task.space->sites;
  airr_gate_data& data = task.space->gate->data();
  data.patched_start = sites.patchedStart;
  data.patched_end = sites.patchedEnd;
  if (!sites.logsCalls) {
    sites.logsCalls = true;
    sites.callsAllowed = false;
  }
  allowGateCalls(task, true);
}

// A call has ended in the kernel.
void Recording::noteEnded(Task& task, int64_t result) {
  // What the kernel restarts goes back to the `syscall` itself, which then has to be there: at once,
  // or when a handler returns.
  if (restarts(result)) {
    task.space->sites.unpatchable.change().insert(task.entry.instruction);
  } else {
    patchSite(task);
    if (task.call.number == SYS_mmap && result > 0 && (task.call.arguments[2] & PROT_EXEC) != 0)
      leadUsedSites(task, static_cast<uint64_t>(result), true);
    leadForChildren(task);
  }
}

// What its children have used by now, the next ones are to find led: they begin as copies.
void Recording::leadForChildren(Task& task) {
  SiteState& sites = task.space->sites;
  if (!sites.isForked || sites.usesSeen == usedSites_ || task.process->liveTasks != 1) return;
  sites.usesSeen = usedSites_;
  for (const auto& [start, program] : *sites.programs) leadUsedSites(task, start, false);
}

// A call is about to change mappings.
void Recording::unpatchChanged(Task& task) {
  const uint64_t* a = task.call.arguments;
  switch (task.call.number) {
    case SYS_mmap:
      if ((a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0)
        unpatch(task, a[0], a[0] + pageCeil(a[1]));
      break;
    case SYS_munmap:
      unpatch(task, a[0], a[0] + pageCeil(a[1]));
      break;
    case SYS_mremap:
      unpatch(task, a[0], a[0] + pageCeil(a[1]));
      if ((a[3] & MREMAP_FIXED) != 0) unpatch(task, a[4], a[4] + pageCeil(a[2]));
      break;
    default:
      break;
  }
}

void Recording::writePatch(Task& task, const std::vector<PatchedBytes>& patch) {
  if (!writeCode(task.tracee, patch)) throw TraceeGone{task.tracee.tid()};
  auto event = beginEvent(task);
  auto pieces = event.initPatch(static_cast<unsigned>(patch.size()));
  for (unsigned i = 0; i < patch.size(); ++i) {
    pieces[i].setAddress(patch[i].address);
    pieces[i].setBytes({patch[i].bytes.data(), patch[i].bytes.size()});
  }
  trace_->commit();
}

// Before mappings go or move: sites there get their own bytes back, lest half of a jump stay.
void Recording::unpatch(Task& task, uint64_t start, uint64_t end) {
  AddressSpace& space = *task.space;
  std::vector<PatchedBytes> former;
  constexpr uint64_t kReach = 256;
  const uint64_t from = start > kReach ? start - kReach : 0;
  const auto first = space.sites.patches->lower_bound(from);
  if (first == space.sites.patches->end() || first->first >= end + kReach) return;
  auto& patches = space.sites.patches.change();
  for (auto at = patches.lower_bound(from); at != patches.end() && at->first < end + kReach;) {
    const auto& [instruction, patched] = *at;
    const bool touched = (instruction + kSiteLength > start && instruction < end) ||
                         (patched.jump + CallSite::kJump > start && patched.jump < end);
    if (!touched) {
      ++at;
      continue;
    }
    former.push_back({instruction + kSiteLength - patched.bytes.former.size(), patched.bytes.former});
    if (!patched.bytes.padding.empty()) former.push_back({patched.jump, patched.bytes.padding});
    at = patches.erase(at);
  }
  if (!former.empty()) writePatch(task, former);
}

}  // namespace airr
