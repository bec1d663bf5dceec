// Asks a human, or what a human put in their place, whether something may happen: at the terminal,
// by `airr approve` from another one, by a command. The first answer counts; none in time is a
// denial.
//
// A tracee can never answer. The terminal is the mediator's own, opened anew for each question;
// what was typed before is thrown away, and TIOCSTI is refused to tracees. The socket is where the
// floor keeps them out, exists while a question stands, and does not talk to a process that is
// traced, or came from this one. The command is started by the mediator and is no tracee.
//
// While a question stands, no stopped tracee goes on. The controlling thread only. Nothing fails:
// what cannot be had does not answer.
#pragma once

#include <functional>
#include <string>

#include "mediator/approval_request.h"

namespace airr {

enum class Answer { kYes, kNo, kNone };

struct Answered {
  Answer answer = Answer::kNone;
  const char* by = "";  // "terminal", "airr approve", "command"
};

struct ApproverOptions {
  std::string directory;  // approvalsPath(), or empty: no `airr approve`
  std::string command;    // for /bin/sh; status 0 is yes, every other no; or empty
  bool waits = false;     // for `airr approve` also if there is neither a terminal nor a command
};

class Approver {
 public:
  // Whether a process is of the session.
  using IsTracee = std::function<bool(pid_t)>;
  Approver(ApproverOptions, IsTracee);

  // kNone: nobody could be asked, or nobody answered in time.
  Answered ask(const ApprovalRequest&) const;

 private:
  ApproverOptions options_;
  IsTracee isTracee_;
};

}  // namespace airr
