// The socket by which `airr approve` finds a question, and answers it (docs/enforcement.md).
//
// SOCK_SEQPACKET, one packet each way: the question as JSON when a client connects, then its answer
// as answerText(), then "taken" or why not. Owns socket and file; both end with it. One thread.
// Nothing fails but make(): what is wrong with a client closes its connection.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mediator/approval_request.h"
#include "schema/unique_fd.h"

namespace airr {

class ApprovalSocket {
 public:
  using IsTracee = std::function<bool(pid_t)>;
  // Null with a reason on standard error: the directory cannot be had, or is not the user's alone.
  static std::unique_ptr<ApprovalSocket> make(const std::string& directory, const ApprovalRequest&,
                                              IsTracee);
  ~ApprovalSocket();

  // What to wait for, then what came: yes or no once somebody answered this very question.
  void addTo(std::vector<pollfd>&) const;
  std::optional<bool> serve();

  // For the other side: connected to the session of `process`, or nothing.
  static UniqueFd connectTo(const std::string& directory, const std::string& process);

 private:
  ApprovalSocket(UniqueFd directory, UniqueFd listener, const ApprovalRequest&, IsTracee);
  bool isTrusted(int client) const;
  void accept();

  UniqueFd directory_, listener_;
  std::string question_;
  Digest digest_;
  IsTracee isTracee_;
  std::vector<UniqueFd> clients_;
};

}  // namespace airr
