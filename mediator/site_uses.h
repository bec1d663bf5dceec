// Which call sites of program files the processes of an executable use. Where they are led into the gate when a file
// is mapped, none of their uses is a stop. Learnt while a session runs, and kept for later ones as notes of the
// executable's file (recorder/file_notes.h).
//
// Ownership: owns what it gives pointers to, until its end; program files have to outlive it. One thread.
// Failure: never; a note that cannot be kept is learnt again.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mediator/call_sites.h"
#include "recorder/file_notes.h"

namespace airr {

// What gives way to a jump into the gate: up to and with the `syscall`; where the long jump stands, if elsewhere.
struct SiteBytes {
  std::vector<uint8_t> former, padding;
};

struct ProgramFile {
  FileVersion version;  // of the first file that had this content; all zero: none is known
  std::vector<CallSite> sites;
};

class SiteUses {
 public:
  static constexpr uint32_t kEnough = 2;  // uses, for a site to be led where it is mapped

  struct Use {
    uint32_t uses = 0;       // in the open; of earlier sessions at most kEnough
    uint32_t processes = 0;  // that mapped the site since, and where it was not led into the gate
    SiteBytes bytes;         // as they are in the file; empty: not read yet
  };
  using OfProgram = std::map<const CallSite*, Use>;

  // What an executable's processes use.
  class Executable {
   public:
    // With what earlier sessions noted.
    OfProgram& of(const ProgramFile&);
    // One use more. True: now they are enough.
    bool note(const ProgramFile&, const CallSite&);

   private:
    friend class SiteUses;
    std::map<const ProgramFile*, OfProgram> used_;
    std::vector<uint8_t> noted_;
    bool grew_ = false;  // since the note
  };

  explicit SiteUses(const std::array<uint8_t, 32>& key) : notes_(key, "uses1") {}
  Executable& of(const ProgramFile& executable);
  // At the session's end.
  void keep() const;

 private:
  FileNotes notes_;
  std::map<const ProgramFile*, Executable> executables_;
};

}  // namespace airr
