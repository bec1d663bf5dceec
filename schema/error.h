// Errors and exit codes, the same for every subcommand; docs/exit-codes.md lists them for users.
//
// An Error says what went wrong, where, and what to do about it. It is thrown by value, from any
// thread; tools/main.cpp turns it into one paragraph on standard error and an exit code.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <vector>

namespace airr {

enum class ExitCode : int {
  kSuccess = 0,
  kUnsealed = 110,        // verify: intact up to the end, but the trace has no seal
  kTampered = 111,        // verify: a frame is altered, missing, or out of place
  kWrongKey = 112,        // the key at hand did not authenticate this trace
  kWitness = 113,         // verify: the witness has seen another trace, or more of it
  kEncrypted = 114,       // encrypted, and to none of the keys at hand
  kPolicy = 115,          // a policy cannot be read, or is not one
  kJudged = 116,          // judge: the new policy decides otherwise
  kPolicyTest = 117,      // policy test: a test or an example failed
  kConflict = 118,        // overlay merge: the tree is not what the session saw
  kDivergence = 120,      // replay: the program did not do what the trace says
  kUnreadable = 121,      // not a trace, or damaged before anything could be read
  kVersion = 122,         // a trace of a format that this airr does not know
  kCpu = 123,             // this CPU lacks a feature that the recorded program was shown
  kFailure = 125,         // airr itself failed; also usage errors (as env and docker do)
  kCannotExecute = 126,   // record: the program exists but cannot be run
  kNotFound = 127,        // record: no such program
};

class Error : public std::runtime_error {
 public:
  // `what`: one clause without a full stop. `remedy`: what the user can do, or empty.
  // `details`: lines to show beneath, such as a call stack.
  Error(ExitCode code, const std::string& what, std::string remedy = {},
        std::vector<std::string> details = {});
  ExitCode code() const { return code_; }
  const std::string& remedy() const { return remedy_; }
  const std::vector<std::string>& details() const { return details_; }

 private:
  ExitCode code_;
  std::string remedy_;
  std::vector<std::string> details_;
};

// An Error (kFailure) from errno: "what: strerror".
Error systemError(const std::string& what, int error = errno, std::string remedy = {});

}  // namespace airr
