// Actions as the trace has them (schema DecidedAction).
//
// write() fills a builder. A RecordedAction borrows from the message that it was read from; reading
// throws kj::Exception for what is malformed, and takes nothing that is out of an enum's range.
#pragma once

#include <schema/airr.capnp.h>

#include <string_view>
#include <utility>
#include <vector>

#include "policies/policy.h"

namespace airr::policies {

void write(const Action& action, const Decision& decision, const Policy& policy,
           schema::DecidedAction::Builder to);

class RecordedAction {
 public:
  explicit RecordedAction(schema::DecidedAction::Reader from);
  RecordedAction(const RecordedAction&) = delete;
  RecordedAction& operator=(const RecordedAction&) = delete;

  Action& action() { return action_; }

 private:
  std::vector<std::string_view> arguments_, hostNames_, shellCommands_, shellReads_, shellWrites_;
  std::vector<std::pair<std::string_view, std::string_view>> toolArguments_;
  Action action_;
};

// The SHA-256 of a decision without its digest, and setting it.
void setDigest(schema::Decision::Builder decision);
bool hasItsDigest(schema::Decision::Reader decision);

}  // namespace airr::policies
