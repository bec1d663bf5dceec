// Finds out which files a session wrote, by following its calls while it is replayed, and writes
// them out beneath a directory. The model of descriptors is the kernel's: tables per process, open
// file descriptions that dup, fork and SCM_RIGHTS share, files that live on without a name.
//
// Ownership: owns a temporary file with what was written; calls `readBlob` only in writeTo() and
// for data that the kernel moved between descriptors. Not thread-safe. Failure: Error when the
// temporary file or the directory cannot be written.
//
// What it needs from a trace: `path` of a successful open is what /proc/TID/fd/N names; the first
// open with write access, without O_TRUNC, of a regular file that was there before has its content
// as `payload` (zeros in its place: that many bytes which are not in the trace); the event that
// names a new task, or the `enter` of the call that makes it, comes before the task's own events.
#pragma once

#include <schema/airr.capnp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "mediator/syscalls/model.h"
#include "replayer/file_content.h"
#include "replayer/file_tree.h"

namespace airr {

class Materializer {
 public:
  // `directory`: where the session began (Header.directory).
  Materializer(ReadBlob readBlob, std::string directory);
  ~Materializer();
  Materializer(const Materializer&) = delete;
  Materializer& operator=(const Materializer&) = delete;

  // Every event in the order of the trace. `memory` is the calling task's: what a call passes to
  // the kernel is read from it, so for `whole` and `enter` it must be as it is during the call.
  void observe(const schema::Event::Reader& event, syscalls::MemoryReader& memory);

  // What a shared object holds at the end (SharedObject.object). If it was mapped from a file that
  // the session had open for writing, that is the file's content.
  void sharedContent(uint32_t object, std::span<const uint8_t> content);

  // Writes to directory + absolute path; see FileTree::writeTo.
  MaterializeResult writeTo(const std::string& directory) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
