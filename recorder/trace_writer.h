// Writes a trace: events into compressed, chained frames of one append-only file, and blobs.
//
// Ownership: owns the file and the frame being filled. One TraceWriter a session; all calls from
// the thread that controls the tracees. Blobs are compressed and written on a thread of its own
// inside.
// Failure: every call may throw Error (kFailure) when the store cannot take the data (ENOSPC, EIO,
// …), also what that thread could not write since. After a throw the writer refuses everything with
// the same error, so that no effect can follow. Only a content that cannot be taken leaves it as it
// was: a file that is not regular, cannot be read, or has more than 4 GiB.
#pragma once

#include <capnp/message.h>
#include <schema/airr.capnp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "recorder/frame_writer.h"
#include "recorder/keys.h"
#include "recorder/system.h"

namespace airr {

// Whether an event's digest is over it alone, so that it can be proved without showing what came
// before and after it (replayer/event_proof.h), or over it and its neighbours, which costs less.
enum class Digested { kTogether, kAlone };

class TraceWriter {
 public:
  // Creates `path` (it must not be a directory; an existing file is replaced) and writes the
  // header. The header's keys are set here; its sessionId must be the one that `key` was derived
  // for.
  TraceWriter(const std::string& path, const SessionKey& key, capnp::MallocMessageBuilder& header,
              const TraceOptions& options = {});
  ~TraceWriter();
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  // A new event: fill it through the builder, then call commit(). No other event may be begun in
  // between. `begin` costs no allocation for events under 64 KiB.
  schema::Event::Builder begin();
  void commit(Digested digested = Digested::kTogether);

  // Writes the frame being filled to the file. After it returns, everything committed so far
  // survives the death of this process, but for blobs, which follow as they are compressed; with
  // Durability::kPower, what is older than Syncer::kWithin also a loss of power. Cheap when nothing
  // is pending.
  void flush();

  // Stores the bytes as a blob and returns its number. Its frame may come after those of the events
  // that refer to it. Waits while more than 64 MiB are not compressed yet.
  uint32_t addBlob(const void* data, size_t size);
  // Stores a regular file's content, whole, as it is now. `fd` is only read (pread). Content
  // already known for the same (device, inode, size, mtime, ctime), in this session or, for large
  // files, in an earlier one of this host (recorder/blob_cache.h), is not read again. Waits for the
  // worker if it is over 64 MiB and not known.
  uint32_t addFile(int fd);
  // The same for a file that a task executes, so that nobody can write it (execve(2), ETXTBSY). If
  // it is large and was not changed lately, it is read after this returned; should it change before
  // it was read all the same, the writer fails.
  uint32_t addProgram(int fd);

  // The seal: last frame, after which nothing can be written. Flushes, and waits for the blobs, for
  // the disk if so asked for, and for the witness.
  void seal();

  uint64_t eventCount() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace airr
