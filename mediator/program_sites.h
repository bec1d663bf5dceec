// What is looked for in program files, once for each version of a file on this host: sites of some kind,
// kept as notes (recorder/file_notes.h).
//
// One thread. Throws Error if the file cannot be mapped.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <vector>

#include "recorder/file_notes.h"
#include "schema/error.h"

namespace airr {

// The sites that find() sees in the file's content, or that an earlier session noted.
template <class Site, class Find, class Encode, class Decode>
std::vector<Site> sitesOfProgram(int file, const FileNotes& notes, Find&& find, Encode&& encode, Decode&& decode) {
  struct stat s {};
  if (fstat(file, &s) != 0 || s.st_size <= 0) return {};
  const FileVersion version = FileVersion::of(s);
  if (const auto note = notes.find(version)) return decode(*note);
  const auto size = static_cast<size_t>(s.st_size);
  void* content = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (content == MAP_FAILED) throw systemError("mapping a program file to look for instructions");
  std::vector<Site> sites = find(std::span(static_cast<const uint8_t*>(content), size));
  munmap(content, size);
  notes.keep(version, encode(sites));
  return sites;
}

}  // namespace airr
