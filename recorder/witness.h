// Publishes the head of a trace to a witness, at each checkpoint, so that it can be told later
// whether the trace was cut, rebuilt or forked after that. A witness is a file that is appended to,
// or a server that takes POST and gives what it took by GET (docs/evidence.md).
//
// Ownership: a Witness owns its thread and borrows nothing. Threading: any thread.
// Failure: the constructor throws Error (kFailure) if the witness cannot be reached; later failures
// are handed to `fail`, on the thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "recorder/digest.h"
#include "schema/error.h"

namespace airr {

// A line of a witness: "airr-head 2 SESSION EPOCH FRAMES DIGEST", hexadecimal but for the numbers.
// The header's head has epoch 0 and no frames; a checkpoint's that of epoch e has e+1.
struct Head {
  std::array<uint8_t, 16> session{};
  uint64_t epochs = 0;  // that are over
  uint64_t frames = 0;  // up to the checkpoint, it included
  Digest digest{};      // of the checkpoint, or the file header

  std::string line() const;  // with its end
  // Nothing if it is none.
  static std::optional<Head> parse(std::string_view line);
};

class Witness {
 public:
  // Publishes the first head before it returns.
  Witness(std::string place, const Head& first, std::function<void(const Error&)> fail);
  ~Witness();  // what was not published is not
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  void publish(const Head& head);
  // Waits until all is published, or cannot be.
  void drain();

 private:
  void run();

  const std::string place_;
  const std::function<void(const Error&)> fail_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Head> queue_;
  bool stop_ = false, failed_ = false;
  std::thread thread_;
};

// All that a witness has of a session, in its order. Error kFailure if it cannot be read.
std::vector<Head> headsOf(const std::string& place, const std::array<uint8_t, 16>& session);

}  // namespace airr
